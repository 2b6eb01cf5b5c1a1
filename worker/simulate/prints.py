"""Prints: seamless colour tiles, drawn from a palette. The geometry comes from the style's generator, so colourways share it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_bytes, as_float
from worker.simulate.fabric import noise_tile

PrintName = Literal[
    "plain", "melange", "stripes", "breton", "pinstripe", "gingham", "tartan", "dots", "floral", "chevron", "camouflage",
    "tie-dye", "animal", "geometric", "houndstooth", "confetti",
]  # fmt: skip

# Side of a tile in its own pixels. It is scaled to the print's repeat in centimetres when it is laid on a garment.
TILE = 256
_AA = cv2.LINE_AA

Colours = ByteArray  # (4, 3)


def _filled(colour: ByteArray) -> ByteArray:
    return np.full((TILE, TILE, 3), colour, dtype=np.uint8)


def _colour(colours: Colours, index: int) -> tuple[int, int, int]:
    r, g, b = colours[index]
    return int(r), int(g), int(b)


def _stamped(tile: ByteArray, x: float, y: float, reach: float, draw: Callable[[ByteArray, float, float], None]) -> None:
    """Draw a motif at (x, y), and again on the other side where it crosses an edge."""
    for dx in (-TILE, 0, TILE):
        for dy in (-TILE, 0, TILE):
            if -reach <= x + dx <= TILE + reach and -reach <= y + dy <= TILE + reach:
                draw(tile, x + dx, y + dy)


def _bands(colours: Colours, edges: list[tuple[float, int]], *, vertical: bool) -> ByteArray:
    """Bands across the tile: (share where the band ends, colour index)."""
    line = np.zeros((TILE, 3), dtype=np.uint8)
    start = 0
    for end, index in edges:
        stop = round(end * TILE)
        line[start:stop] = colours[index]
        start = stop
    return np.ascontiguousarray(np.broadcast_to(line[None] if vertical else line[:, None], (TILE, TILE, 3)))


def _plain(_rng: Rng, colours: Colours) -> ByteArray:
    return _filled(colours[0])


def _melange(rng: Rng, colours: Colours) -> ByteArray:
    fibres = noise_tile(rng, 0.8, TILE)[..., None]
    toward = (colours[1].astype(np.float32) - colours[0]) * 0.35
    return as_bytes(colours[0] + np.clip(fibres * 0.35, -0.5, 0.8) * toward)


def _stripes(rng: Rng, colours: Colours) -> ByteArray:
    share = float(rng.uniform(0.25, 0.6))
    edges = [(share, 1), (1.0, 0)]
    if rng.random() < 0.4:
        edges = [(share * 0.5, 1), (share * 0.5 + 0.12, 2), (share * 0.5 + 0.3, 0), (1.0, 0)]
    return _bands(colours, edges, vertical=bool(rng.random() < 0.25))


def _breton(rng: Rng, colours: Colours) -> ByteArray:
    thin = float(rng.uniform(0.12, 0.2))
    return _bands(colours, [(thin, 1), (0.5, 0), (0.5 + thin, 1), (1.0, 0)], vertical=False)


def _pinstripe(rng: Rng, colours: Colours) -> ByteArray:
    count = int(rng.integers(3, 7))
    line = 0.03 + float(rng.uniform(0, 0.02))
    edges = [pair for i in range(count) for pair in ((i / count + line, 1), ((i + 1) / count, 0))]
    return _bands(colours, edges, vertical=True)


def _gingham(rng: Rng, colours: Colours) -> ByteArray:
    count = int(rng.integers(2, 5))
    line = (np.arange(TILE) * count * 2 // TILE % 2).astype(np.float32) * 0.5
    weight = (line[:, None] + line[None])[..., None]
    return as_bytes(colours[0] * (1 - weight) + colours[1] * weight)


def _tartan(rng: Rng, colours: Colours) -> ByteArray:
    line = np.zeros((TILE, 3), dtype=np.float32) + colours[0]
    for _ in range(int(rng.integers(3, 6))):
        at, width, index = rng.uniform(0, TILE), rng.uniform(6, 56), int(rng.integers(1, 4))
        rows = (np.arange(TILE) - at) % TILE < width
        line[rows] = colours[index]
    weave = ((np.add.outer(np.arange(TILE), np.arange(TILE)) // 2) % 2).astype(np.float32)[..., None]
    mix = 0.5 + 0.14 * (weave * 2 - 1)
    return as_bytes(line[:, None] * mix + line[None] * (1 - mix))


def _dots(rng: Rng, colours: Colours) -> ByteArray:
    tile = _filled(colours[0])
    count = int(rng.integers(2, 5))
    step = TILE / count
    radius = float(rng.uniform(0.14, 0.33) * step)
    both = rng.random() < 0.3
    for row in range(count):
        for column in range(count):
            for shift in (0.0, 0.5):
                index = 2 if both and shift else 1

                def draw(into: ByteArray, x: float, y: float, index: int = index) -> None:
                    cv2.circle(into, (round(x * 8), round(y * 8)), round(radius * 8), _colour(colours, index), -1, _AA, 3)

                _stamped(tile, (column + shift) * step, (row + shift) * step, radius, draw)
    return tile


def _floral(rng: Rng, colours: Colours) -> ByteArray:
    tile = _filled(colours[0])
    leaf = tuple(int(v) for v in (colours[0].astype(int) + np.array([70, 110, 70])) // 2)
    petals = int(rng.integers(4, 8))
    for _ in range(int(rng.integers(7, 18))):
        x, y, size, turn = rng.uniform(0, TILE), rng.uniform(0, TILE), rng.uniform(12, 34), rng.uniform(0, 6.28)
        index = 1 if rng.random() < 0.65 else 3

        def draw(into: ByteArray, x: float, y: float, size: float = size, turn: float = turn, index: int = index) -> None:
            for side in (-1, 1):
                end = (round(x + side * size * 1.5 * np.cos(turn + 1)), round(y + side * size * 1.5 * np.sin(turn + 1)))
                cv2.ellipse(
                    into, end, (round(size * 0.6), round(size * 0.25)), float(np.degrees(turn + 1)), 0, 360, leaf, -1, _AA
                )
            for petal in range(petals):
                angle = turn + petal * 2 * np.pi / petals
                at = (round(x + size * 0.55 * np.cos(angle)), round(y + size * 0.55 * np.sin(angle)))
                axes = (round(size * 0.5), round(size * 0.3))
                cv2.ellipse(into, at, axes, float(np.degrees(angle)), 0, 360, _colour(colours, index), -1, _AA)
            cv2.circle(into, (round(x), round(y)), max(2, round(size * 0.25)), _colour(colours, 2), -1, _AA)

        _stamped(tile, x, y, size * 2.2, draw)
    return tile


def _chevron(rng: Rng, colours: Colours) -> ByteArray:
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    count = int(rng.integers(2, 5))
    zigzag = np.abs((x / TILE * count) % 1 - 0.5) * 2
    phase = (y / TILE * count + zigzag * float(rng.uniform(0.4, 0.9))) % 1
    return colours[np.where(phase < 0.5, 0, np.where(phase < 0.75, 1, 2))]


def _camouflage(rng: Rng, colours: Colours) -> ByteArray:
    index = np.zeros((TILE, TILE), dtype=np.int64)
    for layer in (1, 2, 3):
        index[noise_tile(rng, 13.0, TILE) > 0.55] = layer
    return colours[index]


def _tie_dye(rng: Rng, colours: Colours) -> ByteArray:
    y, x = (np.mgrid[0:TILE, 0:TILE].astype(np.float32) - TILE / 2) / TILE
    radius = np.hypot(x, y)
    swirl = np.sin(np.arctan2(y, x) * int(rng.integers(2, 5)) + radius * 28 + noise_tile(rng, 9.0, TILE) * 0.9)
    fade = np.clip(1.6 - radius * 3.2, 0, 1)  # the tile's edge is the base colour, so that it repeats
    weight = ((swirl * 0.5 + 0.5) * fade)[..., None]
    inner = np.clip(1 - radius * 5, 0, 1)[..., None]
    return as_bytes((colours[0] * (1 - weight) + colours[1] * weight) * (1 - inner * 0.5) + colours[2] * inner * 0.5)


def _animal(rng: Rng, colours: Colours) -> ByteArray:
    tile = _filled(colours[0])
    dark = tuple(int(v) // 3 for v in colours[0])
    for _ in range(34):
        x, y, size, turn = rng.uniform(0, TILE), rng.uniform(0, TILE), rng.uniform(7, 17), rng.uniform(0, 360)
        gap = rng.uniform(40, 120)

        def draw(into: ByteArray, x: float, y: float, size: float = size, turn: float = turn, gap: float = gap) -> None:
            at, axes = (round(x), round(y)), (round(size), round(size * 0.7))
            cv2.ellipse(into, at, axes, turn, 0, 360, _colour(colours, 2), -1, _AA)
            cv2.ellipse(into, at, axes, turn, gap, 330, dark, max(2, round(size * 0.4)), _AA)

        _stamped(tile, x, y, 20, draw)
    return tile


def _geometric(rng: Rng, colours: Colours) -> ByteArray:
    tile = _filled(colours[0])
    count = int(rng.integers(2, 5))
    step = TILE / count
    corners = int(rng.choice([3, 4, 6]))
    angles = np.arange(corners) * 2 * np.pi / corners + float(rng.uniform(0, 6.28))
    scale = float(rng.uniform(0.25, 0.42)) * step
    hollow = rng.random() < 0.5
    for row in range(count):
        for column in range(count):
            index = 1 + (row + column) % 2

            def draw(into: ByteArray, x: float, y: float, index: int = index) -> None:
                points = np.stack([x + scale * np.cos(angles), y + scale * np.sin(angles)], axis=1)
                if hollow:
                    cv2.polylines(
                        into, [points.astype(np.int32)], True, _colour(colours, index), max(3, round(scale * 0.22)), _AA
                    )
                else:
                    cv2.fillPoly(into, [points.astype(np.int32)], _colour(colours, index), _AA)

            _stamped(tile, (column + 0.5) * step, (row + 0.5) * step, scale, draw)
    return tile


def _houndstooth(_rng: Rng, colours: Colours) -> ByteArray:
    cell = ["11111100", "11111000", "11110001", "11100011", "01000100", "00001000", "00010000", "00100000"]
    bits = np.array([[int(c) for c in row] for row in cell])
    index = np.kron(np.tile(bits, (4, 4)), np.ones((8, 8), dtype=np.int64))
    return colours[index]


def _confetti(rng: Rng, colours: Colours) -> ByteArray:
    tile = _filled(colours[0])
    for _ in range(int(rng.integers(30, 60))):
        x, y, turn, length = rng.uniform(0, TILE), rng.uniform(0, TILE), rng.uniform(0, 6.28), rng.uniform(6, 18)
        index = int(rng.integers(1, 4))

        def draw(into: ByteArray, x: float, y: float, turn: float = turn, length: float = length, index: int = index) -> None:
            end = (round(x + length * np.cos(turn)), round(y + length * np.sin(turn)))
            cv2.line(into, (round(x), round(y)), end, _colour(colours, index), 5, _AA)

        _stamped(tile, x, y, 20, draw)
    return tile


_DRAWERS: dict[PrintName, Callable[[Rng, Colours], ByteArray]] = {
    "plain": _plain, "melange": _melange, "stripes": _stripes, "breton": _breton, "pinstripe": _pinstripe, "gingham": _gingham,
    "tartan": _tartan, "dots": _dots, "floral": _floral, "chevron": _chevron, "camouflage": _camouflage, "tie-dye": _tie_dye,
    "animal": _animal, "geometric": _geometric, "houndstooth": _houndstooth, "confetti": _confetti,
}  # fmt: skip

# Centimetres after which a print repeats: smallest and largest.
REPEATS: dict[PrintName, tuple[float, float]] = {
    "plain": (10, 11), "melange": (9, 12), "stripes": (2.5, 11), "breton": (4, 8), "pinstripe": (6, 12), "gingham": (3, 12),
    "tartan": (10, 26), "dots": (5, 16), "floral": (12, 34), "chevron": (7, 20), "camouflage": (24, 44), "tie-dye": (44, 70),
    "animal": (12, 26), "geometric": (8, 26), "houndstooth": (6, 16), "confetti": (14, 30),
}  # fmt: skip


def print_tile(name: PrintName, rng: Rng, colours: Colours) -> ByteArray:
    """(TILE, TILE, 3) uint8 sRGB, seamless. `colours` (4, 3) uint8: base, second, third, trim."""
    return _DRAWERS[name](rng, colours)


def sampled(tile: ByteArray | FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """The repeating tile at pixel positions (x, y), bilinear."""
    return as_float(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
