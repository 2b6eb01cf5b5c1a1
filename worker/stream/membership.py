"""What the group did with this member's partitions: taken over, handed over, lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from kafka import KafkaConsumer
from kafka import errors as kafka_errors

from worker.settings import Settings
from worker.stream.assignment import Assignment
from worker.stream.client import translated
from worker.stream.feed import Feed
from worker.stream.observer import RebalanceKind, StreamObserver
from worker.stream.overseer import Overseer
from worker.stream.partition import OwnedPartition

_log = structlog.get_logger(__name__)

# Committed offsets of a fresh partition are waited for this long in one turn; they may be unstable for a crashed worker's transaction.
COMMITTED_WAIT_MS = 500


class Membership:
    """Acts on what the assignment listener noted during a poll.

    Args:
        hand_over: finishes what is in flight of revoked partitions.
        resume: continues the counts of refusals from the metadata of a committed offset.
    """

    def __init__(
        self,
        settings: Settings,
        assignment: Assignment,
        feed: Feed,
        overseer: Overseer,
        observer: StreamObserver,
        hand_over: Callable[[Sequence[OwnedPartition]], None],
        resume: Callable[[str], None],
    ) -> None:
        self._settings, self._assignment, self._feed = settings, assignment, feed
        self._overseer, self._observer = overseer, observer
        self._hand_over, self._resume = hand_over, resume
        self._fresh: list[OwnedPartition] = []

    def follow(self, consumer: KafkaConsumer) -> None:
        """Act on every change since the last call."""
        changes = self._assignment.take_changes()
        if changes:
            self._overseer.joined()
            self._fresh.extend(changes.assigned)
            kinds: tuple[tuple[RebalanceKind, list[OwnedPartition]], ...] = (
                ("assigned", changes.assigned),
                ("revoked", changes.revoked),
                ("lost", changes.lost),
            )
            for kind, partitions in kinds:
                if partitions:
                    _log.info(
                        "partitions " + kind, partitions=[f"{each.name.topic}/{each.name.partition}" for each in partitions]
                    )
                    self._observer.rebalanced(kind, len(partitions))
            for partition in (*changes.revoked, *changes.lost):
                self._feed.drop(partition)
                self._overseer.forget(partition)
            if changes.revoked:
                self._hand_over(changes.revoked)
        if self._fresh:
            self._take_over(consumer)

    def _take_over(self, consumer: KafkaConsumer) -> None:
        """Continue the counts of refusals that the partitions' last owners committed."""
        waiting = []
        for partition in self._fresh:
            if self._assignment.owned.get(partition.name) is not partition:
                continue
            try:
                committed = consumer.committed(partition.name, metadata=True, timeout_ms=COMMITTED_WAIT_MS)
            except kafka_errors.RetriableError:
                waiting.append(partition)
                continue
            except kafka_errors.KafkaError:
                with translated("reading committed offsets", self._settings.kafka):
                    raise
            if committed is not None:
                self._resume(committed.metadata)
        self._fresh = waiting
