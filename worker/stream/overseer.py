"""Watches from inside the poll loop whether every partition gets on, and tells health and metrics how the worker stands."""

from __future__ import annotations

import time
from types import MappingProxyType

import structlog
from kafka import KafkaConsumer
from kafka import errors as kafka_errors

from worker.errors import StopError
from worker.settings.stream import StreamSettings
from worker.stream.assignment import Assignment
from worker.stream.feed import Feed
from worker.stream.observer import StreamObserver
from worker.stream.partition import OwnedPartition
from worker.stream.progress import PartitionProgress, Progress, Snapshot, StandstillWatch

_log = structlog.get_logger(__name__)

# How often health and lag are brought up to date.
_REPORT_S = 1.0


class Overseer:
    """Used by the poll loop's thread only; `progress` may be read from any.

    Args:
        settings: how often partitions are looked at, and how long one may stand.
        assignment: what is owned.
        feed: what is polled and in no batch yet.
        observer: is told lag, assignment and what the watchdog does.
    """

    def __init__(self, settings: StreamSettings, assignment: Assignment, feed: Feed, observer: StreamObserver) -> None:
        self.progress = Progress()
        self._settings = settings
        self._assignment = assignment
        self._feed = feed
        self._observer = observer
        self._standstill = StandstillWatch(settings.stuck_after_s)
        self._joined = False
        self._moved_at = time.monotonic()
        self._reported_at = 0.0
        self._looked_at = time.monotonic()

    def moved(self) -> None:
        """Something got on."""
        self._moved_at = time.monotonic()
        self._observer.moved()

    def joined(self) -> None:
        """The group has assigned partitions."""
        self._joined = True

    def forget(self, partition: OwnedPartition) -> None:
        """The partition is not this worker's any more."""
        self._standstill.forget(partition.name)
        self._observer.lag(partition.name.topic, partition.name.partition, None)

    def look(self, consumer: KafkaConsumer) -> None:
        """Heal partitions that stand although their end moved on, from time to time.

        Raises:
            StopError: a partition could not be healed.
        """
        now = time.monotonic()
        names = list(self._assignment.owned)
        if not names or now - self._looked_at < self._settings.progress_check_s:
            return
        self._looked_at = now
        try:
            ends = consumer.end_offsets(names, timeout_ms=int(self._settings.call_timeout_s * 1000))
        except kafka_errors.KafkaError as error:
            _log.warning("end offsets could not be read", error=str(error))
            return
        for name in names:
            partition = self._assignment.owned[name]
            busy = partition.in_flight > 0 or partition.held or partition.cut is not None or self._feed.room == 0
            verdict = self._standstill.look(name, position=_position(consumer, partition), end=ends[name], busy=busy)
            if verdict == "heal":
                self._heal(consumer, partition, ends[name])
            elif verdict == "give up":
                self._observer.watchdog("restart")
                raise StopError(
                    f"partition {name.partition} of {name.topic} does not get on although it ends at {ends[name]}: the process restarts"
                )

    def report(self, consumer: KafkaConsumer, in_flight: int) -> None:
        """Bring `progress` and the metrics up to date, from time to time."""
        now = time.monotonic()
        if now - self._reported_at < _REPORT_S:
            return
        self._reported_at = now
        partitions = {
            (name.topic, name.partition): PartitionProgress(
                position=_position(consumer, partition),
                committed=partition.next_offset,
                end=consumer.highwater(name),
                waiting=partition.cut is not None,
            )
            for name, partition in self._assignment.owned.items()
        }
        self.progress.latest = Snapshot(self._joined, now, self._moved_at, in_flight, MappingProxyType(partitions))
        self._observer.in_flight(in_flight)
        self._observer.assignment(len(partitions), sum(each.waiting for each in partitions.values()))
        for (topic, number), each in partitions.items():
            if each.lag is not None:
                self._observer.lag(topic, number, each.lag)

    def ended(self, in_flight: int) -> None:
        """The worker is out of its group."""
        self.progress.latest = Snapshot(turned_at=time.monotonic(), moved_at=self._moved_at, in_flight=in_flight)
        self._observer.in_flight(in_flight)
        self._observer.assignment(0, 0)

    def _heal(self, consumer: KafkaConsumer, partition: OwnedPartition, end: int) -> None:
        position = _position(consumer, partition)
        _log.warning(
            "a partition stood still: its fetch is started anew",
            topic=partition.name.topic,
            partition=partition.name.partition,
            position=position,
            end=end,
        )
        self._observer.watchdog("heal")
        dropped = self._feed.drop(partition)
        if position is not None:
            consumer.seek(partition.name, position if dropped is None else dropped)
        consumer.resume(partition.name)


def _position(consumer: KafkaConsumer, partition: OwnedPartition) -> int | None:
    """The consumer's own position, as it knows it: asking `position()` would wait for one."""
    state = consumer._subscription.assignment.get(partition.name)  # noqa: SLF001
    position = None if state is None else state.position
    return None if position is None else int(position.offset)
