"""How a tagger is made, as its configuration says it: read without torch, because a tagger is judged without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from worker.errors import ConfigurationError
from worker.lab.tagging.data import DataConfig
from worker.lab.training.config import parse, parse_overrides, read_config

KIND = "tagger"


class TaggerConfig(DataConfig):
    """The `[recipe]` part of kind `tagger`."""

    kind: Literal["tagger"]
    backbone: str = Field(default="efficientnet-lite0", description="A network of `intake lab methods`.")
    weights: Path | None = Field(default=None, description="File of its weights; none: those that can be had.")
    frozen_stages: int = Field(
        default=3, ge=0, description="Lower stages that do not learn (EfficientNet); of others 0: all learn, else: none."
    )
    height: int = Field(default=128, ge=32, le=1024)
    width: int = Field(default=96, ge=32, le=1024)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    head_lr: float = Field(default=10.0, gt=0, description="Learning rate of the heads, as a multiple of the backbone's.")
    smoothing: float = Field(default=0.05, ge=0, lt=1, description="Of labels.")
    class_weights: bool = Field(default=False, description="Rare classes count more: by the root of their rarity.")
    mirror: bool = True
    turn: float = Field(default=8.0, ge=0, le=45, description="Degrees either way.")
    shift: float = Field(default=0.06, ge=0, le=0.5, description="Share of the side, either way.")
    zoom: float = Field(default=0.1, ge=0, lt=1, description="Either way.")
    licence: str = Field(default="unknown", description="SPDX, of the weights that come of it.")
    notice: str = Field(default="", description="Whose photos these are and what may be done with what was learned of them.")


def read_tagger_config(path: Path, changes: Sequence[str] = ()) -> TaggerConfig:
    """The `[recipe]` part of a file; `changes` (``recipe.data=DIR``) win over it.

    Raises:
        ConfigurationError: it cannot be read, is not valid, or is of another recipe.
    """
    config = read_config(path, parse_overrides(changes))
    if config.kind != KIND:
        raise ConfigurationError(f"{path} is a configuration of {config.kind or 'nothing'}, not of a {KIND}")
    return parse(TaggerConfig, config.recipe, f"{path} [recipe]")
