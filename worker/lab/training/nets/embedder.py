"""The trained embedder: EfficientNet-Lite's maps at two depths, GeM pooling, a projection, and a colour histogram, as one graph."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from worker.lab.lite0 import BINS, BYTE_CENTRE, BYTE_SPREAD, GEM_FLOOR, GEM_POWER, Colour, whitening
from worker.vision.types import ByteArray

TAPPED_BLOCK = 4  # the last at a sixteenth of the side: texture, where the head has meaning
# What the texture weighs beside the head's features before whitening; halves of it and doubles of it changed nothing measurable.
TAP_WEIGHT = 0.5
HISTOGRAM = BINS**3
WHITENING_POWER = 0.5


class EmbedderNet(nn.Module):
    """rgb (n, s, s, 3) uint8 and mask (n, s, s) uint8 to (n, dimension) float32 of unit length.

    Attributes:
        colour_weight: length of the colour part beside the unit length of the learned part.
    """

    def __init__(self, net: nn.Module, tap_channels: int, learned: int, colours: int, *, frozen_blocks: int) -> None:
        """`net`: an EfficientNet-Lite with its batch norms folded in; its stem and first `frozen_blocks` blocks are not trained."""
        super().__init__()
        self.net = net
        self.frozen_blocks = frozen_blocks
        features = int(net.num_features) + tap_channels
        self.project = nn.Linear(features, learned)
        self.colour = Colour()
        self.project_colour = nn.Linear(HISTOGRAM, colours)
        self.colour_weight = nn.Parameter(torch.tensor(0.5))
        for part in (net.conv_stem, net.bn1, *net.blocks[:frozen_blocks]):
            for weight in part.parameters():
                weight.requires_grad = False

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.project.out_features + self.project_colour.out_features

    def stem(self, rgb: Tensor) -> Tensor:
        """The part that is not trained."""
        x = (rgb.permute(0, 3, 1, 2).float() - BYTE_CENTRE) / BYTE_SPREAD
        x = self.net.bn1(self.net.conv_stem(x))
        for block in self.net.blocks[: self.frozen_blocks]:
            x = block(x)
        return x

    def below(self, rgb: Tensor) -> Tensor:
        """What the trained blocks see: the frozen part's maps, float32."""
        if not self.training:
            return self.stem(rgb)
        # What is not trained needs no gradient and no full precision: half of a step's time is saved on a CPU.
        with torch.no_grad(), torch.autocast(rgb.device.type, dtype=torch.bfloat16):
            x = self.stem(rgb)
        return x.float()

    def features(self, rgb: Tensor) -> Tensor:
        """Head and texture, (n, features)."""
        return self.above(self.below(rgb))

    def above(self, x: Tensor) -> Tensor:
        """Head and texture of the frozen part's maps, (n, features)."""
        tapped = x
        for index, block in enumerate(self.net.blocks[self.frozen_blocks :], self.frozen_blocks):
            x = block(x)
            if index == TAPPED_BLOCK:
                tapped = x
        x = self.net.bn2(self.net.conv_head(x))
        head = nn.functional.normalize(gem(x.float()), dim=1)
        # The tapped maps have no ReLU behind them: what is pooled is how strongly a pattern is there, whatever its sign.
        texture = nn.functional.normalize(gem(tapped.float().abs()), dim=1)
        return torch.cat([head, TAP_WEIGHT * texture], dim=1)

    def learned(self, x: Tensor) -> Tensor:
        """The learned part of the vector from the frozen part's maps, (n, learned) of unit length."""
        return nn.functional.normalize(self.project(self.above(x)).float(), dim=1)

    def forward(self, rgb: Tensor, mask: Tensor) -> Tensor:
        """As the class says."""
        learned = self.learned(self.below(rgb))
        colour = self.project_colour(self.colour(rgb, mask)).float()
        return nn.functional.normalize(torch.cat([learned, self.colour_weight * colour], dim=1), dim=1)

    def heads(self) -> Iterator[nn.Parameter]:
        """What does not come from ImageNet."""
        yield from self.project.parameters()
        yield from self.project_colour.parameters()
        yield self.colour_weight

    def body(self) -> Iterator[nn.Parameter]:
        """What does, and is trained."""
        yield from (weight for weight in self.net.parameters() if weight.requires_grad)

    @torch.inference_mode()
    def fit(self, rgb: ByteArray, mask: ByteArray, batch: int = 16) -> None:
        """Begin with projections that whiten the features of crops: (n, s, s, 3) and (n, s, s) uint8."""
        was = self.training
        self.eval()
        features, colours = [], []
        for start in range(0, len(rgb), batch):
            part = torch.from_numpy(np.array(rgb[start : start + batch]))
            features.append(self.features(part))
            colours.append(self.colour(part, torch.from_numpy(np.array(mask[start : start + batch]))))
        for layer, values, power in (
            (self.project, torch.cat(features), WHITENING_POWER),
            (self.project_colour, torch.cat(colours), 0.0),
        ):
            mean, projection = whitening(values.numpy(), layer.out_features, power)
            layer.weight.copy_(projection.T)
            # The colour part keeps its mean: pale on white is a colour, too.
            layer.bias.copy_(-(mean @ projection) if power else torch.zeros(layer.out_features))
        self.train(was)


def gem(maps: Tensor) -> Tensor:
    """Generalised mean over the places of (n, c, h, w) maps."""
    return maps.clamp(min=GEM_FLOOR).pow(GEM_POWER).mean((2, 3)).pow(1 / GEM_POWER)
