"""Crumpled cloth as facets, and garments folded over: the relief of the second simulator, built unlike the first one's ridges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_float
from worker.simulate.placing import bounds


@dataclass(frozen=True, slots=True, eq=False)
class Crumple:
    """Facets of crumpled cloth over a picture; all (h, w) float32.

    Attributes:
        shift_x: pixels by which the cloth is moved, along x.
        shift_y: along y.
        tilt_x: slope of the facet towards x, about -1..1.
        tilt_y: slope towards y.
        crease: 0..1, how near a pixel is to a sharp edge between facets.
    """

    shift_x: FloatArray
    shift_y: FloatArray
    tilt_x: FloatArray
    tilt_y: FloatArray
    crease: FloatArray


def crumple(size: tuple[int, int], rng: Rng, *, facets: int, squeeze: float) -> Crumple:
    """Crumple a sheet: random facets (Voronoi cells), each a plane of its own slope, the cloth drawn together within each.

    Args:
        size: (height, width).
        rng: generator.
        facets: how many.
        squeeze: how far cloth is drawn together within a facet, 0..1; at the edges between facets part of it disappears, as in
            real creases.
    """
    h, w = -(-size[0] // 2), -(-size[1] // 2)
    seeds = np.stack([rng.uniform(0, w, facets), rng.uniform(0, h, facets)], axis=1)
    dots = np.ones((h, w), dtype=np.uint8)
    columns, rows = seeds[:, 0].astype(int), seeds[:, 1].astype(int)
    dots[rows, columns] = 0
    _, labels = cv2.distanceTransformWithLabels(dots, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    # OpenCV numbers the zero pixels itself: find out which facet has which number.
    number = labels[rows, columns]
    order = np.zeros(int(labels.max()) + 1, dtype=np.int64)
    order[number] = np.arange(facets)
    facet = order[labels]
    slopes = as_float(rng.normal(0, 0.38, (facets, 2)))
    centre = as_float(np.stack([columns, rows], axis=1))
    x = np.arange(w, dtype=np.float32)[None] - np.take(centre[:, 0], facet)
    y = np.arange(h, dtype=np.float32)[:, None] - np.take(centre[:, 1], facet)
    slope_x, slope_y = np.take(slopes[:, 0], facet), np.take(slopes[:, 1], facet)
    # A facet that slopes away is seen foreshortened: more cloth lies under each pixel along its slope.
    along = (x * slope_x + y * slope_y) * np.float32(squeeze)
    blur = 1.2
    shift_x = cv2.GaussianBlur(along * slope_x, (0, 0), blur)
    shift_y = cv2.GaussianBlur(along * slope_y, (0, 0), blur)
    edges = cv2.morphologyEx(facet.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    crease = cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 0.8)
    wide = (size[1], size[0])

    def full(values: FloatArray, factor: float = 1.0) -> FloatArray:
        return as_float(cv2.resize(values, wide, interpolation=cv2.INTER_LINEAR) * np.float32(factor))

    # Cloth is no paper: a facet bends into the next over about a hundredth of the picture.
    bend = max(1.0, max(h, w) * 0.011)
    tilt_x, tilt_y = cv2.GaussianBlur(slope_x, (0, 0), bend), cv2.GaussianBlur(slope_y, (0, 0), bend)
    return Crumple(
        full(as_float(shift_x), 2),
        full(as_float(shift_y), 2),
        full(as_float(tilt_x)),
        full(as_float(tilt_y)),
        full(as_float(crease)),
    )


# A fold that hides more than this share of the garment would leave too little to know it by.
_MOST_FOLDED = 0.22


def folded(rgb: ByteArray, mask: ByteArray, rng: Rng) -> tuple[ByteArray, ByteArray]:
    """Fold one end of the garment (a sleeve, a hem, a leg) over, or tuck it under.

    Args:
        rgb: (h, w, 3) uint8 cut-out.
        mask: (h, w) uint8.
        rng: generator.

    Returns:
        The folded garment in the same frame; unchanged where no fold hides little enough.
    """
    left, top, right, bottom = bounds(mask)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    reach = np.array([(right - left) / 2, (bottom - top) / 2])
    h, w = mask.shape
    x = np.arange(w, dtype=np.float32)[None]
    y = np.arange(h, dtype=np.float32)[:, None]
    total = float(mask.sum())
    for _ in range(6):
        angle = float(rng.uniform(0, 2 * np.pi))
        normal = np.array([np.cos(angle), np.sin(angle)])
        at = middle + normal * reach * float(rng.uniform(0.45, 0.8))
        side = (x - np.float32(at[0])) * np.float32(normal[0]) + (y - np.float32(at[1])) * np.float32(normal[1])
        beyond = side > 0
        share = float(mask[beyond].sum()) / total
        if 0.03 < share < _MOST_FOLDED:
            return _fold_at(rgb, mask, beyond, normal, at, over=bool(rng.random() < 0.65))
    return rgb, mask


def _fold_at(
    rgb: ByteArray,
    mask: ByteArray,
    beyond: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    normal: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    at: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    *,
    over: bool,
) -> tuple[ByteArray, ByteArray]:
    h, w = mask.shape
    kept = np.where(beyond, 0, mask).astype(np.uint8)
    if not over:
        return rgb, kept
    # Reflection at the line through `at` across `normal`.
    mirror = np.eye(2) - 2 * np.outer(normal, normal)
    matrix = np.hstack([mirror, (2 * float(at @ normal) * normal)[:, None]])
    flap = np.where(beyond, mask, 0).astype(np.uint8)
    flap = np.asarray(cv2.warpAffine(flap, matrix, (w, h)), dtype=np.uint8)
    colour = cv2.warpAffine(rgb, matrix, (w, h), borderMode=cv2.BORDER_REPLICATE)
    reach = round(max(h, w) * 0.008)
    x, y, wide, high = cv2.boundingRect(flap)
    window = (slice(max(0, y - 3 * reach), y + high + 3 * reach), slice(max(0, x - 3 * reach), x + wide + 3 * reach))
    part = flap[window]
    weight = (part.astype(np.float32) / 255)[..., None]
    shadow = cv2.GaussianBlur(part, (0, 0), reach).astype(np.float32)[..., None] * np.float32(0.45 / 255)
    below = rgb[window].astype(np.float32) * (1 - shadow)
    # The wrong side of cloth: paler print, a little darker.
    wrong = colour[window].astype(np.float32) * np.float32(0.5) + np.float32(46)
    folded_rgb = rgb.copy()
    folded_rgb[window] = (below + (wrong - below) * weight).astype(np.uint8)
    return folded_rgb, np.maximum(kept, flap)
