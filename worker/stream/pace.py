"""How long the poll loop waits for what: records, results, the end of a rebalance."""

from __future__ import annotations

import time

from kafka import KafkaConsumer

from worker.stream.assignment import Assignment
from worker.stream.client import is_rebalancing
from worker.stream.feed import Feed
from worker.stream.line import AssemblyLine

# Nothing in flight: how long a poll waits for records. Also how late a signal is seen at most.
IDLE_POLL_S = 0.1
# While the group rebalances, polls wait longer: kafka-python forgets the answer of a join that arrives between two polls, and joins
# again. A thousand times the gap between them makes that rare.
REBALANCING_POLL_S = 0.2
# Results are held back for so long while this member joins its group again; most rebalances are over in less.
HOLD_COMMITS_S = 2.0
# Something in flight and room for more: how long results are waited for between two polls.
BUSY_WAIT_S = 0.003
# Something in flight and no room for more: nothing but results can come.
FULL_WAIT_S = 0.02


class Pace:
    """The waits of one worker, from what its feed, its line and its partitions hold."""

    def __init__(self, feed: Feed, line: AssemblyLine, assignment: Assignment) -> None:
        self._feed, self._line, self._assignment = feed, line, assignment
        self._rebalancing_since: float | None = None

    def may_commit(self, consumer: KafkaConsumer) -> bool:
        """Not while this member's own join is on its way: the group may take it at any moment, and offsets of before then are refused.

        Bounded, for a rebalance lasts as long as the slowest member drains; commits are taken until the last one has joined.
        """
        if not is_rebalancing(consumer):
            self._rebalancing_since = None
            return True
        now = time.monotonic()
        if self._rebalancing_since is None:
            self._rebalancing_since = now
        return now - self._rebalancing_since > HOLD_COMMITS_S

    def results_wait_s(self, in_flight: int) -> float:
        """How long results may be waited for."""
        if in_flight == 0:
            return 0.0
        return BUSY_WAIT_S if self._feed.room and self._line.has_room else FULL_WAIT_S

    def poll_wait_s(self, consumer: KafkaConsumer, in_flight: int) -> float:
        """How long a poll may wait for records."""
        if is_rebalancing(consumer):
            return REBALANCING_POLL_S
        if in_flight:
            return 0.0
        due = self._feed.due_in_s()
        if any(partition.cut is not None for partition in self._assignment.owned.values()):
            return BUSY_WAIT_S
        return IDLE_POLL_S if due is None else min(due, IDLE_POLL_S)
