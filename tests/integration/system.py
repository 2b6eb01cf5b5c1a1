"""The whole system for a test: topics, a bucket and a collection of its own, worker processes that can be killed, and a verifier.

The worker is the production command in a process of its own; Kafka, S3 and the index are servers.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.infra.kafka import KafkaServer, Message, unique
from worker.catalogue.live import open_catalogue_admin
from worker.catalogue.protocol import Point, PointState
from worker.demo.child import WorkerProcess
from worker.embedded.s3 import S3Endpoint
from worker.events import CatalogueInsert, DeadLetter, ItemPhotographed, MatchAlert, PhotoLocation
from worker.events.codec import encode_event
from worker.settings import CatalogueSettings

TOPICS = ("item-photographed", "match-alert", "catalogue-insert", "dead-letter", "match-decision")
OUTPUTS = ("match-alert", "catalogue-insert", "dead-letter")
# Photos are of small garments drawn for the test; the models that do not concern a test are light ones.
LIGHT_MODELS = {"INTAKE_VISION__SEGMENTER": "none", "INTAKE_VISION__THREADS": "1"}
A_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(slots=True)
class Outcomes:
    """What a read_committed reader finds on the output topics."""

    alerts: list[MatchAlert]
    inserts: list[CatalogueInsert]
    dead_letters: list[DeadLetter]
    messages: list[Message]

    @property
    def total(self) -> int:
        """How many outcomes there are."""
        return len(self.messages)

    def arrivals(self) -> Counter[str]:
        """How many outcomes each arrival has."""
        return Counter(str(one.arrival_id) for one in self.all())

    def event_ids(self) -> Counter[str]:
        """How often each output id was published."""
        return Counter(str(one.event_id) for one in self.all())

    def all(self) -> list[MatchAlert | CatalogueInsert | DeadLetter]:
        """All of them."""
        return [*self.alerts, *self.inserts, *self.dead_letters]


@dataclass(slots=True)
class System:
    """Kafka topics, a bucket and a catalogue, all of this test's own."""

    kafka: KafkaServer
    s3: S3Endpoint
    catalogue: CatalogueSettings
    folder: Path
    models: Mapping[str, str] = field(default_factory=lambda: LIGHT_MODELS)
    more: Mapping[str, str] = field(default_factory=dict)
    partitions: int = 4
    name: str = field(default_factory=lambda: unique("intake"))
    workers: list[WorkerProcess] = field(default_factory=list)

    def set_up(self) -> System:
        """Create topics and bucket."""
        for topic in TOPICS:
            self.kafka.create_topic(self.topic(topic), partitions=self.partitions, configs={"max.message.bytes": "2000000"})
        self.s3.create_bucket(self.bucket)
        return self

    def topic(self, what: str) -> str:
        """Name of this test's topic."""
        return f"{self.name}.{what}"

    @property
    def bucket(self) -> str:
        """This test's bucket."""
        return self.name

    def environment(self) -> dict[str, str]:
        """A worker's settings."""
        topics = {f"INTAKE_STREAM__TOPICS__{what.upper().replace('-', '_')}": self.topic(what) for what in TOPICS}
        index = self.catalogue
        engine = {"INTAKE_CATALOGUE__ENGINE": index.engine, "INTAKE_CATALOGUE__ALIAS": index.alias}
        where = (
            {"INTAKE_CATALOGUE__URL": index.url, "INTAKE_CATALOGUE__READ_CONSISTENCY": index.read_consistency}
            if index.engine == "qdrant"
            else {"INTAKE_CATALOGUE__PATH": str(index.path)}
        )
        return {
            "INTAKE_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "INTAKE_STREAM__GROUP_ID": self.name,
            "INTAKE_STREAM__TRANSACTION_TIMEOUT_S": "5",
            "INTAKE_STREAM__SESSION_TIMEOUT_S": "6",
            "INTAKE_STREAM__HEARTBEAT_INTERVAL_S": "1",
            "INTAKE_STORAGE__ALLOWED": json.dumps([{"bucket": self.bucket, "prefix": "arrivals/"}]),
            "INTAKE_OPS__HTTP_HOST": "127.0.0.1",
            "INTAKE_OPS__HTTP_PORT": "0",
            "INTAKE_VISION__OFFLINE": "false",
            **topics,
            **engine,
            **where,
            **self.s3.environment(),
            **self.models,
            **self.more,
        }

    def start_worker(self, **more: str) -> WorkerProcess:
        """One more worker process; `more` are further environment variables."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = WorkerProcess(self.environment() | more, log).start()
        self.workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        """SIGTERM to all."""
        for worker in self.workers:
            worker.stop()

    def put(self, key: str, data: bytes) -> PhotoLocation:
        """Upload a photo under ``arrivals/``."""
        key = f"arrivals/{key}"
        self.s3.client().put_object(Bucket=self.bucket, Key=key, Body=data)
        return PhotoLocation(bucket=self.bucket, key=key)

    def event(self, arrival_id: str, *photos: PhotoLocation, **fields: Any) -> tuple[bytes, bytes]:
        """Key and value of one arrival's event."""
        event = ItemPhotographed(arrival_id=arrival_id, photographed_at=A_TIME, photos=photos, **fields)
        value, _ = encode_event(event, event_id=arrival_id, source="/test", time=A_TIME, traceparent=None)
        return arrival_id.encode(), value

    def send(self, events: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Publish events."""
        self.kafka.send(self.topic("item-photographed"), events)

    def outcomes(self) -> Outcomes:
        """Everything published and committed so far."""
        messages = self.kafka.read(*(self.topic(what) for what in OUTPUTS))
        found = Outcomes([], [], [], messages)
        for message in messages:
            if message.topic == self.topic("match-alert"):
                found.alerts.append(MatchAlert.model_validate_json(message.value or b""))
            elif message.topic == self.topic("catalogue-insert"):
                found.inserts.append(CatalogueInsert.model_validate_json(message.value or b""))
            else:
                found.dead_letters.append(DeadLetter.model_validate_json(message.value or b""))
        return found

    def wait_for(self, count: int, timeout_s: float = 120.0, *, check: bool = True) -> Outcomes:
        """Return once `count` outcomes are there. A worker that ended fails the wait, unless `check` is off."""
        end = time.monotonic() + timeout_s
        while (found := self.outcomes()).total < count:
            if check:
                for worker in self.workers:
                    worker.check()
            if time.monotonic() > end:
                logs = "\n".join(worker.log_tail() for worker in self.workers)
                raise TimeoutError(f"{found.total} of {count} outcomes in {timeout_s:.0f} s\n{logs}")
            time.sleep(0.1)
        return found

    def points(self) -> list[Point]:
        """Every point of the catalogue."""
        admin = open_catalogue_admin(self.catalogue)
        try:
            target = admin.alias_target()
            if target is None:
                return []
            catalogue = admin.open(target)
            try:
                return [point for batch in catalogue.scroll() for point in batch]
            finally:
                catalogue.close()
        finally:
            admin.close()

    def committed_everything(self) -> bool:
        """Whether the group's offsets are at the end of the input topic."""
        topic = self.topic("item-photographed")
        sent = Counter(message.partition for message in self.kafka.read(topic))
        committed = self.kafka.committed(self.name, topic)
        return all(committed.get(partition, 0) >= count for partition, count in sent.items())


def verify(found: Outcomes, points: Sequence[Point], arrivals: Sequence[str]) -> None:
    """The promises, recomputed from what can be seen: nothing lost, nothing twice, articles and inserts agree, nothing pending."""
    assert found.arrivals() == Counter(arrivals)
    assert max(found.event_ids().values()) == 1
    made = {point.arrival_id for point in points if point.arrival_id is not None}
    assert made == {insert.arrival_id for insert in found.inserts}
    assert [point for point in points if point.state is PointState.PENDING] == []
    assert {point.point_id for point in points if point.arrival_id is not None} == {
        point_id for insert in found.inserts for point_id in insert.embedding.point_ids
    }


def process_environment() -> dict[str, str]:
    """This process's environment without the project's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("INTAKE_")}
