"""Placed graphics: words, numbers, badges, emblems. Drawn once as colour and alpha, then laid on the chest or the back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from worker.simulate.arrays import ByteArray, Rng

GraphicName = Literal["word", "number", "badge", "emblem", "landscape", "bars", "star", "heart"]

SIDE = 256
_AA = cv2.LINE_AA
_SYLLABLES = ("ka", "no", "ri", "ve", "lo", "ta", "mi", "su", "bra", "den", "fox", "jo", "pe", "wil", "ost", "um", "za", "hel")
_FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX)
_HIGHEST_LETTER = 110

Ink = tuple[int, int, int]


class _Patch:
    """A piece of print: colour and alpha, drawn into together."""

    def __init__(self, rng: Rng, colours: ByteArray) -> None:
        self.rng = rng
        self.first, self.second, self.third = (self._ink(colours, index) for index in (1, 2, 3))
        self.rgb = np.full((SIDE, SIDE, 3), colours[1], dtype=np.uint8)
        self.alpha = np.zeros((SIDE, SIDE), dtype=np.uint8)
        self._font = int(rng.choice(_FONTS))
        self.word = "".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4)))).upper()
        self.turn = float(rng.uniform(0, 6.28))

    @staticmethod
    def _ink(colours: ByteArray, index: int) -> Ink:
        r, g, b = colours[index]
        return int(r), int(g), int(b)

    def text(self, text: str, ink: Ink, centre: tuple[int, int], width: int) -> None:
        """Write `text` centred and as wide as `width` pixels."""
        (at_one, high), _ = cv2.getTextSize(text, self._font, 1.0, 2)
        scale = min(width / max(at_one, 1), _HIGHEST_LETTER / max(high, 1))
        thickness = max(2, round(scale * 4))
        (wide, high), _ = cv2.getTextSize(text, self._font, scale, thickness)
        origin = (centre[0] - wide // 2, centre[1] + high // 2)
        cv2.putText(self.rgb, text, origin, self._font, scale, ink, thickness, _AA)
        cv2.putText(self.alpha, text, origin, self._font, scale, 255, thickness, _AA)

    def polygon(self, points: npt.NDArray[np.float64], ink: Ink) -> None:
        """Fill a polygon."""
        whole = points.astype(np.int32)
        cv2.fillPoly(self.rgb, [whole], ink, _AA)
        cv2.fillPoly(self.alpha, [whole], 255, _AA)

    def disc(self, radius: int, ink: Ink) -> None:
        """Fill a disc in the middle."""
        cv2.circle(self.rgb, (128, 128), radius, ink, -1, _AA)
        cv2.circle(self.alpha, (128, 128), radius, 255, -1, _AA)


def _star_points(points: int, inner: float, turn: float) -> npt.NDArray[np.float64]:
    angles = np.arange(points * 2) * np.pi / points + turn
    radii = np.where(np.arange(points * 2) % 2 == 0, 1.0, inner) * 110
    return np.stack([128 + radii * np.cos(angles), 128 + radii * np.sin(angles)], axis=1)


def _word(patch: _Patch) -> None:
    patch.text(patch.word, patch.first, (128, 110), 236)
    if patch.rng.random() < 0.6:
        cv2.line(patch.rgb, (30, 190), (226, 190), patch.second, 10, _AA)
        cv2.line(patch.alpha, (30, 190), (226, 190), 255, 10, _AA)


def _number(patch: _Patch) -> None:
    patch.text(str(int(patch.rng.integers(1, 100))), patch.first, (128, 100), 150)
    patch.text(patch.word, patch.second, (128, 210), 180)


def _badge(patch: _Patch) -> None:
    patch.disc(118, patch.first)
    cv2.circle(patch.rgb, (128, 128), 100, patch.second, 8, _AA)
    patch.text(patch.word[:4], patch.second, (128, 128), 140)


def _emblem(patch: _Patch) -> None:
    rng = patch.rng
    patch.polygon(_star_points(int(rng.integers(3, 10)), float(rng.uniform(0.35, 0.85)), patch.turn), patch.first)
    cv2.circle(patch.rgb, (128, 128), int(rng.integers(14, 50)), patch.second, -1, _AA)


def _star(patch: _Patch) -> None:
    patch.polygon(_star_points(5, 0.42, -np.pi / 2), patch.first)


def _heart(patch: _Patch) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    patch.polygon(np.stack([128 + x * 6.5, 118 - y * 6.5], axis=1), patch.first)


def _landscape(patch: _Patch) -> None:
    rng = patch.rng
    patch.disc(116, patch.second)
    cv2.circle(patch.rgb, (int(rng.integers(80, 176)), 80), int(rng.integers(18, 34)), patch.third, -1, _AA)
    xs = np.arange(0, 257, 32)
    for shade in (0.8, 0.55):
        heights = rng.uniform(90, 190, len(xs))
        ridge = np.concatenate([np.stack([xs, heights], axis=1), [[256, 256], [0, 256]]])
        cv2.fillPoly(patch.rgb, [ridge.astype(np.int32)], tuple(int(v * shade) for v in patch.first), _AA)


def _bars(patch: _Patch) -> None:
    count = int(patch.rng.integers(2, 6))
    for i in range(count):
        top = 20 + i * 216 // count
        left, right = sorted(int(v) for v in patch.rng.integers(10, 246, 2))
        right, bottom = max(right, left + 60), top + 130 // count
        box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
        patch.polygon(box, patch.first if i % 2 == 0 else patch.second)


_DRAWERS: dict[GraphicName, Callable[[_Patch], None]] = {
    "word": _word, "number": _number, "badge": _badge, "emblem": _emblem, "star": _star, "heart": _heart,
    "landscape": _landscape, "bars": _bars,
}  # fmt: skip


def graphic(name: GraphicName, rng: Rng, colours: ByteArray) -> tuple[ByteArray, ByteArray]:
    """A graphic as ((SIDE, SIDE, 3) uint8 colour, (SIDE, SIDE) uint8 alpha); `colours` (4, 3) uint8 as in a palette."""
    patch = _Patch(rng, colours)
    _DRAWERS[name](patch)
    return patch.rgb, patch.alpha
