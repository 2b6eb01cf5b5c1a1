"""What the assembly line reports about itself. The ops room turns it into metrics; tests look at it; the default ignores it."""

from __future__ import annotations

from typing import Literal, Protocol

from worker.errors import Reason

RebalanceKind = Literal["assigned", "revoked", "lost"]
TransactionEnd = Literal["committed", "aborted", "unsafe"]
WatchdogAction = Literal["heal", "restart"]


class StreamObserver(Protocol):
    """Called from the poll loop's thread and from the lines' threads; must be quick, thread-safe, and never raise."""

    def turned(self) -> None:
        """The poll loop turned once more."""

    def moved(self) -> None:
        """Something got on: a stage ended, a transaction committed, a retry was planned."""

    def batch_sent(self, line: str, records: int) -> None:
        """A batch was put before a line of stages."""

    def batch_taken(self, line: str, records: int) -> None:
        """A line took a batch out of its queue."""

    def stage_ended(self, stage: str, records: int, seconds: float) -> None:
        """A stage worked on `records` values of one batch."""

    def transaction_ended(self, end: TransactionEnd, records: int, seconds: float) -> None:
        """`records` consumed records were settled by one transaction (published and committed), or were not."""

    def dead_letter(self, reason: Reason, stage: str) -> None:
        """A dead letter was committed."""

    def retry(self, error: str, stage: str) -> None:
        """A record was put back because of `error` (a class name) and its partition waits."""

    def rebalanced(self, kind: RebalanceKind, partitions: int) -> None:
        """The assignment changed by so many partitions."""

    def assignment(self, partitions: int, waiting: int) -> None:
        """How many partitions are assigned now, and how many of them back off."""

    def in_flight(self, records: int) -> None:
        """Records polled and neither committed nor put back."""

    def lag(self, topic: str, partition: int, records: int | None) -> None:
        """Records of an assigned partition not committed yet; None: not assigned any more."""

    def watchdog(self, action: WatchdogAction) -> None:
        """The progress watchdog healed a partition, or gives up and restarts the process."""


class NullObserver:
    """Ignores everything."""

    def turned(self) -> None:
        """Ignore."""

    def moved(self) -> None:
        """Ignore."""

    def batch_sent(self, line: str, records: int) -> None:
        """Ignore."""

    def batch_taken(self, line: str, records: int) -> None:
        """Ignore."""

    def stage_ended(self, stage: str, records: int, seconds: float) -> None:
        """Ignore."""

    def transaction_ended(self, end: TransactionEnd, records: int, seconds: float) -> None:
        """Ignore."""

    def dead_letter(self, reason: Reason, stage: str) -> None:
        """Ignore."""

    def retry(self, error: str, stage: str) -> None:
        """Ignore."""

    def rebalanced(self, kind: RebalanceKind, partitions: int) -> None:
        """Ignore."""

    def assignment(self, partitions: int, waiting: int) -> None:
        """Ignore."""

    def in_flight(self, records: int) -> None:
        """Ignore."""

    def lag(self, topic: str, partition: int, records: int | None) -> None:
        """Ignore."""

    def watchdog(self, action: WatchdogAction) -> None:
        """Ignore."""
