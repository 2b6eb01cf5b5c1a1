"""Device, number type, optimiser and learning rate of a run."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import math
from typing import Any

import torch

from worker.errors import ConfigurationError
from worker.lab.training.config import RunConfig, Schedule


def pick_device(run: RunConfig) -> torch.device:
    """The configured device.

    Raises:
        ConfigurationError: cuda is wanted and not there.
    """
    if run.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("run.device is cuda and torch sees no GPU; set it to auto or cpu")
    return torch.device("cuda" if run.device != "cpu" and torch.cuda.is_available() else "cpu")


def pick_precision(run: RunConfig, device: torch.device) -> torch.dtype:
    """The number type of autocast; float32 means none.

    Raises:
        ConfigurationError: fp16 is wanted on a CPU.
    """
    if run.precision == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if run.precision == "fp16" and device.type == "cpu":
        raise ConfigurationError("run.precision is fp16, which is for GPUs: a CPU trains in bf16 (where it has it) or fp32")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[run.precision]


def make_optimizer(groups: list[dict[str, Any]], run: RunConfig) -> torch.optim.Optimizer:
    """The configured optimiser; biases and scales (one dimension) are not decayed.

    What has no gradient (a frozen part) is left alone; it moves once it has one.
    """
    split = []
    for group in groups:
        rest = {name: value for name, value in group.items() if name != "params"}
        weights = list(group["params"])
        decayed, plain = [each for each in weights if each.ndim > 1], [each for each in weights if each.ndim <= 1]
        split += [{"weight_decay": run.optimizer.weight_decay, **rest, "params": decayed}] if decayed else []
        split += [{**rest, "params": plain, "weight_decay": 0.0}] if plain else []
    for group in split:
        group.setdefault("lr", run.optimizer.lr)
    if not split:
        raise ConfigurationError("the recipe has no weights to train")
    wanted = run.optimizer
    if wanted.name == "adamw":
        return torch.optim.AdamW(split, lr=wanted.lr)
    if wanted.name == "adam":
        return torch.optim.Adam(split, lr=wanted.lr)
    if wanted.name == "rmsprop":
        return torch.optim.RMSprop(split, lr=wanted.lr, momentum=wanted.momentum)
    return torch.optim.SGD(split, lr=wanted.lr, momentum=wanted.momentum)


def learning_rate_factor(schedule: Schedule, step: int, epoch: int, steps: int) -> float:
    """What the configured learning rate is multiplied by at a step of `steps`, in `epoch` (both from 0).

    `plateau` depends on the scores: its factor is the loop's.
    """
    warm = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    if schedule.name == "cosine":
        share = min(1.0, max(0.0, (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)))
        return warm * 0.5 * (1 + math.cos(math.pi * share))
    if schedule.name == "step":
        return float(warm * schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones))
    return warm
