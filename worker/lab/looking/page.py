"""The page that holds the pictures: one file, nothing fetched, no script; what a spot of a map is shows where the pointer rests."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
from PIL import Image

from worker import __version__
from worker.lab.evaluation import MethodResult
from worker.lab.files import writing
from worker.lab.looking.clusters import Clustering
from worker.lab.looking.maps import Spot, on_canvas, thumbnail_side
from worker.lab.report.data import percent
from worker.vision.types import ByteArray

TEMPLATE = "look.html"
# Photos as JPEG: a fifth of the PNG beside the page, and the same to the eye.
QUALITY = 88


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A picture of the page, and the file it also lies in."""

    title: str
    file: str
    pixels: ByteArray

    @property
    def data(self) -> str:
        """Of an image's src."""
        return _data(self.pixels)

    @property
    def spots(self) -> tuple[Spot, ...]:
        """A plain picture has none."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class MapPart(Part):
    """A map, with what is where."""

    placed: tuple[Spot, ...]

    @property
    def spots(self) -> tuple[Spot, ...]:
        """As drawn."""
        return self.placed

    @property
    def areas(self) -> list[tuple[float, float, float, float, str]]:
        """(left, top, width, height, title) of each spot, in percent of the picture."""
        high, wide = self.pixels.shape[:2]
        side = thumbnail_side(len(self.placed)) / 2
        return [
            (
                round((x - side) / wide * 100, 2),
                round((y - side) / high * 100, 2),
                round(side * 200 / wide, 2),
                round(side * 200 / high, 2),
                spot.title,
            )
            for spot, (x, y) in ((spot, on_canvas(spot)) for spot in self.placed)
        ]


def write_look_page(
    title: str,
    facts: Sequence[str],
    maps: Sequence[Part],
    clusters: Sequence[Part],
    clustering: Clustering | None,
    sheets: Sequence[Part],
    result: MethodResult | None,
    path: Path,
) -> None:
    """Write the page, whole or not at all."""
    text = (resources.files("worker.lab.looking") / TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    page = environment.from_string(text).render(
        version=__version__,
        title=title,
        facts=facts,
        maps=maps,
        clusters=clusters,
        clustering=clustering,
        sheets=sheets,
        result=result,
    )
    with writing(path) as part:
        part.write_text(page, encoding="utf-8")


def _data(pixels: ByteArray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
