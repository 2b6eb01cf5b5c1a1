"""A picture of a search: the photo that was asked with, and what was found, as one HTML or PNG file without anything beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from worker.errors import ConfigurationError

TILE = 220  # pixels, the longer side of a picture
GAP = 16
CAPTION = 44  # pixels below a picture, for two lines of text
IN_A_ROW = 4


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture and two lines under it. `rgb` is (h, w, 3) uint8, or None where the photo cannot be read any more."""

    title: str
    subtitle: str
    rgb: npt.NDArray[np.uint8] | None


def write_sheet(path: Path, asked: Tile, found: Sequence[Tile]) -> None:
    """Write the picture; the kind follows the suffix.

    Raises:
        ConfigurationError: the suffix is neither .html nor .png, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in {".html", ".png"}:
        raise ConfigurationError(f"{path}: a picture is a .html or a .png file")
    content = _html(asked, found).encode() if suffix == ".html" else _png(asked, found)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _html(asked: Tile, found: Sequence[Tile]) -> str:
    figures = "".join(_figure(tile) for tile in found) or "<p>Nothing was found.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(asked.title)}</title><style>{_STYLE}</style>"
        f'<main><section class="asked">{_figure(asked)}</section><section>{figures}</section></main></html>'
    )


def _figure(tile: Tile) -> str:
    if tile.rgb is None:
        picture = '<div class="gone">photo cannot be read</div>'
    else:
        encoded = base64.b64encode(_encoded(_small(tile.rgb), "JPEG")).decode("ascii")
        picture = f'<img alt="{escape(tile.title)}" src="data:image/jpeg;base64,{encoded}">'
    return f"<figure>{picture}<figcaption><b>{escape(tile.title)}</b><br>{escape(tile.subtitle)}</figcaption></figure>"


def _png(asked: Tile, found: Sequence[Tile]) -> bytes:
    rows = -(-max(1, len(found)) // IN_A_ROW)
    step = TILE + GAP
    # The photo that was asked with has a column of its own on the left.
    sheet = Image.new("RGB", (GAP + step * (1 + min(IN_A_ROW, max(1, len(found)))), GAP + rows * (step + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    places = [(0, 0), *((1 + index % IN_A_ROW, index // IN_A_ROW) for index in range(len(found)))]
    for (column, row), tile in zip(places, (asked, *found), strict=True):
        left, top = GAP + column * step, GAP + row * (step + CAPTION)
        if tile.rgb is None:
            draw.rectangle((left, top, left + TILE, top + TILE), outline="grey")
        else:
            picture = _small(tile.rgb)
            sheet.paste(picture, (left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2))
        draw.text((left, top + TILE + 4), f"{_short(tile.title)}\n{_short(tile.subtitle)}", fill="black")
    return _encoded(sheet, "PNG")


def _small(rgb: npt.NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(rgb)
    picture.thumbnail((TILE, TILE))
    return picture


def _encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def _short(text: str, length: int = 34) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2rem;background:#fff;color:#222}
main{display:flex;gap:2rem;align-items:flex-start}
section{display:flex;flex-wrap:wrap;gap:1rem}
.asked{border-right:1px solid #ddd;padding-right:2rem}
figure{margin:0;width:220px}
img,.gone{width:220px;height:220px;object-fit:contain;background:#f6f6f6}
.gone{display:flex;align-items:center;justify-content:center;color:#888}
figcaption{overflow-wrap:anywhere;padding-top:.3rem}
"""
