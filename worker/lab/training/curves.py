"""Curves of a run: `curves.csv` (step, epoch, seconds, part, figure, value), and TensorBoard's files where it is installed."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from worker.lab.training.checkpoint import Progress

FILE = "curves.csv"
# step: batches since the beginning. epoch: epochs that are complete. seconds: of training, over all its parts.
HEADER = ("step", "epoch", "seconds", "part", "figure", "value")
TRAIN_EVERY = 10  # steps between two lines of the training curve, each the mean since the last


class Curves:
    """Appends as the run goes; after a resume, lines written after the checkpoint are dropped and written again."""

    def __init__(self, folder: Path) -> None:
        """Nothing is written before `begin`."""
        self._path = folder / FILE
        self._sums: dict[str, list[float]] = {}
        self._board: Any = None
        self._folder = folder
        self._lines = 0

    def begin(self, progress: Progress, state: dict[str, Any] | None = None) -> None:
        """Begin, or continue at the `state` of a checkpoint."""
        state = state or {"lines": 0, "sums": {}}
        self._sums = {name: list(values) for name, values in state["sums"].items()}
        rows = self._rows()[: state["lines"]]
        with self._path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
        self._lines = len(rows)
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  optional

            self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=progress.step + 1)
        except ImportError:
            self._board = None

    def state(self) -> dict[str, Any]:
        """For a checkpoint: how many lines there are, and what the next one is the mean of."""
        return {"lines": self._lines, "sums": {name: list(values) for name, values in self._sums.items()}}

    def train(self, progress: Progress, figures: dict[str, float]) -> None:
        """Figures of one batch."""
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(value)
        if progress.step % TRAIN_EVERY == 0:
            self._write(progress, "train", {name: sum(values) / len(values) for name, values in self._sums.items()})
            self._sums = {}

    def held_out(self, progress: Progress, figures: dict[str, float]) -> None:
        """Figures of an evaluation."""
        self._write(progress, "held-out", figures)

    def close(self) -> None:
        """Nothing is written after this."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def _write(self, progress: Progress, part: str, figures: dict[str, float]) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for name, value in figures.items():
                writer.writerow([progress.step, progress.epoch, f"{progress.seconds:.1f}", part, name, f"{value:.6g}"])
                self._lines += 1
                if self._board is not None:
                    self._board.add_scalar(f"{part}/{name}", value, progress.step)

    def _rows(self) -> list[list[str]]:
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8", newline="") as file:
            return [row for row in list(csv.reader(file))[1:] if len(row) == len(HEADER)]
