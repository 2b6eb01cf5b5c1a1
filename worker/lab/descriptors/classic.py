"""Hand-made features of Menezes and Kanitkar 2018 (section on white-box features): HOG, colours, coherence, corners, and all together.

Colours and corners are those of the garment: pixels outside the crop's mask are not counted. The paper names its features without
their sizes, but for the 25 colours; what is chosen here stands with each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from worker.errors import ConfigurationError
from worker.lab.descriptors.types import DescriptorCard
from worker.lab.method import Distance
from worker.vision.types import Crop, FloatArray

SIDE = 128
HALF = 128

# The 25 colours: 5 greys by value, and 10 hues in two values.
GREYS, HUES, SHADES = 5, 10, 2
COLOURS = GREYS + HUES * SHADES
GREY_BELOW = 40  # saturation (0..255) below which a pixel has no hue worth naming
DARK_BELOW = 128  # value (0..255) that parts the two shades of a hue
BLACK_BELOW = 40  # value below which hue is noise

# Colour coherence (Pass, Zabih and Miller, "Comparing Images Using Color Coherence Vectors", 1996): 64 colours, a region being
# coherent from 1 % of the picture.
COHERENT_LEVELS = 4
COHERENT_SHARE = 0.01

# Harris and Stephens 1988: the usual constant, window and aperture; a corner is a local maximum above this share of the strongest.
HARRIS_K, HARRIS_BLOCK, HARRIS_APERTURE, HARRIS_SHARE = 0.04, 2, 3, 0.01
HARRIS_GRID = 8

# Dalal and Triggs 2005 at the scale of a crop: 16-pixel cells, 2 x 2 blocks, 9 unsigned orientations.
HOG_CELL, HOG_BLOCK, HOG_BINS = 16, 2, 9


def colour_histogram(crop: Crop) -> FloatArray:
    """Share of each of 25 colours among the garment's pixels; (25,) adding up to 1."""
    hsv = cv2.cvtColor(crop.rgb, cv2.COLOR_RGB2HSV_FULL).astype(np.int64)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    grey = (saturation < GREY_BELOW) | (value < BLACK_BELOW)
    index = np.where(grey, value * GREYS // 256, GREYS + (hue * HUES // 256) * SHADES + (value >= DARK_BELOW))
    counts = np.bincount(index[garment(crop)], minlength=COLOURS)
    return np.asarray(counts / max(1, counts.sum()), np.float32)


def colour_coherence(crop: Crop) -> FloatArray:
    """Shares of coherent and incoherent pixels of each of 64 colours among the garment's pixels; (128,), the coherent first."""
    soft = cv2.blur(crop.rgb, (3, 3))
    levels = soft.astype(np.int64) * COHERENT_LEVELS // 256
    index = (levels[..., 0] * COHERENT_LEVELS + levels[..., 1]) * COHERENT_LEVELS + levels[..., 2]
    inside = garment(crop)
    total = max(1, int(inside.sum()))
    result = np.zeros((2, COHERENT_LEVELS**3), np.float32)
    for colour in np.unique(index[inside]):
        of_colour = ((index == colour) & inside).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(of_colour, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        coherent = areas[areas >= COHERENT_SHARE * total].sum()
        result[:, colour] = coherent / total, (areas.sum() - coherent) / total
    return result.ravel()


def harris_corners(crop: Crop) -> FloatArray:
    """Where the garment has corners: the share of them in each of 8 x 8 fields of the crop; (64,)."""
    grey = cv2.cvtColor(crop.rgb, cv2.COLOR_RGB2GRAY)
    response = cv2.cornerHarris(grey, HARRIS_BLOCK, HARRIS_APERTURE, HARRIS_K)
    strongest = float(response.max())
    peak = (response == cv2.dilate(response, np.ones((3, 3), np.uint8))) & (response > HARRIS_SHARE * max(strongest, 1e-12))
    # Along the cut the white ground makes corners of its own; those inside are the garment's.
    inner = cv2.erode((garment(crop)).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    corners = (peak & inner).astype(np.float32)
    counts = cv2.resize(corners, (HARRIS_GRID, HARRIS_GRID), interpolation=cv2.INTER_AREA).ravel()
    return np.asarray(counts / max(float(counts.sum()), 1e-12), np.float32)


def hog(crop: Crop) -> FloatArray:
    """Histogram of oriented gradients of the crop; (1764,)."""
    try:
        from skimage.feature import hog as skimage_hog  # noqa: PLC0415  part of the lab's extra
    except ImportError as error:
        raise ConfigurationError("HOG needs scikit-image: pip install 'intake-worker[lab]'") from error
    values = skimage_hog(
        crop.rgb,
        orientations=HOG_BINS,
        pixels_per_cell=(HOG_CELL, HOG_CELL),
        cells_per_block=(HOG_BLOCK, HOG_BLOCK),
        block_norm="L2-Hys",
        channel_axis=-1,
    )
    return np.asarray(values, np.float32)


def white_box(crop: Crop) -> FloatArray:
    """HOG, 25 colours, coherence and corners one after the other, each of length 1 so that none decides by its size alone."""
    return np.concatenate([_unit(part(crop)) for part in (hog, colour_histogram, colour_coherence, harris_corners)])


def garment(crop: Crop) -> npt.NDArray[np.bool_]:
    """Which pixels count; all of them where the mask is empty."""
    inside = crop.mask >= HALF
    return inside if inside.any() else np.ones_like(inside)


def _unit(values: FloatArray) -> FloatArray:
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-12), np.float32)


_HOG_FIELDS = SIDE // HOG_CELL - HOG_BLOCK + 1
HOG_DIMENSION = _HOG_FIELDS**2 * HOG_BLOCK**2 * HOG_BINS


@dataclass(frozen=True, slots=True)
class Classic:
    """One of the functions above as a descriptor."""

    name: str
    dimension: int
    distance: Distance
    function: Callable[[Crop], FloatArray]
    version: str = "1"

    @property
    def card(self) -> DescriptorCard:
        """As `Descriptor.card`."""
        return DescriptorCard(self.name, self.dimension, SIDE, self.distance, self.version)

    def describe(self, crops: Sequence[Crop]) -> FloatArray:
        """As `Descriptor.describe`."""
        return np.stack([self.function(crop) for crop in crops])


CLASSICS = (
    Classic("hog", HOG_DIMENSION, "l2", hog),
    Classic("colour-histogram", COLOURS, "l1", colour_histogram),
    Classic("colour-coherence", 2 * COHERENT_LEVELS**3, "l1", colour_coherence),
    Classic("harris", HARRIS_GRID**2, "l1", harris_corners),
    Classic("white-box", HOG_DIMENSION + COLOURS + 2 * COHERENT_LEVELS**3 + HARRIS_GRID**2, "l2", white_box),
)
