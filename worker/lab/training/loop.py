"""The loop: epochs of a recipe, with mixed precision, checkpoints, curves, early stopping, and resuming after a kill."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.training.batches import batch_seeds, batches
from worker.lab.training.checkpoint import (
    BEST,
    LAST,
    PROVENANCE,
    Progress,
    config_hash,
    decisive,
    differences,
    load,
    provenance,
    save,
)
from worker.lab.training.config import TrainConfig
from worker.lab.training.curves import Curves
from worker.lab.training.optimizing import learning_rate_factor, make_optimizer, pick_device, pick_precision
from worker.lab.training.randomness import isolated, random_state, seed_all, seed_of, set_random_state
from worker.lab.training.recipe import Batch, Recipe

Teller = Callable[[str, int, int, dict[str, float]], None]
# Of seeds of what is no batch: far from any number of an epoch's batches.
_PLAN, _BEGIN, _JUDGE = 2**40, 2**41, 2**42


class Ending(StrEnum):
    """Why a run ended."""

    DONE = "the epochs are done"
    EARLY = "the score rises no more"
    TIME = "the time is up"
    STOPPED = "it was stopped"


class Trainer:
    """One run in one folder: `last.pt`, `best.pt`, `curves.csv`, `provenance.json`."""

    def __init__(self, config: TrainConfig, recipe: Recipe, folder: Path, tell: Teller, source: Path | None = None) -> None:
        """`tell` hears (what, done, total, figures) after every batch and evaluation; `source` is the configuration's file.

        Raises:
            ConfigurationError: the folder holds a run of another configuration, or the device is not there.
        """
        self.config, self.run_config, self.recipe, self.folder, self._tell = config, config.run, recipe, folder, tell
        self.device = pick_device(config.run)
        self._precision = pick_precision(config.run, self.device)
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        torch.backends.cudnn.benchmark = self.device.type == "cuda"  # a run's batches have one size
        seed_all(config.run.seed)
        self.model = recipe.model().to(self.device)
        self._optimizer = make_optimizer(recipe.parameters(config.run.optimizer.lr), config.run)
        self._base = [group["lr"] for group in self._optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._precision is torch.float16)
        self._averaged = _copied(self.model.state_dict()) if config.run.average else None
        self.progress = Progress()
        self._factor = 1.0  # of plateau
        self._stopping = False
        folder.mkdir(parents=True, exist_ok=True)
        self.curves = Curves(folder)
        self._resume(source)
        self._began, self._before = time.monotonic(), self.progress.seconds

    def stop(self) -> None:
        """End after the batch that is under way, with a checkpoint. May be called in a signal handler."""
        self._stopping = True

    def run(self) -> Ending:
        """Train until the epochs are done, the time is up, the score rises no more, or `stop` is called.

        Raises:
            ConfigurationError: the loss is no number any more, or a checkpoint cannot be written.
        """
        try:
            if not self.run_config.epochs and self.progress.best is None:
                self._evaluate()
                self._save()
            while self.progress.epoch < self.run_config.epochs:
                if self._stopped_early():
                    return Ending.EARLY
                ending = self._epoch()
                if ending is not None:
                    return ending
            return Ending.DONE
        finally:
            self.curves.close()

    def _epoch(self) -> Ending | None:
        """One epoch or what is left of it; None where it came to its end."""
        epoch, seed = self.progress.epoch, self.run_config.seed
        # On their own seeds: a resumed run does both a second time.
        with isolated(seed_of(seed, epoch, _PLAN)):
            jobs = self.recipe.plan(epoch)
        if not jobs:
            raise ConfigurationError(f"epoch {epoch + 1} has no batches: fewer photos than run.batch = {self.run_config.batch}?")
        with isolated(seed_of(seed, epoch, _BEGIN)):
            self.recipe.begin(epoch)
        done, limit, saved = self.progress.done, self.run_config.minutes * 60, time.monotonic()
        left = jobs[done:]
        seeds = batch_seeds(seed, epoch, done, len(jobs))
        prepared = batches(self.recipe, left, seeds, self.run_config.workers, pin=self.device.type == "cuda")
        for batch in self._while_it_may(prepared):
            figures = self._step(batch, len(jobs))
            self.progress.done += 1
            self.progress.step += 1
            self._clock()
            self.curves.train(self.progress, figures)
            self._tell(f"epoch {epoch + 1}", self.progress.done, len(jobs), figures)
            if self._stopping:
                break
            if limit and time.monotonic() - self._began > limit:
                self._save()
                return Ending.TIME
            if time.monotonic() - saved > self.run_config.save_every_s:
                self._save()
                saved = time.monotonic()
        if self._stopping:
            self._save()
            return Ending.STOPPED
        self.progress.epoch += 1
        self.progress.done = 0
        if self.progress.epoch % self.run_config.evaluate_every == 0 or self.progress.epoch == self.run_config.epochs:
            self._evaluate()
        self._save()
        return None

    def _while_it_may(self, prepared: Iterator[Batch]) -> Iterator[Batch]:
        while not self._stopping:
            try:
                yield next(prepared)
            except StopIteration:
                return
            except RuntimeError:
                # A signal to the whole group ended the processes that prepare batches, too.
                if not self._stopping:
                    raise

    def _stopped_early(self) -> bool:
        return 0 < self.run_config.early_stop <= self.progress.stale

    def _clock(self) -> None:
        self.progress.seconds = self._before + time.monotonic() - self._began

    def _step(self, batch: Batch, total: int) -> dict[str, float]:
        factor = self._factor * learning_rate_factor(
            self.run_config.schedule, self.progress.step, self.progress.epoch, self.run_config.epochs * total
        )
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            group["lr"] = base * factor
        with torch.autocast(self.device.type, dtype=self._precision, enabled=self._precision is not torch.float32):
            loss, figures = self.recipe.loss(tuple(part.to(self.device, non_blocking=True) for part in batch))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if self.run_config.optimizer.clip_norm:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.run_config.optimizer.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._average()
        return {"loss": value, **{name: float(figure) for name, figure in figures.items()}}

    def _diverged(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{what} at step {self.progress.step}: lower run.optimizer.lr, set run.optimizer.clip_norm or run.precision = 'fp32', "
            "and begin in another folder; checkpoints in this one are from before"
        )

    def _average(self) -> None:
        if self._averaged is None:
            return
        # A young average would remember the first weights for long.
        decay = min(self.run_config.average, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for name, now in self.model.state_dict().items():
                mine = self._averaged[name]
                if mine.is_floating_point():
                    mine.lerp_(now, 1 - decay)
                else:
                    mine.copy_(now)

    def _evaluate(self) -> None:
        self._check_weights()
        with isolated(seed_of(self.run_config.seed, self.progress.epoch, _JUDGE)), torch.no_grad(), self._judged():
            figures = {name: float(value) for name, value in self.recipe.evaluate().items()}
        self._clock()
        if not figures:
            return
        score = figures[self.recipe.score.name]
        self.curves.held_out(self.progress, figures)
        better = math.isfinite(score) and (
            self.progress.best is None
            or (score > self.progress.best if self.recipe.score.higher_is_better else score < self.progress.best)
        )
        self.progress.stale = 0 if better else self.progress.stale + 1
        if better:
            self.progress.best = score
            judged = self.model.state_dict() if self._averaged is None else self._averaged
            save(self.folder / BEST, {"model": judged, "progress": _plain(self.progress), "figures": figures})
        schedule = self.run_config.schedule
        if schedule.name == "plateau" and self.progress.stale and self.progress.stale % schedule.patience == 0:
            self._factor *= schedule.factor
        self._tell("held out", self.progress.epoch, self.run_config.epochs, figures)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """The model with the averaged weights, in eval mode, while it is judged."""
        self.model.eval()
        if self._averaged is None:
            yield
            return
        own = _copied(self.model.state_dict())
        self.model.load_state_dict(self._averaged)
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def _check_weights(self) -> None:
        # A finite loss can have a gradient that is not: the next loss would tell, but a checkpoint may come before it.
        if not all(bool(torch.isfinite(weight).all()) for weight in self.model.parameters()):
            raise self._diverged("a weight is no number")

    def _save(self) -> None:
        self._check_weights()
        save(
            self.folder / LAST,
            {
                "config": config_hash(self.config),
                "model": self.model.state_dict(),
                "averaged": self._averaged,
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "factor": self._factor,
                "random": random_state(),
                "progress": _plain(self.progress),
                "curves": self.curves.state(),
            },
        )

    def _resume(self, source: Path | None) -> None:
        path = self.folder / LAST
        if not path.exists():
            content = provenance(self.config, self.recipe.provenance(), source)
            (self.folder / PROVENANCE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            (self.folder / BEST).unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
            self.curves.begin(self.progress)
            return
        content = load(path)
        if content["config"] != config_hash(self.config):
            raise ConfigurationError(
                f"{self.folder} holds a run of another configuration ({'; '.join(self._changes()) or 'its provenance is lost'}): give "
                "another --output, or delete the folder to start anew"
            )
        try:
            self.model.load_state_dict(content["model"])
            self._optimizer.load_state_dict(content["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ConfigurationError(f"{path} does not fit the network that its configuration builds now: {error}") from error
        if self._averaged is not None:
            self._averaged = {name: value.to(self.device) for name, value in content["averaged"].items()}
        if content["scaler"] and self._scaler.is_enabled():  # the run may have been in another number type before
            self._scaler.load_state_dict(content["scaler"])
        self._factor = content["factor"]
        set_random_state(content["random"])
        self.progress = Progress(**content["progress"])
        self.curves.begin(self.progress, content["curves"])

    def _changes(self) -> Sequence[str]:
        try:
            content = json.loads((self.folder / PROVENANCE).read_text(encoding="utf-8"))
            return differences(decisive(self.config), decisive(TrainConfig.model_validate(content["config"])))
        except (OSError, ValueError, KeyError):
            return ()


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


def _plain(progress: Progress) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in Progress.__slots__}
