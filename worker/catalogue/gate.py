"""A gate many may pass at once and one may close, when nobody is inside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.errors import ConfigurationError


class Gate:
    """Counts the calls inside; `shut` lets no more in, waits until they are out, and does the closing once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False

    @contextmanager
    def pass_through(self, name: str) -> Iterator[None]:
        """Be inside for the length of the block. Raises `ConfigurationError` naming `name` once the gate is shut."""
        with self._changed:
            if self._shut:
                raise ConfigurationError(f"{name} was closed or dropped while it was in use")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self, close: Callable[[], None]) -> None:
        """Let nobody in any more, wait for those inside, call `close`. The second call does nothing."""
        with self._changed:
            if self._shut:
                return
            self._shut = True
            self._changed.wait_for(lambda: self._inside == 0)
        close()
