"""A deadline on calls that may wait for ever: when it passes, the process ends.

kafka-python waits without a timeout in commit_transaction, abort_transaction and send_offsets_to_transaction. A thread that waits
there cannot be interrupted, and whatever it holds cannot be trusted; so the process ends (`os._exit`, no clean-up that could wait too)
and its supervisor starts it again. The open transaction is aborted by its timeout or by the next holder of its id.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from worker.errors import DeadlineExceeded

_log = structlog.get_logger(__name__)


def _end_process(call: str, timeout_s: float) -> None:
    _log.critical("a Kafka call did not end in time: the process ends and must be restarted", call=call, timeout_s=timeout_s)
    os._exit(DeadlineExceeded.exit_code)


@dataclass(slots=True)
class CallWatchdog:
    """Watches one call at a time of one thread. A context manager that owns a daemon thread.

    Attributes:
        timeout_s: for calls that name no other.
        on_timeout: what to do, given the call's name and timeout; ends the process.
    """

    timeout_s: float
    on_timeout: Callable[[str, float], None] = _end_process
    _call: str | None = field(init=False, default=None)
    _end: float = field(init=False, default=0.0)
    _limit: float = field(init=False, default=0.0)
    _closed: bool = field(init=False, default=False)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._watch, name="call-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    @contextlib.contextmanager
    def guard(self, call: str, timeout_s: float | None = None) -> Iterator[None]:
        """The body must end within `timeout_s`."""
        limit = self.timeout_s if timeout_s is None else timeout_s
        with self._changed:
            self._call, self._limit, self._end = call, limit, time.monotonic() + limit
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._call = None

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                if self._call is None:
                    self._changed.wait()
                elif (left := self._end - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    self.on_timeout(self._call, self._limit)
                    self._call = None
