"""The network: a backbone in two halves, the lower perhaps frozen, and a linear head for each thing it says."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.descriptors.backbones import BACKBONES, Backbone
from worker.lab.descriptors.cnn import build, headless, library_state, load_by_name_or_place, packaged_file, read_state
from worker.lab.lite0 import fold_batch_norms
from worker.settings.vision import VisionSettings

STAGES = "blocks"  # where timm keeps an EfficientNet's stages


class Halves(nn.Module):
    """A backbone in two: (n, 3, h, w) to maps by `lower`, maps to (n, features) by `upper`."""

    def __init__(self, lower: nn.Module, upper: nn.Module, features: int, backbone: Backbone) -> None:
        """`lower` and `upper` one after the other are the whole."""
        super().__init__()
        self.lower, self.upper, self.features, self.backbone = lower, upper, features, backbone


class TaggerNet(nn.Module):
    """Pixels or maps to logits, all heads side by side."""

    def __init__(self, halves: Halves, classes: Sequence[int], dropout: float, *, frozen: bool) -> None:
        """`classes`: how many each head has; `frozen`: the lower half does not learn."""
        super().__init__()
        self.lower, self.upper = halves.lower, halves.upper
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(halves.features, sum(classes))
        self.classes, self.frozen = tuple(classes), frozen
        self.register_buffer("mean", torch.tensor(halves.backbone.mean)[:, None, None] * 255)
        self.register_buffer("std", torch.tensor(halves.backbone.std)[:, None, None] * 255)
        for weights in self.lower.parameters():
            weights.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> TaggerNet:
        """A frozen half stays in eval mode: its batch norms must not drift."""
        super().train(mode)
        if self.frozen:
            self.lower.eval()
        return self

    def maps(self, rgb: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 to the lower half's output."""
        return self.lower((rgb.permute(0, 3, 1, 2).float() - self.mean) / self.std)

    def from_maps(self, maps: Tensor) -> Tensor:
        """Maps to (n, sum of classes) logits."""
        return self.head(self.dropout(self.upper(maps)))

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 to (n, sum of classes) logits."""
        return self.from_maps(self.maps(rgb))

    def split(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Logits of each head."""
        return logits.split(self.classes, dim=1)


class Exported(nn.Module):
    """What the worker runs: (n, h, w, 3) uint8 to (n, sum of classes) probabilities, each head's adding up to 1."""

    def __init__(self, net: TaggerNet, temperatures: Sequence[float]) -> None:
        """`temperatures`: what each head's logits are divided by, so that a probability is a share of right answers."""
        super().__init__()
        self.net, self.temperatures = net, tuple(temperatures)

    def forward(self, rgb: Tensor) -> Tensor:
        """As the class says."""
        parts = self.net.split(self.net(rgb))
        return torch.cat([(part / t).softmax(1) for part, t in zip(parts, self.temperatures, strict=True)], dim=1)


def halves_of(name: str, weights: Path | None, frozen_stages: int, settings: VisionSettings) -> tuple[Halves, str]:
    """A backbone of the lab (`intake lab methods`) and where its weights came from.

    `frozen_stages`: stages (of an EfficientNet; the stem goes with the first) in the lower half; of other networks the lower half is
    nothing (0) or everything (any other number).

    Raises:
        ConfigurationError: there is no such network.
        ModelError: the file does not hold its weights.
    """
    backbone = next((row for row in BACKBONES if row.name == name), None)
    if backbone is None:
        raise ConfigurationError(f"recipe.backbone is {name!r}; there are {', '.join(row.name for row in BACKBONES)}")
    net = build(backbone)
    where = _load(net, backbone, weights, settings)
    whole: Any = headless(net, backbone).eval()
    if hasattr(whole, STAGES) and backbone.library == "timm":
        fold_batch_norms(whole)
        stages = list(whole.blocks)
        if not 0 <= frozen_stages <= len(stages):
            raise ConfigurationError(f"recipe.frozen_stages is {frozen_stages}; {name} has {len(stages)} stages")
        top = (whole.conv_head, whole.bn2, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        bottom = (whole.conv_stem, whole.bn1)
        if frozen_stages == 0:
            return Halves(nn.Identity(), nn.Sequential(*bottom, *stages, *top), backbone.dimension, backbone), where
        lower = nn.Sequential(*bottom, *stages[:frozen_stages])
        return Halves(lower, nn.Sequential(*stages[frozen_stages:], *top), backbone.dimension, backbone), where
    if frozen_stages:
        return Halves(whole, nn.Identity(), backbone.dimension, backbone), where
    return Halves(nn.Identity(), whole, backbone.dimension, backbone), where


def _load(net: nn.Module, backbone: Backbone, weights: Path | None, settings: VisionSettings) -> str:
    if weights is not None:
        load_by_name_or_place(net, read_state(weights), str(weights))
        return f"file {weights.name}"
    if backbone.packaged is not None:
        source = backbone.packaged[0]
        load_by_name_or_place(net, read_state(packaged_file(backbone.packaged, settings)), source)
        return source
    state, why = library_state(backbone, offline=settings.offline)
    if state is None:
        return f"RANDOM: {why}"
    net.load_state_dict(state)
    return f"{backbone.library} ImageNet"
