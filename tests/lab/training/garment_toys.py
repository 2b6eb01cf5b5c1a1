"""Small garments, networks and judges for the tests of the papers' recipes: no photos, no weights, no models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from worker.lab.splits import part_of_style
from worker.lab.training.crop_photos import CropPhoto
from worker.lab.training.crops import Crops
from worker.lab.training.garments import Garments, garments_of
from worker.lab.training.judging import CATALOGUE, PHONE, UNSEEN, Compare, Embeds, Judged, embed, figures_of, inner_product
from worker.lab.training.nets.trunk import Trunk
from worker.lab.training.views import MILD, view
from worker.vision.types import ByteArray

SIDE = 64
CATEGORIES = ("Dress", "Pants", "Hat")
COLOURS = ("red", "blue")


def drawn(category: int, style: int, colour: int, back: bool = False) -> tuple[ByteArray, ByteArray]:
    """A shape for each category, its proportions for each style, its fill for each colour; (SIDE, SIDE, 3) on white, and its mask."""
    rng = np.random.default_rng((category, style))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    wide, high = (int(each) for each in rng.integers(14, 26, 2))
    if category == 0:
        points = np.array([[SIDE // 2, 6], [SIDE // 2 - wide, SIDE - 6], [SIDE // 2 + wide, SIDE - 6]], np.int32)
        cv2.fillPoly(mask, [points], 255)
    elif category == 1:
        cv2.rectangle(mask, (SIDE // 2 - wide, 6), (SIDE // 2 - 3, SIDE - 6), 255, -1)
        cv2.rectangle(mask, (SIDE // 2 + 3, 6), (SIDE // 2 + wide, SIDE - 6), 255, -1)
    else:
        cv2.ellipse(mask, (SIDE // 2, SIDE // 2), (wide, high), 0, 0, 360, 255, -1)
    fill = ((200, 40, 40), (40, 60, 200))[colour]
    rgb = np.full((SIDE, SIDE, 3), 255, np.uint8)
    rgb[mask > 0] = np.asarray(fill) // (2 if back else 1)
    return rgb, mask


def toy_crops(styles: int = 4) -> Crops:
    """For each category some styles of two colours, of which the first has a back view; development styles only."""
    rgb, mask, photos = [], [], []
    for category, label in enumerate(CATEGORIES):
        names = [
            name for name in (f"{label.lower()}{number:02d}" for number in range(40)) if part_of_style(name) == "development"
        ]
        for style, name in enumerate(names[:styles]):
            for colour, word in enumerate(COLOURS):
                for shown in ("main", "back")[: 2 if colour == 0 else 1]:
                    picture, cover = drawn(category, style, colour, back=shown == "back")
                    rgb.append(picture)
                    mask.append(cover)
                    photos.append(
                        CropPhoto("luma", f"{name}-{word}_{shown}", label, "development", f"{name}-{word}", name, shown)
                    )
    return Crops(np.stack(rgb), np.stack(mask), tuple(photos), "toy")


def toy_garments(styles: int = 4) -> Garments:
    """The same, grouped."""
    return garments_of(toy_crops(styles))


class ToyJudge:
    """A judge of a few crops: each garment is looked for with a phone-like view of it, the same every time."""

    def __init__(self, crops: Crops) -> None:
        mains = crops.rows(lambda photo: photo.view == "main")
        self.items = [Judged(CATALOGUE, crops.photos[row].instance, crops.rgb[row], crops.mask[row]) for row in mains]
        for row in mains:
            shot = view(crops.rgb[row], crops.mask[row], crops.rgb[0], np.random.default_rng(row), SIDE, MILD)
            self.items.append(Judged(PHONE, crops.photos[row].instance, *shot))
        noise = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)
        self.items += [Judged(UNSEEN, "", each, np.full((SIDE, SIDE), 255, np.uint8)) for each in noise]
        self.provenance: dict[str, Any] = {"toy": len(self.items)}

    def figures(self, embedder: Embeds, side: int, compare: Compare = inner_product) -> dict[str, float]:
        """As `Judge.figures`."""
        return figures_of(self.items, embed(self.items, embedder, side), compare)


class ToyNet(nn.Module):
    """A ResNet's names with hardly any weights."""

    def __init__(self, widths: Sequence[int] = (4, 4, 8, 16, 16)) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.conv1, self.bn1, self.relu, self.maxpool = nn.Conv2d(3, a, 3, 2, 1), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2)
        self.layer1, self.layer2 = _block(a, b, 1), _block(b, c, 2)
        self.layer3, self.layer4 = _block(c, d, 2), _block(d, e, 1)


def _block(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU())


def toy_trunk(frozen_stages: int = 0, *, frozen_norms: bool = False) -> Trunk:
    """A trunk of 16 channels, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Trunk(ToyNet(), 16, frozen_stages=frozen_stages, frozen_norms=frozen_norms)


def train(recipe: Any, epochs: int, lr: float = 1e-2) -> list[float]:
    """Plain epochs; the mean loss of each."""
    optimizer = torch.optim.Adam(recipe.parameters(lr))
    means = []
    for epoch in range(epochs):
        recipe.begin(epoch)
        losses = []
        for job in recipe.plan(epoch):
            loss, _ = recipe.loss(recipe.load(job))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        means.append(sum(losses) / len(losses))
    recipe.model().eval()
    return means
