"""A trainer of a configuration; importable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worker.lab.training.config import read_config


def trainer(config: Path, folder: Path, **changes: str) -> Any:
    """Of the configuration, with changes (`run__epochs="2"`)."""
    from worker.lab.training.catalogue import build_recipe
    from worker.lab.training.loop import Trainer

    read = read_config(config, {name.replace("__", "."): value for name, value in changes.items()})
    return Trainer(read, build_recipe(read, config), folder, lambda *_: None, config)
