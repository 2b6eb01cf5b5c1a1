"""What a garment lies on or hangs against: drawn floors, beds, walls; or the margin of a real photo."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_bytes, as_float
from worker.simulate.folds import lit, ridges, smooth_noise


class Background(StrEnum):
    """Kinds of drawn backgrounds."""

    WOOD = "wood"
    BED = "bed"
    CARPET = "carpet"
    TILES = "tiles"
    CONCRETE = "concrete"
    TABLE = "table"
    CARDBOARD = "cardboard"
    WALL = "wall"


_WOODS = ((168, 124, 80), (120, 82, 52), (206, 170, 124), (92, 64, 46), (184, 150, 112), (150, 140, 130))
_SHEETS = ((232, 232, 230), (206, 212, 222), (222, 208, 190), (150, 158, 170), (96, 104, 124), (214, 190, 194), (70, 72, 80))
_CARPETS = ((150, 144, 136), (92, 96, 104), (176, 158, 134), (110, 60, 56), (70, 84, 78), (60, 62, 66))
_WALLS = ((226, 222, 214), (206, 210, 208), (190, 200, 206), (222, 206, 186), (170, 178, 170))
# Fine texture is drawn at half size and enlarged: phones blur it anyway, and it is four times as fast.
_HALF = 2


def _pick(rng: Rng, colours: tuple[tuple[int, int, int], ...]) -> FloatArray:
    return as_float(np.asarray(colours[int(rng.integers(len(colours)))]) + rng.normal(0, 8, 3))


def _coloured(light: FloatArray, colour: FloatArray) -> FloatArray:
    return as_float(light[..., None] * colour)


def _grain(shape: tuple[int, int], rng: Rng, amount: float) -> FloatArray:
    return as_float(1 + np.float32(amount) * rng.standard_normal(shape, dtype=np.float32))


def _wood(shape: tuple[int, int], rng: Rng) -> FloatArray:
    h, w = shape
    colour = _pick(rng, _WOODS)
    streaks = as_float(rng.standard_normal((h, max(4, w // 24)), dtype=np.float32))
    streaks = as_float(cv2.GaussianBlur(cv2.resize(streaks, (w, h), interpolation=cv2.INTER_LINEAR), (0, 0), 0.8))
    light = 1 + np.float32(0.07) * streaks
    board = int(rng.integers(max(8, h // 9), max(10, h // 4)))
    for top in range(-int(rng.integers(board)), h, board):
        rows = slice(max(0, top), max(0, top + board))
        light[rows] *= np.float32(rng.uniform(0.88, 1.1))
        light[max(0, top) : max(0, top + 1)] *= np.float32(0.55)
        for _ in range(2):
            seam = int(rng.integers(w))
            light[rows, seam : seam + 1] *= np.float32(0.6)
    return _coloured(as_float(light), colour)


def _bed(shape: tuple[int, int], rng: Rng) -> FloatArray:
    colour = _pick(rng, _SHEETS)
    height = ridges(shape, rng, count=14, length=0.9, width=0.03) * np.float32(1.6)
    height += ridges(shape, rng, count=12, length=0.5, width=0.012)
    light = lit(height, float(rng.uniform(0, 6.28)), 5.0) * _grain(shape, rng, 0.015)
    rgb = _coloured(as_float(light), colour)
    if rng.random() < 0.45:
        other, step = _pick(rng, _SHEETS), int(rng.integers(14, 60))
        line = (np.arange(shape[1]) // step % 2).astype(np.float32)
        weight = as_float(np.broadcast_to(line, shape))
        if rng.random() < 0.5:
            weight = as_float((weight + (np.arange(shape[0]) // step % 2).astype(np.float32)[:, None]) / 2)
        rgb += (_coloured(as_float(light), other) - rgb) * as_float(weight * np.float32(0.7))[..., None]
    return rgb


def _carpet(shape: tuple[int, int], rng: Rng) -> FloatArray:
    light = _grain(shape, rng, 0.13) * (1 + np.float32(0.06) * smooth_noise(shape, 9, rng))
    rgb = _coloured(as_float(light), _pick(rng, _CARPETS))
    if rng.random() < 0.35:
        figure = (smooth_noise(shape, float(rng.uniform(5, 14)), rng) > 0.7).astype(np.float32)[..., None]
        rgb += (_coloured(as_float(light), _pick(rng, _CARPETS)) - rgb) * figure * np.float32(0.8)
    return rgb


def _tiles(shape: tuple[int, int], rng: Rng) -> FloatArray:
    h, w = shape
    side = int(rng.integers(max(12, w // 7), max(14, w // 3)))
    ys, xs = np.arange(h) + int(rng.integers(side)), np.arange(w) + int(rng.integers(side))
    each = as_float(rng.normal(1, 0.035, (h // side + 3, w // side + 3)))
    light = each[np.ix_(ys // side, xs // side)] * (1 + np.float32(0.03) * smooth_noise(shape, 30, rng))
    grout = ((ys % side) < 2)[:, None] | ((xs % side) < 2)[None]
    light = np.where(grout, light * np.float32(rng.choice([0.6, 0.72, 1.15])), light)
    return _coloured(as_float(light), _pick(rng, (*_WALLS, *_CARPETS)))


def _concrete(shape: tuple[int, int], rng: Rng) -> FloatArray:
    light = 1 + np.float32(0.03) * smooth_noise(shape, 5, rng) + np.float32(0.025) * smooth_noise(shape, 60, rng)
    return _coloured(as_float(light * _grain(shape, rng, 0.04)), as_float(np.array([150, 148, 144]) + rng.normal(0, 14)))


def _table(shape: tuple[int, int], rng: Rng) -> FloatArray:
    light = 1 + np.float32(0.02) * smooth_noise(shape, 3, rng)
    return _coloured(as_float(light * _grain(shape, rng, 0.01)), _pick(rng, (*_WALLS, *_WOODS, (48, 48, 52))))


def _cardboard(shape: tuple[int, int], rng: Rng) -> FloatArray:
    lines = np.float32(0.02) * np.sin(np.arange(shape[1], dtype=np.float32) * np.float32(1.3))
    light = _grain(shape, rng, 0.03) + lines
    fold = int(rng.integers(shape[0]))
    light[fold : fold + 2] *= np.float32(0.75)
    return _coloured(as_float(light), _pick(rng, ((176, 138, 98), (160, 122, 84))))


def _wall(shape: tuple[int, int], rng: Rng) -> FloatArray:
    w = shape[1]
    light = 1 + np.float32(0.015) * smooth_noise(shape, 20, rng)
    rgb = _coloured(as_float(light * _grain(shape, rng, 0.012)), _pick(rng, _WALLS))
    if rng.random() < 0.5:  # a door or wardrobe, with its frame
        left, wide = int(rng.integers(-w // 3, w // 3)), int(rng.integers(w // 2, w))
        door = _pick(rng, (*_WALLS, *_WOODS))
        rgb[:, max(0, left) : max(0, left + wide)] = rgb[:, max(0, left) : max(0, left + wide)] * 0.1 + door * np.float32(0.9)
        for x in (left, left + wide):
            rgb[:, max(0, x) : max(0, x + 3)] *= np.float32(0.62)
    return rgb


_DRAWERS: dict[Background, Callable[[tuple[int, int], Rng], FloatArray]] = {
    Background.WOOD: _wood, Background.BED: _bed, Background.CARPET: _carpet, Background.TILES: _tiles,
    Background.CONCRETE: _concrete, Background.TABLE: _table, Background.CARDBOARD: _cardboard, Background.WALL: _wall,
}  # fmt: skip


def _clutter(rgb: FloatArray, rng: Rng) -> None:
    """A box, a cable or a shoe's shape at the edge of the picture."""
    h, w = rgb.shape[:2]
    for _ in range(int(rng.integers(0, 3))):
        colour = tuple(float(c) for c in rng.uniform(20, 225, 3))
        edge = int(rng.integers(4))
        x = (0, w, float(rng.uniform(0, w)), float(rng.uniform(0, w)))[edge]
        y = (float(rng.uniform(0, h)), float(rng.uniform(0, h)), 0, h)[edge]
        size = (float(rng.uniform(0.08, 0.3) * w), float(rng.uniform(0.06, 0.22) * h))
        box = cv2.boxPoints(((x, y), size, float(rng.uniform(0, 180))))
        cv2.fillPoly(rgb, [np.round(box + 2).astype(np.int32)], tuple(c * 0.3 for c in colour), cv2.LINE_AA)
        cv2.fillPoly(rgb, [np.round(box).astype(np.int32)], colour, cv2.LINE_AA)


