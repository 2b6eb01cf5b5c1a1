"""What a segmenter is trained to make small."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from worker.lab.training.config import Part
from worker.lab.training.segmentation_labels import IGNORE
from worker.vision.garment_classes import CLASSES, GARMENTS

_SMALL = 1e-6
_SOFT = 1.0  # pixels: a class that is absent and hardly found costs nothing


class Weights(Part):
    """How much each part of the loss counts.

    `classes`: cross-entropy of each class, in the order of `CLASSES`: small and rare ones (footwear, accessories, full-body) would be drowned
    by background, which is half of all pixels.
    """

    cross_entropy: float = Field(default=1.0, ge=0)
    dice: float = Field(default=1.0, ge=0)
    garment: float = Field(default=1.0, ge=0, description="Cross-entropy and Dice of any garment against background and person.")
    edge: float = Field(default=2.0, ge=0, description="How much more pixels near an outline count.")
    classes: tuple[float, ...] = Field(
        default=(0.6, 1.2, 1.0, 1.0, 1.3, 1.0, 1.6, 1.5), min_length=len(CLASSES), max_length=len(CLASSES)
    )


class SegmentationLoss:
    """Weighted cross-entropy and soft Dice over the classes, and both for garment against the rest."""

    def __init__(self, weights: Weights) -> None:
        """As `Weights` says."""
        self._weights = weights
        self._classes = torch.tensor(weights.classes)

    def __call__(self, logits: Tensor, label: Tensor, alpha: Tensor, edge: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Of logits (n, classes, h, w) float32; label, alpha (0..255) and edge (0 or 1), each (n, h, w) uint8."""
        weights = self._weights
        known = label < len(CLASSES)
        target = torch.where(known, label, 0).long()
        near = 1.0 + weights.edge * edge.float()
        logs = functional.log_softmax(logits, 1)
        per = -logs.gather(1, target[:, None])[:, 0] * self._classes.to(logits.device)[target]
        counted = known.float() * near
        cross_entropy = (per * counted).sum() / counted.sum().clamp(min=1)

        shares = logs.exp()
        dice = _dice(shares, functional.one_hot(target, len(CLASSES)).permute(0, 3, 1, 2).float(), known[:, None].float())

        garment = shares[:, list(GARMENTS)].sum(1).clamp(_SMALL, 1 - _SMALL)
        wanted = alpha.float() / 255
        # A label of nothing in a street photo; a flat photo's soft edge is no class but a known share of garment.
        judged = ((label != IGNORE) | ((alpha > 0) & (alpha < 255))).float() * near
        binary = -(wanted * garment.log() + (1 - wanted) * (1 - garment).log())
        area = (judged * wanted * garment).sum((1, 2))
        whole = (judged * (wanted + garment)).sum((1, 2))
        overlap = 1 - (2 * area + _SOFT) / (whole + _SOFT)
        any_garment = (binary * judged).sum() / judged.sum().clamp(min=1) + overlap.mean()

        loss = weights.cross_entropy * cross_entropy + weights.dice * dice + weights.garment * any_garment
        return loss, {
            "cross_entropy": float(cross_entropy.detach()),
            "dice": float(dice.detach()),
            "garment": float(any_garment.detach()),
        }


def _dice(shares: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """One minus Dice over the whole batch, the mean of the classes that occur in it."""
    both = (shares * truth * known).sum((0, 2, 3))
    sums = ((shares + truth) * known).sum((0, 2, 3))
    there = ((truth * known).sum((0, 2, 3)) > 0).float()
    return ((1 - (2 * both + _SOFT) / (sums + _SOFT)) * there).sum() / there.sum().clamp(min=1)
