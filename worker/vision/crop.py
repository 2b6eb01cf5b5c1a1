"""Cut the garment out of a photo by its mask: what an embedder sees.

The garment is laid on white, squared, with a margin: on white because studio photos are; squared without stretching because a
shirt's proportions tell articles apart.
"""

from __future__ import annotations

import cv2
import numpy as np

from worker.errors import PhotoRefused, Reason
from worker.vision.types import ByteArray, Crop, Mask

# Alpha from which a pixel counts as garment.
HALF = 128
# White around the garment, as a share of the longer side of its box: keeps the outline away from the border, where convolutions
# see padding instead of white.
MARGIN = 0.06
# A component is kept if it has this share of the largest one's area: both shoes of a pair stay, speckles of the floor go.
COMPONENT_SHARE = 0.1
# Below this share of the photo the mask holds no garment but noise.
MIN_COVERAGE = 0.005
# A photo whose grey values spread less than this (standard deviation, 0..255) shows nothing: a covered lens, a blank page.
BLANK_SPREAD = 4.0
WHITE = 255
EDGE = 2  # pixels of soft edge beyond the half

NOT_FOUND_FLAG = "garment-not-found"


def make_crop(rgb: ByteArray, mask: Mask, side: int) -> Crop:
    """Cut out the garment.

    Where the mask holds no garment the whole photo is the crop, flagged `garment-not-found`: a close-up that fills the frame has
    no background to be told from, and a person decides on what looks odd.

    Args:
        rgb: (h, w, 3) uint8, sRGB.
        mask: of the same height and width.
        side: of the square crop, in pixels.

    Returns:
        the crop, its `rgb` (side, side, 3) and its `mask` (side, side), both uint8.

    Raises:
        PhotoRefused: there is no garment and the photo shows nothing at all (`photo-no-garment`).
        ValueError: mask and photo differ in size.
    """
    if mask.alpha.shape != rgb.shape[:2]:
        raise ValueError(f"mask {mask.alpha.shape} does not fit photo {rgb.shape[:2]}")
    alpha = largest_components(mask.alpha)
    box = _box(alpha)
    if box is None:
        if float(cv2.meanStdDev(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))[1][0, 0]) < BLANK_SPREAD:
            raise PhotoRefused(
                Reason.PHOTO_NO_GARMENT, "the photo shows no garment: it is one even colour; photograph the garment again"
            )
        whole = np.full(rgb.shape[:2], WHITE, np.uint8)
        return _square(rgb, whole, (0, 0, rgb.shape[1], rgb.shape[0]), side, margin=0.0, flags=(NOT_FOUND_FLAG,))
    return _square(rgb, alpha, box, side, margin=MARGIN, flags=())


def largest_components(alpha: ByteArray) -> ByteArray:
    """`alpha` with everything set to 0 that is not in one of the largest connected components; all 0 where there is none."""
    solid = (alpha >= HALF).view(np.uint8)
    x, y, width, height = cv2.boundingRect(solid)
    # Only where something is: components cost by the pixel, and this is most of what a crop costs.
    rows, columns = slice(max(0, y - EDGE), y + height + EDGE), slice(max(0, x - EDGE), x + width + EDGE)
    here = solid[rows, columns]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(here, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    whole = np.zeros_like(alpha)
    if count == 1 or areas.sum() < MIN_COVERAGE * alpha.size:
        return whole
    kept = np.zeros(count, np.uint8)
    kept[1:] = areas >= COMPONENT_SHARE * areas.max()
    # Soft edges belong to what they surround: grow the kept components by the width of the edge before cutting.
    region = cv2.dilate(here if kept[1:].all() else kept[labels], np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8))
    cv2.copyTo(alpha[rows, columns], region, whole[rows, columns])
    return whole


def _box(alpha: ByteArray) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of what is at least half garment, right and bottom exclusive."""
    x, y, width, height = cv2.boundingRect((alpha >= HALF).view(np.uint8))
    return (x, y, x + width, y + height) if width else None


def _square(
    rgb: ByteArray, alpha: ByteArray, box: tuple[int, int, int, int], side: int, *, margin: float, flags: tuple[str, ...]
) -> Crop:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    inner = max(1, round(side / (1 + 2 * margin)))  # the garment's longer side, in pixels of the crop
    scale = inner / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part_alpha = alpha[top:bottom, left:right]
    weight = cv2.resize(part_alpha, size, interpolation=how)
    # Composite before resizing, so that no background bleeds into the garment's edge.
    # What is not garment, of how far each pixel is from white: the product is taken from white again.
    away = cv2.bitwise_not(rgb[top:bottom, left:right])
    part = cv2.bitwise_not(cv2.multiply(away, cv2.merge([part_alpha] * 3), scale=1 / WHITE))
    x, y = (side - size[0]) // 2, (side - size[1]) // 2
    canvas = np.full((side, side, 3), WHITE, np.uint8)
    canvas[y : y + size[1], x : x + size[0]] = cv2.resize(part, size, interpolation=how)
    mask = np.zeros((side, side), np.uint8)
    mask[y : y + size[1], x : x + size[0]] = weight
    return Crop(rgb=canvas, mask=mask, flags=flags)
