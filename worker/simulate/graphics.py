"""Placed graphics: words, numbers, badges, emblems. Drawn once as colour and alpha, then laid on the chest or the back."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, Rng

GraphicName = Literal["word", "number", "badge", "emblem", "landscape", "bars", "star", "heart"]

SIDE = 256
_AA = cv2.LINE_AA
_SYLLABLES = ("ka", "no", "ri", "ve", "lo", "ta", "mi", "su", "bra", "den", "fox", "jo", "pe", "wil", "ost", "um", "za", "hel")
_FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX)


def _ink(colours: ByteArray, index: int) -> tuple[int, int, int]:
    r, g, b = colours[index]
    return int(r), int(g), int(b)


def _text(
    rgb: ByteArray, alpha: ByteArray, text: str, font: int, ink: tuple[int, int, int], centre: tuple[int, int], width: int
) -> None:
    """Write `text` centred and as wide as `width` pixels (at most 110 high)."""
    (at_one, high), _ = cv2.getTextSize(text, font, 1.0, 2)
    scale = min(width / max(at_one, 1), 110 / max(high, 1))
    thickness = max(2, round(scale * 4))
    (wide, high), _ = cv2.getTextSize(text, font, scale, thickness)
    origin = (centre[0] - wide // 2, centre[1] + high // 2)
    cv2.putText(rgb, text, origin, font, scale, ink, thickness, _AA)
    cv2.putText(alpha, text, origin, font, scale, 255, thickness, _AA)


def _polygon(
    rgb: ByteArray, alpha: ByteArray, points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], ink: tuple[int, int, int]
) -> None:
    whole = points.astype(np.int32)
    cv2.fillPoly(rgb, [whole], ink, _AA)
    cv2.fillPoly(alpha, [whole], 255, _AA)


def _star(points: int, inner: float, turn: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    angles = np.arange(points * 2) * np.pi / points + turn
    radii = np.where(np.arange(points * 2) % 2 == 0, 1.0, inner) * 110
    return np.stack([128 + radii * np.cos(angles), 128 + radii * np.sin(angles)], axis=1)


def graphic(name: GraphicName, rng: Rng, colours: ByteArray) -> tuple[ByteArray, ByteArray]:
    """A graphic as ((SIDE, SIDE, 3) uint8 colour, (SIDE, SIDE) uint8 alpha); `colours` (4, 3) uint8 as in a palette."""
    first, second = _ink(colours, 1), _ink(colours, 2)
    rgb = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    rgb[:] = first
    alpha = np.zeros((SIDE, SIDE), dtype=np.uint8)
    font = int(rng.choice(_FONTS))
    word = "".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4)))).upper()
    turn = float(rng.uniform(0, 6.28))
    if name == "word":
        _text(rgb, alpha, word, font, first, (128, 110), 236)
        if rng.random() < 0.6:
            cv2.line(rgb, (30, 190), (226, 190), second, 10, _AA)
            cv2.line(alpha, (30, 190), (226, 190), 255, 10, _AA)
    elif name == "number":
        _text(rgb, alpha, str(int(rng.integers(1, 100))), font, first, (128, 100), 150)
        _text(rgb, alpha, word, font, second, (128, 210), 180)
    elif name == "badge":
        cv2.circle(rgb, (128, 128), 118, first, -1, _AA)
        cv2.circle(alpha, (128, 128), 118, 255, -1, _AA)
        cv2.circle(rgb, (128, 128), 100, second, 8, _AA)
        _text(rgb, alpha, word[:4], font, second, (128, 128), 140)
    elif name == "emblem":
        _polygon(rgb, alpha, _star(int(rng.integers(3, 10)), float(rng.uniform(0.35, 0.85)), turn), first)
        cv2.circle(rgb, (128, 128), int(rng.integers(14, 50)), second, -1, _AA)
    elif name == "star":
        _polygon(rgb, alpha, _star(5, 0.42, -np.pi / 2), first)
    elif name == "heart":
        t = np.linspace(0, 2 * np.pi, 60)
        x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        _polygon(rgb, alpha, np.stack([128 + x * 6.5, 118 - y * 6.5], axis=1), first)
    elif name == "landscape":
        cv2.circle(rgb, (128, 128), 116, second, -1, _AA)
        cv2.circle(alpha, (128, 128), 116, 255, -1, _AA)
        cv2.circle(rgb, (int(rng.integers(80, 176)), 80), int(rng.integers(18, 34)), _ink(colours, 3), -1, _AA)
        xs = np.arange(0, 257, 32)
        for shade in (0.8, 0.55):
            heights = rng.uniform(90, 190, len(xs))
            ridge = np.concatenate([np.stack([xs, heights], axis=1), [[256, 256], [0, 256]]])
            cv2.fillPoly(rgb, [ridge.astype(np.int32)], tuple(int(v * shade) for v in first), _AA)
    else:  # bars
        count = int(rng.integers(2, 6))
        for i in range(count):
            top = 20 + i * 216 // count
            left, right = sorted(int(v) for v in rng.integers(10, 246, 2))
            right = max(right, left + 60)
            box = np.array([[left, top], [right, top], [right, top + 130 // count], [left, top + 130 // count]], dtype=np.float64)
            _polygon(rgb, alpha, box, first if i % 2 == 0 else second)
    return rgb, alpha
