"""Colours of garments: a named range, and palettes of colourways that differ visibly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_float

# Typical colours of clothing, sRGB. Shades of one hue are near each other on purpose: navy and black are what people confuse.
NAMED: dict[str, tuple[int, int, int]] = {
    "black": (26, 26, 28), "charcoal": (58, 60, 64), "grey": (128, 130, 134), "silver": (190, 192, 196), "white": (240, 240, 238),
    "cream": (238, 228, 206), "beige": (212, 194, 166), "sand": (196, 172, 132), "camel": (178, 132, 82), "tan": (150, 110, 74),
    "brown": (104, 70, 48), "chocolate": (66, 44, 34), "rust": (166, 78, 42), "burgundy": (98, 26, 42), "red": (186, 32, 40),
    "scarlet": (214, 56, 44), "coral": (232, 112, 94), "pink": (236, 158, 176), "rose": (206, 116, 134), "fuchsia": (202, 44, 122),
    "lilac": (186, 166, 210), "purple": (104, 58, 132), "plum": (78, 40, 74), "navy": (30, 38, 70), "midnight": (24, 28, 48),
    "royal": (40, 72, 160), "cobalt": (30, 92, 186), "sky": (142, 184, 220), "ice": (196, 216, 230), "steel": (96, 120, 146),
    "teal": (22, 100, 108), "turquoise": (52, 164, 166), "mint": (166, 214, 190), "sage": (150, 166, 138), "olive": (96, 98, 54),
    "khaki": (138, 130, 92), "forest": (32, 72, 50), "green": (46, 128, 74), "lime": (164, 190, 66), "yellow": (240, 206, 72),
    "mustard": (206, 158, 46), "orange": (228, 124, 44), "peach": (244, 192, 158),
}  # fmt: skip
DENIM: dict[str, tuple[int, int, int]] = {
    "indigo": (38, 50, 86), "dark denim": (52, 66, 98), "mid denim": (84, 108, 148), "light denim": (142, 166, 196),
    "bleached denim": (184, 200, 216), "black denim": (42, 42, 46), "grey denim": (112, 116, 122), "ecru denim": (222, 212, 192),
}  # fmt: skip

# Lab distance between the base colours of two colourways of one style. 10 is a plain difference side by side (a just noticeable
# one is about 2.3), yet small enough for navy beside charcoal.
COLOURWAY_DISTANCE = 10.0
# Every article's colours are moved a little, so that two navy garments are not the same navy.
COLOUR_JITTER = 7.0


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one article.

    Attributes:
        name: of the base colour, as people would call it.
        colours: (4, 3) uint8 sRGB as nested tuples: base, second, third, trim.
    """

    name: str
    colours: tuple[tuple[int, int, int], ...]

    @property
    def array(self) -> ByteArray:
        """(4, 3) uint8."""
        return np.array(self.colours, dtype=np.uint8)


def lab(rgb: tuple[int, int, int] | ByteArray) -> FloatArray:
    """CIE Lab (L 0..100) of one sRGB colour."""
    pixel = as_float(np.asarray(rgb, dtype=np.float32).reshape(1, 1, 3) / 255)
    return as_float(cv2.cvtColor(pixel, cv2.COLOR_RGB2Lab)).reshape(3)


def lab_distance(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """Euclidean distance in Lab (CIE76)."""
    return float(np.linalg.norm(lab(first) - lab(second)))


def _jittered(rgb: tuple[int, int, int], rng: Rng) -> tuple[int, int, int]:
    moved = np.clip(np.asarray(rgb) + rng.normal(0, COLOUR_JITTER, 3), 8, 247)
    return int(moved[0]), int(moved[1]), int(moved[2])


def _contrasting(rng: Rng, against: list[tuple[int, int, int]], distance: float) -> tuple[int, int, int]:
    """A named colour at least `distance` from the others; the farthest of those tried where none is."""
    best, best_distance = against[0], -1.0
    for name in rng.permutation(list(NAMED))[:16]:
        colour = _jittered(NAMED[str(name)], rng)
        nearest = min(lab_distance(colour, other) for other in against)
        if nearest >= distance:
            return colour
        if nearest > best_distance:
            best, best_distance = colour, nearest
    return best


def palettes(rng: Rng, count: int, *, denim: bool = False) -> list[Palette]:
    """`count` palettes for the colourways of one style; base colours are at least COLOURWAY_DISTANCE apart.

    Args:
        rng: the style's generator; the same generator state gives the same palettes, and asking for more keeps the first ones.
        count: at most 6.
        denim: choose among washes of denim.
    """
    source = DENIM if denim else NAMED
    order = [str(name) for name in rng.permutation(list(source))]
    # One seed a palette, drawn at once: how many draws one palette needs does not shift the next.
    seeds = rng.integers(0, 2**31, size=len(order))
    chosen: list[Palette] = []
    for name, seed in zip(order, seeds, strict=True):
        own = np.random.default_rng(int(seed))
        base = _jittered(source[name], own)
        if any(lab_distance(base, palette.colours[0]) < COLOURWAY_DISTANCE for palette in chosen):
            continue
        second = _contrasting(own, [base], 35)
        third = _contrasting(own, [base, second], 25)
        trim = base if own.random() < 0.6 else _contrasting(own, [base], 20)
        chosen.append(Palette(name, (base, second, third, trim)))
        if len(chosen) == count:
            break
    return chosen
