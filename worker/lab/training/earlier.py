"""A run that begins with what an earlier one learned."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from worker.errors import ConfigurationError
from worker.lab.training.checkpoint import BEST, PROVENANCE, load
from worker.vision.store import file_sha256


def begin_with(net: nn.Module, run: Path, part: str = "", setting: str = "recipe.first") -> dict[str, Any]:
    """Put the best weights of an earlier run in.

    Args:
        net: gets them.
        run: the earlier run's folder, or a checkpoint.
        part: what the names of the wanted weights begin with there; the others are left.
        setting: that names the run, for messages.

    Returns:
        how long that run was, and the sha256 of its file.

    Raises:
        ConfigurationError: it is no run, or one of another network.
    """
    path = run / BEST if run.is_dir() else run
    if not path.is_file():
        raise ConfigurationError(f"{setting}: {path} is not there; give the folder of a run that was judged, or leave it out")
    state = load(path)
    try:
        net.load_state_dict({name.removeprefix(part): value for name, value in state["model"].items() if name.startswith(part)})
    except RuntimeError as error:
        raise ConfigurationError(f"{setting}: {path} is of another network: {error}") from error
    return {"epochs": state["progress"]["epoch"], "steps": state["progress"]["step"], "sha256": file_sha256(path)}


def recipe_of(run: Path) -> dict[str, Any]:
    """The `[recipe]` part that a run was trained with.

    Raises:
        ConfigurationError: it is no run's folder.
    """
    try:
        recipe: dict[str, Any] = json.loads((run / PROVENANCE).read_text(encoding="utf-8"))["config"]["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{run} is no folder that `intake lab train` wrote: {error}") from error
    return recipe
