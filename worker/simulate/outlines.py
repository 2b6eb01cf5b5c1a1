"""Outlines in centimetres: lines and curves, mirrored about the garment's centre line (x = 0, y grows downwards)."""

from __future__ import annotations

import numpy as np

from worker.simulate.arrays import FloatArray, as_float

# Points a quadratic curve is drawn with: at 10 px a centimetre a 30 cm curve gets one every 25 px, smooth to the eye.
CURVE_POINTS = 12


class Path:
    """Collects points of lines and quadratic curves."""

    def __init__(self, x: float, y: float) -> None:
        self._points: list[tuple[float, float]] = [(x, y)]

    def line(self, x: float, y: float) -> Path:
        """A straight line to (x, y)."""
        self._points.append((x, y))
        return self

    def curve(self, control_x: float, control_y: float, x: float, y: float) -> Path:
        """A quadratic Bézier curve to (x, y)."""
        x0, y0 = self._points[-1]
        for t in np.linspace(0, 1, CURVE_POINTS + 1)[1:]:
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
            self._points.append((float(a * x0 + b * control_x + c * x), float(a * y0 + b * control_y + c * y)))
        return self

    @property
    def points(self) -> FloatArray:
        """(n, 2) float32, centimetres."""
        return as_float(self._points)


def mirrored(points: FloatArray) -> FloatArray:
    """The same outline on the other side of the centre line."""
    return as_float(points * as_float([-1, 1]))


def symmetric(half: FloatArray) -> FloatArray:
    """A closed outline from its right half, which begins and ends on the centre line."""
    return as_float(np.concatenate([half, mirrored(half)[::-1]]))


def rectangle(left: float, top: float, right: float, bottom: float) -> FloatArray:
    """Four corners."""
    return as_float([(left, top), (right, top), (right, bottom), (left, bottom)])


def offset_along(points: FloatArray, dx: float, dy: float) -> FloatArray:
    """Moved by (dx, dy)."""
    return as_float(points + as_float([dx, dy]))
