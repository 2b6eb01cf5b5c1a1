"""What the vision room takes and hands on, and its seams: a segmenter, an embedder, a tagger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from worker.vision.rows import HeadSpec

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Where the garment is in a photo.

    Attributes:
        alpha: (height, width) uint8, 0 background to 255 garment, same height and width as the photo's pixels.
        coverage: share of pixels above half, 0..1.
    """

    alpha: ByteArray
    coverage: float


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """The garment cut out: what an embedder sees.

    Attributes:
        rgb: (side, side, 3) uint8: the garment on white, square, with a margin.
        mask: (side, side) uint8, 0..255, of the garment in `rgb`.
        flags: what a person should know, such as ``garment-not-found``.
    """

    rgb: ByteArray
    mask: ByteArray
    flags: tuple[str, ...] = ()


class Segmenter(Protocol):
    """Finds the garment in photos. Raises `InferenceUnavailable` where a retry may help, `ModelError` where none can."""

    @property
    def model_id(self) -> str:
        """Registry id."""

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        """One mask for each photo ((h, w, 3) uint8 sRGB, sizes may differ), in order.

        `categories` (the event's attribute, one for each photo) helps a segmenter that knows classes choose among garments.
        """


class Embedder(Protocol):
    """Turns crops into vectors. Raises as `Segmenter`."""

    @property
    def model_id(self) -> str:
        """Registry id."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        """(len(crops), dimension) float32, L2-normalised rows, in order."""


class Tagger(Protocol):
    """Says what a garment is. Raises as `Segmenter`."""

    @property
    def model_id(self) -> str:
        """Registry id."""

    @property
    def heads(self) -> tuple[HeadSpec, ...]:
        """What it says, in the order of its output."""

    def tag(self, photos: Sequence[ByteArray]) -> FloatArray:
        """(len(photos), labels of all heads) float32 probabilities of photos or crops ((h, w, 3) uint8, sizes may differ)."""
