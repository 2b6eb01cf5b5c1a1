"""The worker put together from its settings: the one place that knows every room.

Everything that holds a connection, a lock or a thread is opened here, in the order in which a wrong setting is found cheapest, and closed
in the reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from worker.calibration import Calibration
from worker.catalogue.live import ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.protocol import Catalogue
from worker.embedding import PhotoEmbedder
from worker.events import ModelFingerprint
from worker.events.codec import parse_item_photographed
from worker.events.reading import EventLimits
from worker.events.s3_notification import IgnoredNotification, compile_key_pattern, parse_s3_notification
from worker.flow import Arrival
from worker.imaging.decode import make_decoder
from worker.imaging.storage import S3Photos
from worker.imaging.store import PhotoStore
from worker.matching.queries import SearchPlan
from worker.matching.settle import Settler
from worker.matching.tools import SettleTools
from worker.ops.faults import Faults
from worker.ops.observer import PipelineReports
from worker.ops.tracing import NoTracing, TracedItem, Tracing, traced
from worker.pictures import PictureShelf
from worker.pipeline import Pipeline, Publishing
from worker.settings import MatchingSettings, Settings
from worker.stream.types import Flow, Ignored, SourceRecord, Stage
from worker.tagging import AttributeReader
from worker.vision import LoadedModels, load_models

_log = structlog.get_logger(__name__)

# Two pictures a photo; uploads wait for the network, not for this process.
PICTURE_THREADS = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline is made of, opened and checked."""

    settings: Settings
    models: LoadedModels
    embedder: PhotoEmbedder
    catalogue: Catalogue
    source: S3Photos
    shelf: PictureShelf | None
    calibration: Calibration
    faults: Faults = field(default_factory=Faults)

    @property
    def fingerprint(self) -> ModelFingerprint:
        """What outcomes carry of the models and the index."""
        return ModelFingerprint(
            segmenter=self.models.segmenter_id,
            embedder=self.models.embedder_id,
            pipeline=self.models.fingerprint,
            collection=self.catalogue.collection,
        )


@contextmanager
def open_embedder(settings: Settings) -> Iterator[tuple[LoadedModels, PhotoEmbedder]]:
    """Models and decoder alone: for commands that embed photos without a worker."""
    models = load_models(settings.vision)
    with closing(make_decoder(settings.imaging)) as decoder:
        yield models, PhotoEmbedder(decoder, models.segmenter, models.embedder, models.crop_side)


def calibration_of(models: LoadedModels, settings: MatchingSettings) -> Calibration:
    """What similarities of these models mean, with the thresholds that are set; warns where nobody measured any."""
    if not models.calibration.calibrated and None in {settings.duplicate_threshold, settings.review_threshold}:
        _log.warning(
            "nobody measured thresholds for this pair of models: cautious guesses are used; measure them, or set "
            "INTAKE_MATCHING__DUPLICATE_THRESHOLD and INTAKE_MATCHING__REVIEW_THRESHOLD",
            segmenter=models.segmenter_id,
            embedder=models.embedder_id,
        )
    return models.calibration.overridden(settings)


@contextmanager
def open_parts(settings: Settings) -> Iterator[Parts]:
    """Everything a pipeline needs.

    Raises:
        StopError: a setting, a model, the index or S3 is not as it must be; nothing stays open.
    """
    faults = Faults.parse(settings.ops.faults)
    with ExitStack() as stack:
        models, embedder = stack.enter_context(open_embedder(settings))
        calibration = calibration_of(models, settings.matching)
        admin = stack.enter_context(closing(open_catalogue_admin(settings.catalogue)))
        catalogue = stack.enter_context(closing(ensure_live_catalogue(admin, models.fingerprint, models.embedder.dimension)))
        source = stack.enter_context(closing(S3Photos(settings.storage, settings.imaging.max_bytes)))
        shelf = _open_shelf(settings, stack)
        yield Parts(settings, models, embedder, catalogue, source, shelf, calibration, faults)


def build_pipeline(parts: Parts, reports: PipelineReports | None = None, fence: Callable[[], None] | None = None) -> Pipeline:
    """The stages over their parts. `fence` raises where this worker may have been overtaken (`worker.ops.fence`)."""
    settings = parts.settings
    plan = SearchPlan.from_settings(settings.catalogue)
    tools = SettleTools(faults=parts.faults, fence=fence) if fence else SettleTools(faults=parts.faults)
    return Pipeline(
        source=parts.source,
        embedder=parts.embedder,
        catalogue=parts.catalogue,
        settler=Settler(parts.catalogue, parts.calibration, settings.matching, plan, tools),
        plan=plan,
        models=parts.fingerprint,
        publishing=Publishing(settings.stream.topics, settings.stream.source_uri, settings.matching.article_id_prefix),
        shelf=parts.shelf,
        reports=reports,
        reader=AttributeReader(tagger, settings.vision.tagger_words) if (tagger := parts.models.tagger) is not None else None,
    )


def build_flow(pipeline: Pipeline, settings: Settings, tracing: Tracing | None = None) -> Flow:
    """The pipeline as the stream room runs it."""
    tracing = tracing or NoTracing()
    stages = tuple(
        Stage(stage.name, traced(tracing, stage.name, stage.run, _traced_item), stage.line) for stage in pipeline.stages()
    )
    return Flow(parse=parser(settings), stages=stages, abandon=pipeline.abandon, context=log_fields)


def parser(settings: Settings) -> Callable[[SourceRecord], Arrival | Ignored]:
    """How a record of either input topic becomes an arrival."""
    limits = EventLimits(max_bytes=settings.stream.max_event_bytes, max_depth=settings.stream.max_json_depth)
    pattern = compile_key_pattern(settings.stream.notification_key_pattern)
    notifications = settings.stream.topics.s3_notifications

    def parse(record: SourceRecord) -> Arrival | Ignored:
        if record.topic != notifications:
            return Arrival(parse_item_photographed(record.key, record.value, record.headers, limits))
        parsed = parse_s3_notification(record.value, record.headers, limits, pattern)
        return Ignored(parsed.what) if isinstance(parsed, IgnoredNotification) else Arrival(parsed)

    return parse


def log_fields(arrival: Arrival) -> dict[str, str]:
    """What every log line about an arrival carries."""
    fields = {"arrival_id": arrival.event.arrival_id, "event_id": arrival.parsed.event_id}
    return fields | ({"traceparent": arrival.parsed.traceparent} if arrival.parsed.traceparent else {})


def _traced_item(value: Any) -> TracedItem:
    arrival: Arrival = value if isinstance(value, Arrival) else value.arrival
    return TracedItem(arrival.event.arrival_id, arrival.parsed.traceparent, {"photos": str(len(arrival.event.photos))})


def _open_shelf(settings: Settings, stack: ExitStack) -> PictureShelf | None:
    storage = settings.storage
    if storage.pictures_bucket is None:
        return None
    threads = stack.enter_context(ThreadPoolExecutor(PICTURE_THREADS, thread_name_prefix="pictures"))
    store = stack.enter_context(closing(PhotoStore(storage)))
    return PictureShelf(store, storage.pictures_bucket, storage.pictures_prefix, threads)


__all__: Sequence[str] = ["Parts", "build_flow", "build_pipeline", "open_embedder", "open_parts", "parser"]
