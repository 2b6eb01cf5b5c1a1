"""The papers' networks as stages: bytes in, last feature maps out, the lower stages frozen as far as is wanted."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.descriptors.backbones import BACKBONES, IMAGENET_MEAN, IMAGENET_STD, Backbone
from worker.lab.descriptors.cnn import build, weighted
from worker.settings.vision import VisionSettings

BackboneName = Literal["efficientnet-lite0", "densenet121", "resnet18", "resnet50", "se-resnet50", "se-resnext50"]
Weights = Literal["required", "random"]
TRUNKS: dict[str, Backbone] = {row.name: row for row in BACKBONES if row.name in BackboneName.__args__}  # type: ignore[attr-defined]
BYTES = 255.0


class Trunk(nn.Module):
    """A network without its head: rgb (n, s, s, 3) uint8 to feature maps (n, `channels`, h, w) float32."""

    def __init__(
        self,
        net: nn.Module,
        channels: int,
        *,
        frozen_stages: int = 0,
        frozen_norms: bool = True,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        weights: str = "random",
    ) -> None:
        """`net`: as the library gives it. `frozen_stages`: how many of the lowest never learn; -1: all. `weights`: where they come from."""
        super().__init__()
        parts = stages(net)
        self.stages = nn.ModuleList(parts)
        self.channels, self.weights = channels, weights
        self._frozen = len(parts) if frozen_stages < 0 else min(frozen_stages, len(parts))
        self._frozen_norms = frozen_norms
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * BYTES, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * BYTES, persistent=False)
        for stage in self.stages[: self._frozen]:
            stage.requires_grad_(False)

    @property
    def learns(self) -> bool:
        """Whether any stage does."""
        return self._frozen < len(self.stages)

    def learning(self) -> Iterator[nn.Parameter]:
        """Weights of the stages that learn."""
        for stage in self.stages[self._frozen :]:
            yield from stage.parameters()

    def train(self, mode: bool = True) -> Trunk:
        """Frozen stages, and batch norms where they are frozen, stay as they are."""
        super().train(mode)
        for stage in self.stages[: self._frozen]:
            stage.eval()
        if self._frozen_norms:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, rgb: Tensor) -> Tensor:
        """As the class says."""
        x = (rgb.permute(0, 3, 1, 2).float() - self.mean) / self.std
        # Without a graph what is frozen costs a third.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._frozen == 0):
            for stage in self.stages[: self._frozen]:
                x = stage(x)
        for stage in self.stages[self._frozen :]:
            x = stage(x)
        return x


def pooled(maps: Tensor) -> Tensor:
    """(n, c, h, w) to the mean of each map, (n, c)."""
    return maps.mean((2, 3))


def stages(net: nn.Module) -> list[nn.Module]:
    """The parts of a network in order, its head left out."""
    parts: Any = net
    if hasattr(parts, "conv_stem"):  # timm's EfficientNets, whose batch norms carry the activation
        return [nn.Sequential(parts.conv_stem, parts.bn1), *parts.blocks, nn.Sequential(parts.conv_head, parts.bn2)]
    if hasattr(parts, "layer4"):  # ResNets of both libraries
        first = [parts.conv1, parts.bn1, parts.relu if hasattr(parts, "relu") else parts.act1, parts.maxpool]
        return [nn.Sequential(*first), parts.layer1, parts.layer2, parts.layer3, parts.layer4]
    if hasattr(parts, "features") and hasattr(parts.features, "denseblock1"):
        f = parts.features
        return [
            nn.Sequential(f.conv0, f.norm0, f.relu0, f.pool0),
            nn.Sequential(f.denseblock1, f.transition1),
            nn.Sequential(f.denseblock2, f.transition2),
            nn.Sequential(f.denseblock3, f.transition3),
            nn.Sequential(f.denseblock4, f.norm5, nn.ReLU()),
        ]
    raise ConfigurationError(f"{type(net).__name__} is no network whose stages are known")


def load_trunk(
    name: BackboneName,
    *,
    weights: Path | None = None,
    first: Weights = "required",
    frozen_stages: int = 0,
    frozen_norms: bool = True,
    settings: VisionSettings | None = None,
) -> Trunk:
    """A trunk with ImageNet weights.

    Args:
        name: of the network.
        weights: a file with them; None: the package or library that has them.
        first: `random` begins without any, the same in every run.
        frozen_stages: as of `Trunk`.
        frozen_norms: as of `Trunk`.
        settings: whether weights may be fetched; None: the defaults.

    Raises:
        ConfigurationError: there are no weights to be had.
        ModelError: the file does not hold this network's weights.
    """
    backbone = TRUNKS[name]
    if first == "random":
        net, where = build(backbone), "random"
    else:
        net, where = weighted(backbone, weights, settings or VisionSettings())
        if where.startswith("random"):
            raise ConfigurationError(
                f"{name} has no ImageNet weights here ({where.partition(': ')[2]}): give recipe.weights = FILE, take another backbone "
                "(efficientnet-lite0 comes as a package), or set recipe.first = 'random' to learn from nothing"
            )
    return Trunk(
        net,
        backbone.dimension,
        frozen_stages=frozen_stages,
        frozen_norms=frozen_norms,
        mean=backbone.mean,
        std=backbone.std,
        weights=where,
    )
