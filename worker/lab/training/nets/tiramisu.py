"""FC-DenseNet, "The One Hundred Layers Tiramisu" (Jégou et al., 2017), sections 3.2 and 3.3 and tables 1 and 2."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

import torch
from torch import Tensor, nn

# Layers to growth rate, layers of the five blocks down and of the bottleneck; the way up mirrors the way down.
VARIANTS: dict[int, tuple[int, tuple[int, ...], int]] = {
    56: (12, (4, 4, 4, 4, 4), 4),
    67: (16, (5, 5, 5, 5, 5), 5),
    103: (16, (4, 5, 7, 10, 12), 15),
}
FIRST = 48  # filters of the first convolution
DROPOUT = 0.2


def tiramisu(layers: int, classes: int) -> Tiramisu:
    """FC-DenseNet56, 67 or 103."""
    growth, down, bottleneck = VARIANTS[layers]
    return Tiramisu(growth, down, bottleneck, classes)


class Tiramisu(nn.Module):
    """(n, 3, h, w) normalised pixels to (n, classes, h, w) logits; h and w are multiples of 32."""

    def __init__(self, growth: int, down: tuple[int, ...], bottleneck: int, classes: int) -> None:
        """`growth` filters a layer, `down` layers of the blocks from fine to coarse."""
        super().__init__()
        self.first = nn.Conv2d(3, FIRST, 3, padding=1)
        width = FIRST
        self.down, self.lower = nn.ModuleList(), nn.ModuleList()
        skips = []
        for count in down:
            self.down.append(_Dense(width, growth, count))
            width += growth * count
            skips.append(width)
            self.lower.append(_Lower(width))
        self.bottom = _Dense(width, growth, bottleneck)
        new = growth * bottleneck
        self.raises, self.up = nn.ModuleList(), nn.ModuleList()
        for count, skip in zip(reversed(down), reversed(skips), strict=True):
            # Only what the block below made is raised: section 3.2, against the growth of the way up.
            self.raises.append(nn.ConvTranspose2d(new, new, 3, stride=2, padding=1, output_padding=1))
            width = new + skip
            self.up.append(_Dense(width, growth, count))
            new = growth * count
        self.last = nn.Conv2d(width + new, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        x = self.first(x)
        skips = []
        for block, lower in zip(self.down, self.lower, strict=True):
            x = torch.cat([x, block(x)], 1)
            skips.append(x)
            x = lower(x)
        new = self.bottom(x)
        for raised, block, skip in zip(self.raises, self.up, reversed(skips), strict=True):
            x = torch.cat([raised(new), skip], 1)
            new = block(x)
        return self.last(torch.cat([x, new], 1))


class _Dense(nn.Module):
    """Each layer sees what came in and what every layer before it made; what they made comes out."""

    def __init__(self, inside: int, growth: int, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer(inside + growth * place, growth, 3) for place in range(count))

    def forward(self, x: Tensor) -> Tensor:
        made = []
        for layer in self.layers:
            new = layer(x)
            made.append(new)
            x = torch.cat([x, new], 1)
        return torch.cat(made, 1)


class _Lower(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(_layer(width, width, 1), nn.MaxPool2d(2))


def _layer(inside: int, outside: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, outside, kernel, padding=kernel // 2), nn.Dropout2d(DROPOUT)
    )
