"""One wall-clock budget, shared by everything that must happen before it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock. Pass the object, not seconds: what one step uses up, the next does not have."""

    at: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """A deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.clock())

    @property
    def passed(self) -> bool:
        """True once nothing is left."""
        return self.clock() >= self.at

    def check(self, what: str) -> None:
        """Raise `DeadlineExceeded` naming `what` if nothing is left."""
        if self.passed:
            raise DeadlineExceeded(f"{what} did not end in time")
