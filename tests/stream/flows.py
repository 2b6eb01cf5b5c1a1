"""Trivial flows for tests, and workers run in threads and in child processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.infra.kafka import KafkaServer, unique
from worker.errors import EventRefused, Reason
from worker.ops.faults import Faults
from worker.settings import Settings, load_settings
from worker.stream.observer import NullObserver, RebalanceKind, TransactionEnd, WatchdogAction
from worker.stream.runner import StreamWorker
from worker.stream.types import Flow, OutputRecord, SourceRecord, Stage

# Short enough for tests, long enough for two busy cores.
FAST: Mapping[str, Any] = {
    "session_timeout_s": 6.0,
    "heartbeat_interval_s": 0.5,
    "max_poll_interval_s": 30.0,
    "drain_timeout_s": 10.0,
    "transaction_timeout_s": 5.0,
    "batch_wait_s": 0.01,
    "storage_retry": {"initial_s": 0.02, "maximum_s": 0.2},
    "catalogue_retry": {"initial_s": 0.02, "maximum_s": 0.2},
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one test."""

    input: str
    alert: str
    insert: str
    dead_letter: str


def make_topics(kafka: KafkaServer, partitions: int = 1) -> Topics:
    """Fresh topics."""
    stem = unique("t")
    topics = Topics(*(f"{stem}-{name}" for name in ("input", "alert", "insert", "dead")))
    kafka.create_topics(
        {
            topics.input: {"num_partitions": partitions},
            topics.alert: {"num_partitions": partitions},
            topics.insert: {"num_partitions": 1},
            topics.dead_letter: {"num_partitions": 1, "configs": {"max.message.bytes": "5000000"}},
        }
    )
    return topics


def make_settings(kafka: KafkaServer, topics: Topics, group: str | None = None, **stream: Any) -> Settings:
    """Settings of a worker on these topics."""
    return load_settings(
        kafka={"bootstrap_servers": kafka.bootstrap_servers},
        stream={
            **FAST,
            "topics": {
                "item_photographed": topics.input,
                "match_alert": topics.alert,
                "catalogue_insert": topics.insert,
                "dead_letter": topics.dead_letter,
            },
            "group_id": group or topics.input,
            **stream,
        },
    )


def parse(record: SourceRecord) -> SourceRecord:
    """Records that say ``bad`` cannot be read."""
    if record.value == b"bad":
        raise EventRefused(Reason.EVENT_NOT_JSON, "says bad")
    return record


def copy_to(topic: str) -> Callable[[Sequence[SourceRecord]], Sequence[Any]]:
    """The last stage of a trivial flow: each record becomes one output with the same key and value."""

    def run(records: Sequence[SourceRecord]) -> Sequence[Any]:
        return [
            (
                OutputRecord(
                    topic, record.key or b"", record.value or b"", (("from", f"{record.partition}/{record.offset}".encode()),)
                ),
            )
            for record in records
        ]

    return run


def make_flow(topics: Topics, *stages: Stage, abandoned: list[Any] | None = None) -> Flow:
    """`stages` (values are SourceRecords), then a copy to the alert topic."""
    return Flow(
        parse=parse,
        stages=(*stages, Stage("settle", copy_to(topics.alert), "settle")),
        abandon=(abandoned if abandoned is not None else []).extend,
        context=lambda record: {"arrival_id": (record.key or b"").decode()},
    )


@dataclass
class Seen(NullObserver):
    """Remembers what was observed."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def stage_ended(self, stage: str, records: int, seconds: float) -> None:
        self.events.append(("stage", stage, records))

    def transaction_ended(self, end: TransactionEnd, records: int, seconds: float) -> None:
        self.events.append(("transaction", end, records))

    def dead_letter(self, reason: Reason, stage: str) -> None:
        self.events.append(("dead-letter", reason, stage))

    def retry(self, error: str, stage: str) -> None:
        self.events.append(("retry", error, stage))

    def rebalanced(self, kind: RebalanceKind, partitions: int) -> None:
        self.events.append(("rebalanced", kind, partitions))

    def watchdog(self, action: WatchdogAction) -> None:
        self.events.append(("watchdog", action))

    def count(self, *start: Any) -> int:
        """How many events begin like this."""
        return sum(event[: len(start)] == start for event in list(self.events))


@dataclass
class Running:
    """A worker in a thread."""

    worker: StreamWorker
    thread: threading.Thread
    errors: list[BaseException]

    def stop(self) -> None:
        """Drain and end; raises what ended it."""
        self.worker.request_stop()
        self.join()

    def join(self, timeout_s: float = 60.0) -> None:
        """Wait for the end; raises what ended it."""
        self.thread.join(timeout_s)
        if self.thread.is_alive():
            raise TimeoutError("the worker did not end")
        if self.errors:
            raise self.errors[0]


@contextlib.contextmanager
def running(
    settings: Settings, flow: Flow, observer: NullObserver | None = None, faults: Faults | None = None
) -> Iterator[Running]:
    """A worker in a thread of this process; stopped at the end (an error of it is raised there, unless it was joined before)."""
    worker = StreamWorker(settings, flow, observer, faults)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001  the test looks at it
            errors.append(error)

    thread = threading.Thread(target=run, name="worker", daemon=True)
    thread.start()
    handle = Running(worker, thread, errors)
    try:
        yield handle
    finally:
        worker.request_stop()
        thread.join(30)
    if thread.is_alive():
        raise TimeoutError("the worker did not end")


def values(kafka: KafkaServer, topic: str) -> list[bytes]:
    """Committed values of a topic."""
    return [message.value or b"" for message in kafka.read(topic)]
