"""How long it takes, for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.lab.embed import Starter

# Where no terminal is, a log grows by a line: not oftener than this.
LINE_EVERY_S = 15.0


@contextmanager
def show_progress(stream: TextIO) -> Iterator[Starter]:
    """A bar for each thing that is begun, or lines where `stream` is no terminal."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield lambda what, total: _lines(console, what, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:

        def start(what: str, total: int) -> Callable[[int], None]:
            task = bars.add_task(what, total=total)

            def advance(count: int) -> None:
                bars.advance(task, count)

            return advance

        yield start


def _lines(console: Console, what: str, total: int) -> Callable[[int], None]:
    begun = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if done >= total or now - last >= LINE_EVERY_S:
            last = now
            left = (now - begun) / done * (total - done) if done else 0.0
            console.print(
                f"{what}: {done} of {total} photos, about {left:.0f} s left", markup=False, highlight=False, soft_wrap=True
            )

    return advance
