"""A light encoder-decoder: EfficientNet-Lite0's five scales, gated by the whole picture, joined from coarse to fine.

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

from worker.errors import ModelError

SCALES = (16, 24, 40, 112, 320)  # channels at strides 2, 4, 8, 16, 32
TOP = 128
WIDTHS = (96, 64, 48, 32)  # channels on the way up, at strides 16, 8, 4, 2


class LightSegmenter(nn.Module):
    """(n, 3, h, w) normalised pixels to (n, classes, h / 2, w / 2) logits; h and w are multiples of 32."""

    def __init__(self, classes: int, weights: Path | None = None) -> None:
        """`weights`: the published ones of EfficientNet-Lite0; None starts at random (tests)."""
        super().__init__()
        self.encoder = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True)
        if weights is not None:
            load_encoder(self.encoder, weights)
        self.top = _unit(SCALES[4], TOP, 1)
        self.gate = nn.Conv2d(SCALES[4], TOP, 1)
        below = (TOP, *WIDTHS)
        self.joins = nn.ModuleList(
            _Join(below[place], skip, width) for place, (skip, width) in enumerate(zip(reversed(SCALES[:4]), WIDTHS, strict=True))
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


def load_encoder(encoder: nn.Module, weights: Path) -> None:
    """Put the published weights in.

    Raises:
        ModelError: the file does not hold them.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    # Both name their layers in the order of the graph, each in its own words: paired by place, checked by kind and shape.
    pairs = list(zip(whole.items(), state.items(), strict=False))
    same = all(a.shape == b.shape and x.rsplit(".", 1)[-1] == y.rsplit(".", 1)[-1] for (x, a), (y, b) in pairs)
    if len(whole) != len(state) or not same:
        raise ModelError(f"{weights} does not hold the weights of EfficientNet-Lite0")
    named = {name: value for (name, _), (_, value) in pairs}
    encoder.load_state_dict({name: named[name] for name in encoder.state_dict()})


def _unit(inside: int, outside: int, kernel: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outside), nn.ReLU6()
    )
