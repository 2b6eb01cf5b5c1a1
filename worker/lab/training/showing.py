"""How far a run is, for people: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from worker.lab.showing import LINE_EVERY_S

HELD_OUT = "held out"  # what the loop calls an evaluation


def figures_text(figures: Mapping[str, float]) -> str:
    """Figures in one line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


@contextmanager
def show_training(stream: TextIO) -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """What the loop tells, shown on `stream`."""
    console = Console(file=stream)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        with Progress(*columns, console=console) as bars:
            yield _Bars(bars).tell
    else:
        yield _Lines(console).tell


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def tell(self, what: str, done: int, total: int, figures: dict[str, float]) -> None:
        if what == HELD_OUT:
            self._bars.console.print(f"after epoch {done} of {total}: {figures_text(figures)}", markup=False, highlight=False)
            return
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            # A resumed epoch begins in its middle: the time left is reckoned from there.
            self._tasks = {what: self._bars.add_task(what, total=total, completed=done - 1, figures="")}
        self._bars.update(self._tasks[what], completed=done, figures=figures_text(figures))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def tell(self, what: str, done: int, total: int, figures: dict[str, float]) -> None:
        now = time.monotonic()
        if what == HELD_OUT:
            self._print(f"after epoch {done} of {total}: {figures_text(figures)}")
        elif now - self._last >= LINE_EVERY_S:
            self._print(f"{what}: {done} of {total} batches, {figures_text(figures)}")

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
