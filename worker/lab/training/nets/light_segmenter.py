"""A light encoder-decoder: an EfficientNet-Lite's five scales, gated by the whole picture, joined from coarse to fine.

The gate is LR-ASPP's (Howard et al., "Searching for MobileNetV3", 2019, section 6.3); the way up is a U-Net's with depthwise
separable convolutions, so that it costs less than the encoder.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.lab.training.nets.lite import LITES, named_weights

TOP = 128
WIDTHS = (96, 64, 48, 32)  # channels on the way up, at strides 16, 8, 4, 2


class LightSegmenter(nn.Module):
    """(n, 3, h, w) normalised pixels to (n, classes, h / 2, w / 2) logits; h and w are multiples of 32."""

    def __init__(self, classes: int, encoder: str = "efficientnet-lite0", weights: Path | None = None) -> None:
        """`encoder`: one of `LITES`. `weights`: its published ones; None starts at random (tests)."""
        super().__init__()
        self.encoder = timm.create_model(LITES[encoder].timm_name, pretrained=False, features_only=True)
        if weights is not None:
            named = named_weights(encoder, weights)
            self.encoder.load_state_dict({name: named[name] for name in self.encoder.state_dict()})
        *fine, coarse = self.encoder.feature_info.channels()  # at strides 2, 4, 8, 16, 32
        self.top = _unit(coarse, TOP, 1)
        self.gate = nn.Conv2d(coarse, TOP, 1)
        below = (TOP, *WIDTHS)
        self.joins = nn.ModuleList(
            _Join(below[place], skip, width) for place, (skip, width) in enumerate(zip(reversed(fine), WIDTHS, strict=True))
        )
        self.head = nn.Conv2d(WIDTHS[-1], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        *fine, coarse = self.encoder(x)
        y = self.top(coarse) * torch.sigmoid(self.gate(functional.adaptive_avg_pool2d(coarse, 1)))
        for join, skip in zip(self.joins, reversed(fine), strict=True):
            y = join(y, skip)
        return self.head(y)

    def frozen(self, stages: int) -> list[nn.Module]:
        """The encoder's stem and first `stages` stages: edges and textures, which ImageNet taught well enough."""
        return [self.encoder.conv_stem, self.encoder.bn1, *list(self.encoder.blocks)[:stages]] if stages else []


class _Join(nn.Module):
    """Coarse map, twice as large, beside the finer one's, mixed."""

    def __init__(self, below: int, skip: int, width: int) -> None:
        super().__init__()
        self.skip = _unit(skip, min(skip, 48), 1)
        joined = below + min(skip, 48)
        self.spread = _unit(joined, joined, 5 if width > WIDTHS[-2] else 3, groups=joined)
        self.mix = _unit(joined, width, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.mix(self.spread(torch.cat([x, self.skip(skip)], 1)))


def _unit(inside: int, outside: int, kernel: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outside), nn.ReLU6()
    )
