"""What the benchmarks run on: servers, photos, arrivals, and an observer that measures."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.infra.kafka import KafkaServer, unique
from worker.assembly import Parts, build_flow, build_pipeline, open_parts
from worker.embedded.s3 import EmbeddedS3
from worker.events import ItemPhotographed, PhotoLocation
from worker.events.codec import encode_event
from worker.imaging.decode import encode_jpeg
from worker.imaging.types import Photo
from worker.settings import (
    CatalogueSettings,
    ImagingSettings,
    KafkaSettings,
    OpsSettings,
    Settings,
    StreamSettings,
    VisionSettings,
)
from worker.settings.stream import TopicSettings
from worker.simulate.garments import garment, studio_photo
from worker.simulate.phone import phone_shot
from worker.stream.observer import NullObserver, TransactionEnd
from worker.stream.runner import StreamWorker
from worker.vision.types import ByteArray, Crop, FloatArray, Mask

A_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Meter(NullObserver):
    """Times commits and stages. The first transaction warms up connections and is not counted."""

    expected: int
    done: int = 0
    transactions: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    stage_records: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    commit_seconds: float = 0.0
    finished: threading.Event = field(default_factory=threading.Event)

    def stage_ended(self, stage: str, records: int, seconds: float) -> None:
        self.stage_seconds[stage] += seconds
        self.stage_records[stage] += records

    def transaction_ended(self, end: TransactionEnd, records: int, seconds: float) -> None:
        if end != "committed":
            raise RuntimeError(f"a transaction of the benchmark was {end}")
        self.commit_seconds += seconds
        if self.began_at == 0.0:
            self.began_at = time.perf_counter()
            self.expected -= records
        else:
            self.done += records
            self.transactions += 1
        if self.done >= self.expected:
            self.ended_at = time.perf_counter()
            self.finished.set()

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.done / (self.ended_at - self.began_at)


@dataclass(frozen=True)
class StubSegmenter:
    """The whole photo, at no cost."""

    model_id: str = "stub"

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        return [Mask(np.full(photo.shape[:2], 255, np.uint8), 1.0) for photo in photos]


@dataclass(frozen=True)
class StubEmbedder:
    """A vector from the crop's colours, at no cost."""

    model_id: str = "stub"
    dimension: int = 512

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        rows = [np.resize(crop.rgb[::16, ::16].ravel().astype(np.float32) - 127.5, self.dimension) for crop in crops]
        stacked = np.stack(rows)
        vectors: FloatArray = (stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-6)).astype(np.float32)
        return vectors


def phone_photos(count: int) -> list[bytes]:
    """Simulated phone snapshots, about 640 x 480, seeded."""
    photos = []
    for seed in range(count):
        studio = studio_photo(garment(seed))
        image, _ = phone_shot(studio.rgb, studio.mask, None, np.random.default_rng(seed))
        photos.append(encode_jpeg(image, 90))
    return photos


@dataclass
class Rig:
    """A bucket full of photos, topics, and settings for a worker in this process."""

    kafka: KafkaServer
    s3: EmbeddedS3
    folder: Path
    batch: int
    photos: Sequence[bytes]
    vision: VisionSettings = field(default_factory=VisionSettings)
    bucket: str = field(default_factory=lambda: unique("bench"))

    def upload(self) -> None:
        """Put the photos into the bucket."""
        self.s3.create_bucket(self.bucket)
        client = self.s3.endpoint.client()
        for number, data in enumerate(self.photos):
            client.put_object(Bucket=self.bucket, Key=f"{number}.jpg", Body=data)

    def settings(self, name: str) -> Settings:
        """A worker's settings with topics and an index of its own."""
        topics = {each: f"{name}.{each}" for each in TopicSettings.model_fields if each != "s3_notifications"}
        for topic in topics.values():
            self.kafka.create_topic(topic, partitions=4, configs={"max.message.bytes": "2000000"})
        return Settings(
            kafka=KafkaSettings(bootstrap_servers=self.kafka.bootstrap_servers),
            stream=StreamSettings(topics=TopicSettings(**topics), group_id=name, batch_size=self.batch),
            storage=self.s3.endpoint.settings(self.bucket),
            imaging=ImagingSettings(),
            vision=self.vision,
            catalogue=CatalogueSettings(engine="edge", path=self.folder / name),
            ops=OpsSettings(),
        )

    def decoded(self, parts: Parts) -> list[Photo]:
        """The photos as fetched, for the models alone."""
        return [Photo(PhotoLocation(bucket=self.bucket, key=f"{number}.jpg"), data) for number, data in enumerate(self.photos)]

    def run_worker(self, arrivals: int, *, stub: bool = False) -> Meter:
        """`arrivals` of one photo each through the whole worker; returns what was measured."""
        settings = self.settings(unique("bench"))
        records = []
        for number in range(arrivals):
            arrival_id = f"arrival-{number:06d}"
            photo = PhotoLocation(bucket=self.bucket, key=f"{number % len(self.photos)}.jpg")
            event = ItemPhotographed(arrival_id=arrival_id, photographed_at=A_TIME, photos=(photo,))
            value, _ = encode_event(event, event_id=arrival_id, source="/bench", time=A_TIME, traceparent=None)
            records.append((arrival_id.encode(), value))
        self.kafka.send(settings.stream.topics.item_photographed, records)
        meter = Meter(arrivals)
        with self.parts(settings, stub=stub) as parts:
            worker = StreamWorker(settings, build_flow(build_pipeline(parts), settings), meter)
            thread = threading.Thread(target=worker.run)
            thread.start()
            while not meter.finished.wait(0.5):
                if not thread.is_alive():
                    raise RuntimeError("the worker ended early")
            worker.request_stop()
            thread.join()
        return meter

    @contextmanager
    def parts(self, settings: Settings, *, stub: bool = False) -> Iterator[Parts]:
        """The worker's parts, with models that cost nothing if `stub`."""
        with open_parts(settings) as parts:
            if stub:
                object.__setattr__(parts.embedder, "segmenter", StubSegmenter())
                object.__setattr__(parts.embedder, "embedder", StubEmbedder(dimension=parts.models.embedder.dimension))
            yield parts
