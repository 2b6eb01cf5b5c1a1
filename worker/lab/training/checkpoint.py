"""Checkpoints: written whole or not at all, with all that a resumed run needs and where everything came from."""

# mypy: disable-error-code="import-not-found,no-any-return"

from __future__ import annotations

import hashlib
import json
import os
import pickle  # nosec B403  for its error alone: checkpoints are read with weights_only
import platform
import subprocess  # nosec B404
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from worker.errors import ConfigurationError
from worker.lab.training.config import TrainConfig

LAST, BEST, PROVENANCE = "last.pt", "best.pt", "provenance.json"
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
    """Write a checkpoint beside `path`, then put it in its place: at any moment the file there is a whole one.

    Raises:
        ConfigurationError: it cannot be written.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be written: {error}; the checkpoint before is whole: run again to go on"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        ConfigurationError: there is none or it is broken.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(
            f"{path} is no checkpoint that can be read ({why}); start the run anew in another folder"
        ) from error


# What may be changed between two parts of a run: how long and where it runs, not what comes of each step.
FREE = ("minutes", "save_every_s", "device", "threads", "workers", "precision", "epochs", "early_stop")


def decisive(config: TrainConfig) -> dict[str, Any]:
    """What decides the result: a run is resumed only with the same."""
    content = config.model_dump(mode="json")
    for name in FREE:
        content["run"].pop(name)
    return content


def config_hash(config: TrainConfig) -> str:
    """Of what decides the result."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()


def differences(now: Any, before: Any, name: str = "") -> list[str]:
    """Names of the values that differ, as `--set` takes them, with both."""
    if isinstance(now, dict) and isinstance(before, dict):
        keys = [*now, *(key for key in before if key not in now)]
        return [line for key in keys for line in differences(now.get(key), before.get(key), f"{name}.{key}".lstrip("."))]
    return [] if now == before else [f"{name}: {json.dumps(now)}, was {json.dumps(before)}"]


def provenance(config: TrainConfig, data: dict[str, Any], source: Path | None) -> dict[str, Any]:
    """Configuration and its file, data, code and packages, and when and on what kind of machine."""
    return {
        "source": None if source is None else str(source.absolute()),
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
