"""How long each arrival has waited for its twins, across retries in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable

# An arrival that was not seen for so many bounds went to another worker; if it ever comes back its wait begins anew. Well above the
# longest backoff between two retries of a waiting partition.
FORGET_AFTER_BOUNDS = 20


class Patience:
    """Counts from an arrival's first wait. Thread-safe."""

    def __init__(self, bound_s: float, clock: Callable[[], float]) -> None:
        """`bound_s` seconds of waiting are allowed."""
        self._bound_s = bound_s
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: dict[str, tuple[float, float]] = {}  # arrival id -> first and last time it waited

    def wait(self, arrival_id: str) -> bool:
        """It waits (again); True once the bound is reached."""
        now = self._clock()
        with self._lock:
            self._drop_stale(now)
            first, _ = self._waits.get(arrival_id, (now, now))
            self._waits[arrival_id] = (first, now)
        return now - first >= self._bound_s

    def waited(self, arrival_id: str) -> float:
        """Seconds since its first wait; 0 if it never waited."""
        with self._lock:
            first, last = self._waits.get(arrival_id, (0.0, 0.0))
        return last - first

    def forget(self, arrival_id: str) -> None:
        """It is decided."""
        with self._lock:
            self._waits.pop(arrival_id, None)

    def _drop_stale(self, now: float) -> None:
        horizon = now - FORGET_AFTER_BOUNDS * self._bound_s
        for arrival_id in [key for key, (_, last) in self._waits.items() if last < horizon]:
            del self._waits[arrival_id]
