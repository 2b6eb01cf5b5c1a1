"""A run from its configuration to its end: the folder is locked, signals end it cleanly, curves are drawn."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from worker.errors import ConfigurationError
from worker.lab.training.catalogue import build_recipe
from worker.lab.training.checkpoint import BEST, load
from worker.lab.training.config import TrainConfig
from worker.lab.training.drawing import CSV, draw_curves
from worker.lab.training.loop import Ending, Teller, Trainer

LOCK = ".lock"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run, or this part of it, ended.

    Attributes:
        ending: why.
        signal: what stopped it; None where nothing did.
        resumed: the step it went on from; 0 where it began.
        step: batches since the beginning.
        epoch: epochs that are complete, of `epochs`.
        seconds: of training, over all parts.
        score: name of the figure it is judged by.
        figures: held-out figures of the best checkpoint; empty where there is none yet.
        page: the drawn curves; None where nothing was trained.
    """

    ending: Ending
    signal: signal.Signals | None
    resumed: int
    step: int
    epoch: int
    epochs: int
    seconds: float
    score: str
    figures: dict[str, float]
    page: Path | None


def train(config: TrainConfig, source: Path, folder: Path, tell: Teller) -> Outcome:
    """Train, or go on where `folder` holds a checkpoint.

    Raises:
        ConfigurationError: the configuration, the data or the folder are not such that it can be done, the loss is no number any
            more, or a checkpoint cannot be written.
    """
    with _locked(folder):
        trainer = Trainer(config, build_recipe(config, source), folder, tell, source)
        resumed = trainer.progress.step
        with _stopped_by_signals(trainer) as heard:
            ending = trainer.run()
        best = folder / BEST
        figures = load(best)["figures"] if best.exists() else {}
        outcome = Outcome(
            ending=ending,
            signal=heard[0] if heard and ending is Ending.STOPPED else None,
            resumed=resumed,
            step=trainer.progress.step,
            epoch=trainer.progress.epoch,
            epochs=config.run.epochs,
            seconds=trainer.progress.seconds,
            score=trainer.recipe.score.name,
            figures=figures,
            page=None,
        )
        return _drawn(outcome, config, folder)


def _drawn(outcome: Outcome, config: TrainConfig, folder: Path) -> Outcome:
    if not (folder / CSV).exists():
        return outcome
    notes = [
        f"{outcome.epoch} of {outcome.epochs} epochs, {outcome.step} steps, {outcome.seconds / 60:.1f} minutes; {outcome.ending}.",
        "Best checkpoint, held out: "
        + (", ".join(f"{name} {value:.4g}" for name, value in outcome.figures.items()) or "none yet"),
    ]
    page = draw_curves(folder, f"{config.kind}: {folder.name}", notes)
    return Outcome(**{name: getattr(outcome, name) for name in Outcome.__slots__} | {"page": page})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two runs in one folder would write one another's checkpoints over; the kernel frees the lock when its holder dies.

    A record lock: processes that prepare batches do not inherit it, and may outlive a run that was killed by some seconds.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to: {error}") from error
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except (BlockingIOError, PermissionError) as error:
        raise ConfigurationError(f"another process trains in {folder}; wait for it, or give another --output") from error
    finally:
        os.close(file)


@contextmanager
def _stopped_by_signals(trainer: Trainer) -> Iterator[list[signal.Signals]]:
    """The first signal ends the run after its batch; the second at once, as it would without this."""
    heard: list[signal.Signals] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(signal.Signals(number))
        trainer.stop()
        for each in SIGNALS:
            signal.signal(each, before[each])

    before = {each: signal.signal(each, hear) for each in SIGNALS}
    try:
        yield heard
    finally:
        for each in SIGNALS:
            signal.signal(each, before[each])
