"""SIGTERM and SIGINT end a worker in order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Exit code of a second signal, as a shell reports SIGINT.
SECOND_SIGNAL_EXIT = 130


@contextmanager
def set_by_signals(stopping: threading.Event) -> Iterator[None]:
    """The first signal sets `stopping`; a second one ends the process at once. Only where signals can be caught: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(SECOND_SIGNAL_EXIT)
        stopping.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