def draw_background(size: tuple[int, int], rng: Rng, kind: Background | None = None) -> ByteArray:
    """A background of `size` (height, width) as uint8 sRGB; `kind` None draws one at random."""
    chosen = kind or list(Background)[int(rng.integers(len(Background)))]
    shape = (-(-size[0] // _HALF), -(-size[1] // _HALF))
    rgb = _DRAWERS[chosen](shape, rng)
    if chosen is not Background.WALL and rng.random() < 0.5:
        _clutter(rgb, rng)
    if rng.random() < 0.4:
        rgb = as_float(np.ascontiguousarray(rgb[::-1, ::-1]))
    small = as_bytes(rgb)
    if chosen is not Background.WALL and rng.random() < 0.7:
        # A view at an angle: boards and tiles are never square to the phone.
        centre = (shape[1] / 2, shape[0] / 2)
        turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-45, 45)), 1.5)
        small = np.asarray(cv2.warpAffine(small, turn, (shape[1], shape[0]), borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def background_from_photo(photo: ByteArray, size: tuple[int, int], rng: Rng, *, margin: float = 0.12) -> ByteArray:
    """A background without its garment, made from a real phone photo.

    In a photo of one garment the margin shows what it lies on. The plainest of the four margins (least variance of brightness,
    among three drawn at random) is laid out to fill the picture, every other copy mirrored so that no edge shows.

    Args:
        photo: (h, w, 3) uint8, 64 px or more on each side.
        size: (height, width) wanted.
        rng: generator.
        margin: share of the photo's side that is taken as margin.
    """
    h, w = photo.shape[:2]
    down, across = max(8, round(h * margin)), max(8, round(w * margin))
    strips = [photo[:down], photo[-down:], photo[:, :across].swapaxes(0, 1), photo[:, -across:].swapaxes(0, 1)]
    tried = [strips[int(i)] for i in rng.choice(4, 3, replace=False)]
    strip = min(tried, key=lambda s: float(cv2.cvtColor(np.ascontiguousarray(s), cv2.COLOR_RGB2GRAY).std()))
    strip = np.ascontiguousarray(strip)
    scale = float(rng.uniform(1.0, 1.6)) * max(size) / strip.shape[1]
    wide, high = max(*size, round(strip.shape[1] * scale)), max(8, round(strip.shape[0] * scale))
    strip = np.asarray(cv2.resize(strip, (wide, high), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    copies = -(-max(size) // high) + 1
    filled = np.concatenate([strip if i % 2 == 0 else strip[::-1] for i in range(copies)])
    if rng.random() < 0.5:
        filled = filled.swapaxes(0, 1)
    y, x = int(rng.integers(filled.shape[0] - size[0] + 1)), int(rng.integers(filled.shape[1] - size[1] + 1))
    return np.ascontiguousarray(filled[y : y + size[0], x : x + size[1]])
