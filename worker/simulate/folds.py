"""Folds as a height map: drawn ridges, blurred; light on them; and the shift of the cloth they cause."""

from __future__ import annotations

import cv2
import numpy as np

from worker.simulate.arrays import FloatArray, Rng, as_float

# A ridge rises and runs out: its height along its length.
_TAPER = (0.25, 0.6, 0.9, 1.0, 0.9, 0.6, 0.25)


def smooth_noise(shape: tuple[int, int], cells: float, rng: Rng) -> FloatArray:
    """(h, w) float32 noise, standard deviation about 1, with about `cells` bumps along the longer side."""
    longer = max(shape)
    h = max(3, round(shape[0] / longer * cells) + 2)
    w = max(3, round(shape[1] / longer * cells) + 2)
    coarse = as_float(rng.standard_normal((h, w), dtype=np.float32))
    return as_float(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def ridges(
    shape: tuple[int, int], rng: Rng, *, count: int, length: float, width: float, direction: float | None = None
) -> FloatArray:
    """Height map of `count` soft ridges and valleys.

    Args:
        shape: (h, w) of the map.
        rng: generator.
        count: ridges.
        length: of a ridge, as a share of the longer side.
        width: blur, as a share of the longer side.
        direction: of the ridges in radians (spread of about 30 degrees); None: any.

    Returns:
        (h, w) float32, heights of about -1..1.
    """
    h, w = shape
    longer = max(shape)
    canvas = np.zeros(shape, dtype=np.float32)
    thickness = max(1, round(width * longer))
    for _ in range(count):
        x, y = rng.uniform(0, w), rng.uniform(0, h)
        angle = rng.uniform(0, np.pi) if direction is None else direction + rng.normal(0, 0.5)
        bend = rng.normal(0, 0.15)
        step = length * longer * rng.uniform(0.4, 1.0) / len(_TAPER)
        height = float(rng.uniform(0.4, 1.0) * rng.choice((-1, 1)))
        for share in _TAPER:
            start = (round(x), round(y))
            x, y = x + step * np.cos(angle), y + step * np.sin(angle)
            angle += bend
            cv2.line(canvas, start, (round(x), round(y)), height * share, thickness, cv2.LINE_8)
    return as_float(cv2.GaussianBlur(canvas, (0, 0), max(0.6, width * longer)))


def lit(height: FloatArray, light: float, depth: float, *, gloss: float = 0.0) -> FloatArray:
    """Brightness factors of a height map lit from the direction `light` (radians).

    Args:
        height: (h, w) float32.
        light: where the light comes from, radians.
        depth: how strong; 1 makes a slope of one per pixel twice as bright or black.
        gloss: 0..1, adds highlights on the steepest lit slopes.
    """
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    slope = as_float((dx * np.float32(np.cos(light)) + dy * np.float32(np.sin(light))) * np.float32(depth))
    factor = 1 + np.clip(slope, -0.6, 0.35)
    if gloss > 0:
        factor = factor + np.float32(gloss) * np.clip(slope - 0.08, 0, 0.5)
    return as_float(factor)
