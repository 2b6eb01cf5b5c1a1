"""One partition for as long as this worker owns it: what is in flight, where it is held, what failed before.

A partition that is revoked and comes back is a new object, so that records still in the line from before cannot be mistaken.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from kafka import TopicPartition


@dataclass(slots=True)
class Attempts:
    """How often a record failed with a RetryError in this ownership, and when first (monotonic seconds)."""

    first_at: float
    count: int = 0


@dataclass(slots=True, eq=False)  # two ownerships of one partition are two things
class OwnedPartition:
    """State of an assigned partition.

    The lines' threads call `hold` and `blocks`; everything else belongs to the poll loop's thread, but for `owned`, which the
    consumer's own thread clears when the partition is lost.

    Attributes:
        name: topic and number.
        owned: False once revoked or lost: whatever of it is in the line is discarded.
        revoking: True while it may still be committed, but not polled.
        in_flight: records of it that were put into the line and did not come back.
        cut: offset from which everything is discarded and read again; None: nothing is.
        resume_at: monotonic time before which reading again does not start.
        next_offset: what the last commit of this ownership said; None before the first.
        failures: what failed before, by offset.
    """

    name: TopicPartition
    owned: bool = True
    revoking: bool = False
    in_flight: int = 0
    cut: int | None = None
    resume_at: float = 0.0
    next_offset: int | None = None
    failures: dict[int, Attempts] = field(default_factory=dict)
    _held_at: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, offset: int) -> None:
        """The record at `offset` must be tried again: no later record of this partition goes on until then."""
        with self._lock:
            if self._held_at is None or offset < self._held_at:
                self._held_at = offset

    @property
    def held(self) -> bool:
        """True from `hold` to `release`."""
        return self._held_at is not None

    def blocks(self, offset: int) -> bool:
        """True if the record at `offset` must not be worked on: an earlier one waits, or the partition is another worker's."""
        held_at = self._held_at
        return not self.owned or (held_at is not None and offset > held_at)

    def release(self) -> None:
        """Reading again starts."""
        with self._lock:
            self._held_at = None
        self.cut = None

    def failed(self, offset: int, now: float) -> Attempts:
        """Count one more failure of the record at `offset`."""
        with self._lock:
            attempts = self.failures.setdefault(offset, Attempts(first_at=now))
            attempts.count += 1
            return attempts

    def attempts(self, offset: int) -> int:
        """How often the record was tried, this time included."""
        attempts = self.failures.get(offset)
        return 1 if attempts is None else attempts.count + 1

    def committed(self, next_offset: int) -> None:
        """Everything before `next_offset` is settled."""
        self.next_offset = next_offset
        with self._lock:
            for offset in [offset for offset in self.failures if offset < next_offset]:
                del self.failures[offset]
