"""Pixels: text, tiles, colours. The same in every run with the same libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worker.lab.files import writing
from worker.lab.report.pictures import fit_inside
from worker.vision.types import ByteArray

Colour = tuple[int, int, int]
Crops = Mapping[str, ByteArray]
"""What the method saw of a photo, (side, side, 3) uint8, by location; photos that cannot be shown are missing."""

WHITE, INK, SOFT, LINE, GOOD, BAD = (255, 255, 255), (28, 36, 48), (93, 104, 120), (208, 214, 222), (10, 125, 70), (179, 38, 30)
GREY = (150, 156, 165)
# Told apart also by those who see few colours (Okabe and Ito 2008; their black is the ink's), then others between them.
COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (110, 70, 160),
    (150, 180, 40),
    (140, 90, 50),
    (0, 90, 90),
    (220, 60, 110),
    (190, 190, 0),
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int) -> Font:
    """Matplotlib's DejaVu Sans where it is installed (it has most letters); Pillow's own, which has plain ones, elsewhere."""
    found = find_spec("matplotlib")
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A white picture that things are drawn on."""

    image: Image.Image
    draw: ImageDraw.ImageDraw

    def text(
        self, x: float, y: float, words: str, size: int = 12, colour: Colour = INK, wide: float = 0, anchor: str = "la"
    ) -> None:
        """Words from (x, y), shortened to `wide` pixels if that is above 0."""
        self.draw.text((x, y), shortened(words, size, wide) if wide else words, fill=colour, font=font(size), anchor=anchor)

    def tile(self, x: int, y: int, side: int, rgb: ByteArray | None, frame: Colour = LINE, width: int = 1) -> None:
        """A picture of `side` pixels with its frame around it; a grey field where there is none."""
        left, top = x - width, y - width
        self.draw.rectangle((left, top, x + side + width - 1, y + side + width - 1), fill=frame)
        small = np.full((side, side, 3), 225, np.uint8) if rgb is None else fit_inside(rgb, side)
        self.image.paste(Image.fromarray(small), (x, y))

    @property
    def pixels(self) -> ByteArray:
        """(height, width, 3) uint8."""
        return np.asarray(self.image, np.uint8)


def canvas(width: int, height: int) -> Canvas:
    """A white one."""
    image = Image.new("RGB", (width, height), WHITE)
    return Canvas(image, ImageDraw.Draw(image))


def shortened(words: str, size: int, wide: float) -> str:
    """Words that fit into `wide` pixels, with an ellipsis where something was left out."""
    if font(size).getlength(words) <= wide:
        return words
    while words and font(size).getlength(words + "…") > wide:
        words = words[:-1]
    return words + "…"


def save_png(pixels: ByteArray, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with writing(path) as part:
        Image.fromarray(pixels).save(part, format="PNG")
