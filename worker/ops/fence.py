"""A fence against oneself: a process that stood still may have been overtaken, and must not write as if nothing had happened.

A worker that is stopped (SIGSTOP, a frozen container, a long swap) for longer than its Kafka session loses its partitions; another
worker reads its events again. Waking up, it goes on in the middle of whatever it did. The poll loop's beat tells how long it stood still.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.errors import RetryError


@dataclass(slots=True)
class StandstillFence:
    """Closed while the poll loop has not turned for `session_s`, and for as long after it turned again.

    By then the poll loop has learned from the group whether its partitions are still its own, and what is not is discarded. Before the
    first beat it is open. A closed fence costs a retry, never an event.
    """

    session_s: float
    clock: Callable[[], float] = time.monotonic
    _beat_at: float | None = field(init=False, default=None)
    _closed_until: float = field(init=False, default=float("-inf"))
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def beat(self) -> None:
        """The poll loop turned once more."""
        with self._lock:
            self._note(self.clock())
            self._beat_at = self.clock()

    def check(self) -> None:
        """Return if writing is safe.

        Raises:
            RetryError: the process stood still; its partition is read again, by whoever owns it now.
        """
        with self._lock:
            now = self.clock()
            self._note(now)
            if now < self._closed_until:
                raise RetryError(
                    f"this process stood still for longer than its session ({self.session_s:.0f} s) and may have been overtaken: "
                    "nothing is written until the group has told who owns what"
                )

    def _note(self, now: float) -> None:
        if self._beat_at is not None and now - self._beat_at > self.session_s:
            self._closed_until = max(self._closed_until, now + self.session_s)
