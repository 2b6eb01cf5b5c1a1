"""The seam of a descriptor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.lab.method import Distance
from worker.vision.types import Crop, FloatArray


@dataclass(frozen=True, slots=True)
class DescriptorCard:
    """What is known about a descriptor without running it.

    Attributes:
        name: as a method names it.
        dimension: length of a vector.
        crop_side: side of the crops it takes, in pixels.
        distance: what its source compares it by.
        identity: changes when the numbers it gives change: a version, a hash of weights.
        model_bytes: size of its weights; 0 where there are none.
        weights: where they come from; begins with ``random`` where nothing was learned.
        batch: how many crops a call is best given; 1 where the numbers would depend on it.
    """

    name: str
    dimension: int
    crop_side: int
    distance: Distance
    identity: str
    model_bytes: int = 0
    weights: str = "none needed"
    batch: int = 1

    @property
    def random(self) -> bool:
        """Whether its weights were never trained."""
        return self.weights.startswith("random")


class Descriptor(Protocol):
    """Turns crops into vectors."""

    @property
    def card(self) -> DescriptorCard:
        """What it is."""

    def describe(self, crops: Sequence[Crop]) -> FloatArray:
        """(len(crops), card.dimension) float32, finite, in order. Not normalised unless the source says so."""
