"""Checkpoints: written whole or not at all, with all that a resumed run needs and where everything came from."""

# mypy: disable-error-code="import-not-found,no-any-return"

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import subprocess  # nosec B404
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worker.errors import ConfigurationError
from worker.lab.training.config import TrainConfig

LAST, BEST = "last.pt", "best.pt"
_PACKAGES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "intake-worker")


@dataclass(slots=True)
class Progress:
    """How far a run is. `step` counts batches since the beginning, `done` those of the epoch that is under way."""

    epoch: int = 0
    done: int = 0
    step: int = 0
    best: float | None = None
    stale: int = 0
    seconds: float = 0.0


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint beside `path`, then put it in its place."""
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        ConfigurationError: there is none or it is broken.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{path} is no checkpoint that can be read ({error}); start the run anew in another folder"
        ) from error


def random_state() -> dict[str, Any]:
    """Of torch and Python (numpy's generators are made of seeds where they are used)."""
    _, words, gauss = random.getstate()
    state = {"torch": torch.get_rng_state(), "python": [list(words), gauss]}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """What `random_state` gave."""
    torch.set_rng_state(state["torch"])
    words, gauss = state["python"]
    random.setstate((3, tuple(words), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_all(seed: int) -> None:
    """Seed every generator a library might draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  libraries draw from it
    torch.manual_seed(seed)


def config_hash(config: TrainConfig) -> str:
    """Of what decides the result: a run is resumed only with the same."""
    content = config.model_dump(mode="json")
    for name in ("minutes", "save_every_s", "device", "threads", "workers", "precision", "epochs", "early_stop"):
        content["run"].pop(name)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def provenance(config: TrainConfig, data: dict[str, Any]) -> dict[str, Any]:
    """Configuration, data, code and packages, and when and on what kind of machine."""
    return {
        "config": config.model_dump(mode="json"),
        "config_sha256": config_hash(config),
        "data": data,
        "commit": _commit(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()}, {os.cpu_count()} cores",
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  # nosec B603
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
