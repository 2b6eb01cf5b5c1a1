"""Sends the demo's arrivals as a phone app's back end would, and reads the outcomes as the inventory system would."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer, TopicPartition

from worker.demo.plan import PlannedArrival
from worker.demo.system import ARRIVALS_PREFIX, BUCKET
from worker.embedded.s3 import S3Endpoint
from worker.events import Attributes, ItemPhotographed, PhotoLocation
from worker.events.codec import encode_event
from worker.events.trace import Traceparent
from worker.settings import KafkaSettings
from worker.settings.stream import TopicSettings
from worker.simulate.outcomes import Outcome, read_outcome
from worker.stream.client import client_configuration, open_reader

SOURCE = "/intake/demo"
SEND_TIMEOUT_S = 30.0
POLL_MS = 200


@dataclass(frozen=True, slots=True)
class Published:
    """One output event, as published."""

    topic: str
    value: bytes
    event: dict[str, Any]
    outcome: Outcome


class Sender:
    """Uploads photos and publishes events. An arrival that comes again is sent byte for byte as it was."""

    def __init__(self, kafka: str, s3: S3Endpoint) -> None:
        self._producer = KafkaProducer(**client_configuration(KafkaSettings(bootstrap_servers=kafka)), acks="all", linger_ms=0)
        self._client = s3.client()
        self._topic = TopicSettings().item_photographed
        self._sent: dict[str, tuple[bytes, list[tuple[str, bytes]]]] = {}

    def send(self, arrival: PlannedArrival) -> None:
        """Upload what is there of its photos, publish its event, and wait until Kafka has it."""
        if arrival.arrival_id not in self._sent:
            self._sent[arrival.arrival_id] = self._record(arrival)
        value, headers = self._sent[arrival.arrival_id]
        self._producer.send(self._topic, key=arrival.arrival_id.encode(), value=value, headers=headers).get(SEND_TIMEOUT_S)

    def close(self) -> None:
        """Let go of the connections."""
        self._producer.close(timeout=1)
        self._client.close()

    def _record(self, arrival: PlannedArrival) -> tuple[bytes, list[tuple[str, bytes]]]:
        photos = []
        for view, path in arrival.photos:
            key = f"{ARRIVALS_PREFIX}{arrival.arrival_id}/{path.name}"
            if path.exists():
                self._client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
            photos.append(PhotoLocation(bucket=BUCKET, key=key, view=view))
        now = datetime.now(UTC)
        event = ItemPhotographed(
            arrival_id=arrival.arrival_id,
            photographed_at=now,
            photos=tuple(photos),
            attributes=Attributes.model_validate(arrival.attributes),
        )
        return encode_event(event, event_id=str(uuid4()), source=SOURCE, time=now, traceparent=str(Traceparent.new()))


class Listener:
    """Reads what the worker published, committed transactions only."""

    def __init__(self, kafka: str) -> None:
        topics = TopicSettings()
        self._reader = open_reader(KafkaSettings(bootstrap_servers=kafka))
        names = (topics.match_alert, topics.catalogue_insert, topics.dead_letter)
        partitions = [TopicPartition(name, number) for name in names for number in self._reader.partitions_for_topic(name) or ()]
        self._reader.assign(partitions)
        self._reader.seek_to_beginning(*partitions)

    def poll(self) -> list[Published]:
        """What came since the last call; waits a moment if nothing did."""
        published = []
        for records in self._reader.poll(timeout_ms=POLL_MS).values():
            for record in records:
                event = json.loads(record.value)
                outcome = read_outcome(event)
                if outcome is not None:
                    published.append(Published(record.topic, bytes(record.value), event, outcome))
        return published

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()


@contextlib.contextmanager
def sending(kafka: str, s3: S3Endpoint) -> Iterator[Sender]:
    """A sender that is closed on leaving."""
    with contextlib.closing(Sender(kafka, s3)) as sender:
        yield sender


def paced(arrivals: Sequence[PlannedArrival], rate: float) -> Iterator[PlannedArrival]:
    """The arrivals, `rate` a second."""
    began = time.monotonic()
    for number, arrival in enumerate(arrivals):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield arrival
