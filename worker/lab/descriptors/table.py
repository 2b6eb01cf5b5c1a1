"""Every descriptor of the lab by name. Embedders of the registry are descriptors too; `worker.lab.models` looks there first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from worker.errors import ConfigurationError
from worker.lab.descriptors.backbones import BACKBONES, Backbone
from worker.lab.descriptors.classic import CLASSICS
from worker.lab.descriptors.gist import Gist
from worker.lab.descriptors.types import Descriptor
from worker.settings.vision import VisionSettings

GISTS = (Gist("gist", (8, 8, 4)), Gist("gist-4x8", (8, 8, 8, 8)))
COMPUTED: tuple[Descriptor, ...] = (*GISTS, *CLASSICS)
NEED_SKIMAGE = ("hog", "white-box")


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list of methods shows of a descriptor."""

    name: str
    dimension: int
    distance: str
    needs: str
    source: str


def listed() -> list[Listed]:
    """Every descriptor of the lab, without loading any."""
    cards = [item.card for item in COMPUTED]
    needs = dict.fromkeys(NEED_SKIMAGE, "scikit-image")
    rows = [Listed(card.name, card.dimension, card.distance, needs.get(card.name, ""), "computed") for card in cards]
    rows += [Listed(b.name, b.dimension, b.distance, "torch", b.layer) for b in BACKBONES]
    return rows


def check_descriptor(name: str, registered: Sequence[str]) -> Descriptor | Backbone:
    """What `name` is: a descriptor that is ready, or a network to load.

    Args:
        name: as the method names it.
        registered: embedders of the registry, for the message.

    Raises:
        ConfigurationError: there is none of this name, or what it needs is not installed.
    """
    for item in COMPUTED:
        if item.card.name == name:
            _need("skimage" if name in NEED_SKIMAGE else None, name, "scikit-image")
            return item
    backbone = next((row for row in BACKBONES if row.name == name), None)
    if backbone is None:
        known = [item.card.name for item in COMPUTED] + [row.name for row in BACKBONES]
        raise ConfigurationError(
            f"there is no descriptor {name!r}; there are {', '.join(known)}, and in the registry {', '.join(registered)}"
        )
    for module in ("torch", "torchvision", "timm"):
        _need(module, name, "torch, torchvision and timm")
    return backbone


def _need(module: str | None, name: str, what: str) -> None:
    if module is not None and find_spec(module) is None:
        raise ConfigurationError(f"{name} needs {what}: pip install 'intake-worker[lab]'")


def load_descriptor(name: str, weights: Path | None, settings: VisionSettings, registered: Sequence[str]) -> Descriptor:
    """A descriptor of the lab, ready.

    Args:
        name: as the method names it.
        weights: a file of weights the user gave for it.
        settings: of the models: where they run, and whether weights may be fetched.
        registered: as of `check_descriptor`, which also says what is raised.
    """
    found = check_descriptor(name, registered)
    if not isinstance(found, Backbone):
        return found
    try:
        from worker.lab.descriptors.cnn import load_backbone  # noqa: PLC0415  torch is part of the lab's extra
    except (ImportError, RuntimeError) as error:  # torchvision beside a torch that it does not fit raises RuntimeError
        raise ConfigurationError(
            f"{name} cannot import torch, torchvision or timm: {error}; install the lab's extra anew"
        ) from error
    return load_backbone(found, weights, settings)
