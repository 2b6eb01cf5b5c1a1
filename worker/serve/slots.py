"""A bound on what is in work at one time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slots:
    """So many things at one time; who finds none free is sent away, not made to wait. Thread-safe."""

    limit: int
    _taken: int = field(init=False, default=0)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def take(self) -> bool:
        """Take one; False if none is free."""
        with self._lock:
            if self._taken >= self.limit:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        """Give back one that was taken."""
        with self._lock:
            if self._taken == 0:
                raise RuntimeError("a slot was given back twice")
            self._taken -= 1

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self._taken
