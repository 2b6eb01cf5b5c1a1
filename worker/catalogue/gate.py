"""A gate many may pass at once, one may have for itself, and one may close, when nobody is inside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.errors import ConfigurationError


class Gate:
    """Counts the calls inside; `alone` and `shut` let no more in and wait until they are out. Whoever is inside must not ask for either."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False
        self._shut = False

    @contextmanager
    def pass_through(self, name: str) -> Iterator[None]:
        """Be inside for the length of the block. Raises `ConfigurationError` naming `name` once the gate is shut."""
        with self._changed:
            self._come_in(name)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only one inside for the length of the block; others wait. Raises as `pass_through`."""
        with self._changed:
            self._come_in(name)
            self._alone = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def shut(self, close: Callable[[], None]) -> None:
        """Let nobody in any more, wait for those inside, call `close`. The second call does nothing."""
        with self._changed:
            if self._shut:
                return
            self._shut = True
            self._changed.wait_for(lambda: self._inside == 0 and not self._alone)
        close()

    def _come_in(self, name: str) -> None:
        self._changed.wait_for(lambda: self._shut or not self._alone)
        if self._shut:
            raise ConfigurationError(f"{name} was closed or dropped while it was in use")
