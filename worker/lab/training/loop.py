"""The loop: epochs of a recipe, with mixed precision, checkpoints, curves, early stopping, and resuming after a kill."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from worker.errors import ConfigurationError
from worker.lab.training.checkpoint import (
    BEST,
    LAST,
    Progress,
    config_hash,
    load,
    provenance,
    random_state,
    save,
    seed_all,
    set_random_state,
)
from worker.lab.training.config import RunConfig, Schedule, TrainConfig
from worker.lab.training.curves import Curves
from worker.lab.training.recipe import Batch, Job, Recipe

PROVENANCE = "provenance.json"
Teller = Callable[[str, int, int, dict[str, float]], None]


class Trainer:
    """One run in one folder: `last.pt`, `best.pt`, `curves.csv`, `provenance.json`."""

    def __init__(self, config: TrainConfig, recipe: Recipe, folder: Path, tell: Teller) -> None:
        """`tell` hears (what, done, total, figures) after every batch and evaluation.

        Raises:
            ConfigurationError: the folder holds a run of another configuration, or the device is not there.
        """
        self.config, self.run_config, self.recipe, self.folder, self._tell = config, config.run, recipe, folder, tell
        self.device = pick_device(config.run)
        self._precision = pick_precision(config.run, self.device)
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        seed_all(config.run.seed)
        self.model = recipe.model().to(self.device)
        self._optimizer = make_optimizer(recipe.parameters(config.run.optimizer.lr), config.run)
        self._base = [group["lr"] for group in self._optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._precision is torch.float16)
        self._averaged = copy.deepcopy(self.model).eval() if config.run.average else None
        self.progress = Progress()
        self._factor = 1.0  # of plateau
        folder.mkdir(parents=True, exist_ok=True)
        self.curves = Curves(folder)
        self._resume()

    def run(self) -> Progress:
        """Train until the epochs are done, the time is up, or the score stops rising."""
        limit = self.run_config.minutes * 60
        began = saved = time.monotonic()
        before = self.progress.seconds
        while self.progress.epoch < self.run_config.epochs and not self._stopped_early():
            jobs = self.recipe.plan(self.progress.epoch)
            self.recipe.begin(self.progress.epoch)
            for batch in self._batches(jobs[self.progress.done :]):
                figures = self._step(batch, len(jobs))
                self.progress.done += 1
                self.progress.step += 1
                self.progress.seconds = before + time.monotonic() - began
                self.curves.train(self.progress, figures)
                self._tell(f"epoch {self.progress.epoch + 1}", self.progress.done, len(jobs), figures)
                if limit and time.monotonic() - began > limit:
                    self._save()
                    return self.progress
                if time.monotonic() - saved > self.run_config.save_every_s:
                    self._save()
                    saved = time.monotonic()
            self.progress.epoch += 1
            self.progress.done = 0
            if self.progress.epoch % self.run_config.evaluate_every == 0 or self.progress.epoch == self.run_config.epochs:
                self._evaluate()
            self._save()
        return self.progress

    def _stopped_early(self) -> bool:
        return 0 < self.run_config.early_stop <= self.progress.stale

    def _step(self, batch: Batch, total: int) -> dict[str, float]:
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            group["lr"] = (
                base
                * self._factor
                * learning_rate_factor(
                    self.run_config.schedule, self.progress.step, self.progress.epoch, self.run_config.epochs * total
                )
            )
        with torch.autocast(self.device.type, dtype=self._precision, enabled=self._precision is not torch.float32):
            loss, figures = self.recipe.loss(tuple(part.to(self.device, non_blocking=True) for part in batch))
        if not math.isfinite(float(loss.detach())):
            raise ConfigurationError(
                f"the loss is {float(loss.detach())} at step {self.progress.step}: lower run.optimizer.lr, set run.optimizer.clip_norm "
                "or run.precision = 'fp32'; the last checkpoint is from before"
            )
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if self.run_config.optimizer.clip_norm:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.run_config.optimizer.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._average()
        return {"loss": float(loss.detach()), **figures}

    def _average(self) -> None:
        if self._averaged is None:
            return
        # A young average would remember the first weights for long.
        decay = min(self.run_config.average, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for mine, now in zip(self._averaged.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(now, 1 - decay)
                else:
                    mine.copy_(now)

    def _evaluate(self) -> None:
        with _judged(self.model, self._averaged):
            figures = self.recipe.evaluate()
        if not figures:
            return
        score = figures[self.recipe.score.name]
        self.curves.held_out(self.progress, figures)
        better = self.progress.best is None or (
            score > self.progress.best if self.recipe.score.higher_is_better else score < self.progress.best
        )
        self.progress.stale = 0 if better else self.progress.stale + 1
        if better:
            self.progress.best = score
            save(self.folder / BEST, {"model": self._judged_state(), "progress": _plain(self.progress), "figures": figures})
        schedule = self.run_config.schedule
        if schedule.name == "plateau" and self.progress.stale and self.progress.stale % schedule.patience == 0:
            self._factor *= schedule.factor
        self._tell("held out", self.progress.epoch, self.run_config.epochs, figures)

    def _judged_state(self) -> dict[str, Tensor]:
        return (self._averaged or self.model).state_dict()

    def _save(self) -> None:
        save(
            self.folder / LAST,
            {
                "config": config_hash(self.config),
                "model": self.model.state_dict(),
                "averaged": None if self._averaged is None else self._averaged.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "factor": self._factor,
                "random": random_state(),
                "progress": _plain(self.progress),
            },
        )

    def _resume(self) -> None:
        path = self.folder / LAST
        if not path.exists():
            content = provenance(self.config, self.recipe.provenance())
            (self.folder / PROVENANCE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            self.curves.begin(self.progress)
            return
        content = load(path)
        if content["config"] != config_hash(self.config):
            raise ConfigurationError(
                f"{self.folder} holds a run of another configuration; give another --output, or delete the folder to start anew"
            )
        self.model.load_state_dict(content["model"])
        if self._averaged is not None:
            self._averaged.load_state_dict(content["averaged"])
        self._optimizer.load_state_dict(content["optimizer"])
        self._scaler.load_state_dict(content["scaler"])
        self._factor = content["factor"]
        set_random_state(content["random"])
        self.progress = Progress(**content["progress"])
        self.curves.begin(self.progress)

    def _batches(self, jobs: Sequence[Job]) -> Iterator[Batch]:
        if not self.run_config.workers:
            return map(self.recipe.load, jobs)
        loader = DataLoader(
            _Jobs(self.recipe, jobs), batch_size=None, num_workers=self.run_config.workers, pin_memory=self.device.type == "cuda"
        )
        return iter(loader)


class _Jobs(Dataset[Batch]):
    def __init__(self, recipe: Recipe, jobs: Sequence[Job]) -> None:
        self._recipe, self._jobs = recipe, jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, index: int) -> Batch:
        return self._recipe.load(self._jobs[index])


class _judged:  # noqa: N801  a context manager, used like a function
    """The model with the averaged weights, in eval mode, while it is judged."""

    def __init__(self, model: nn.Module, averaged: nn.Module | None) -> None:
        self._model, self._averaged = model, averaged
        self._own: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        self._model.eval()
        if self._averaged is not None:
            self._own = {name: value.clone() for name, value in self._model.state_dict().items()}
            self._model.load_state_dict(self._averaged.state_dict())

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._model.load_state_dict(self._own)


def pick_device(run: RunConfig) -> torch.device:
    """The configured device.

    Raises:
        ConfigurationError: cuda is wanted and not there.
    """
    if run.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("run.device is cuda and torch sees no GPU; set it to auto or cpu")
    return torch.device("cuda" if run.device != "cpu" and torch.cuda.is_available() else "cpu")


def pick_precision(run: RunConfig, device: torch.device) -> torch.dtype:
    """The number type of autocast; float32 means none."""
    if run.precision == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[run.precision]


def make_optimizer(groups: list[dict[str, Any]], run: RunConfig) -> torch.optim.Optimizer:
    """The configured optimiser; biases and scales (one dimension) are not decayed."""
    split = []
    for group in groups:
        rest = {name: value for name, value in group.items() if name != "params"}
        weights = [each for each in group["params"] if each.requires_grad]
        decayed, plain = [each for each in weights if each.ndim > 1], [each for each in weights if each.ndim <= 1]
        split += [{**rest, "params": decayed, "weight_decay": run.optimizer.weight_decay}] if decayed else []
        split += [{**rest, "params": plain, "weight_decay": 0.0}] if plain else []
    for group in split:
        group.setdefault("lr", run.optimizer.lr)
    wanted = run.optimizer
    if wanted.name == "adamw":
        return torch.optim.AdamW(split, lr=wanted.lr)
    if wanted.name == "adam":
        return torch.optim.Adam(split, lr=wanted.lr)
    if wanted.name == "rmsprop":
        return torch.optim.RMSprop(split, lr=wanted.lr, momentum=wanted.momentum)
    return torch.optim.SGD(split, lr=wanted.lr, momentum=wanted.momentum)


def learning_rate_factor(schedule: Schedule, step: int, epoch: int, steps: int) -> float:
    """What the configured learning rate is multiplied by at a step of `steps`, in `epoch` (from 0)."""
    warm = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    if schedule.name == "cosine":
        share = min(1.0, max(0.0, (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)))
        return warm * 0.5 * (1 + math.cos(math.pi * share))
    if schedule.name == "step":
        return float(warm * schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones))
    return warm


def _plain(progress: Progress) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in Progress.__slots__}
