"""The demo's page: every arrival with its photo, its crop and its candidates side by side, in one file without references."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from worker import __version__

# Wide enough to compare two garments by eye, small enough for a page with a hundred arrivals (about 8 kB each).
THUMBNAIL_SIDE = 200
THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True)
class PageCandidate:
    """One article beside an arrival. `picture` is a data URI, or None where the article's photo cannot be shown."""

    article_id: str
    similarity: float
    probability: float
    picture: str | None
    correct: bool | None = None


@dataclass(frozen=True, slots=True)
class PageRow:
    """One arrival. `correct` is None where no truth is known."""

    arrival_id: str
    decision: str
    reason: str
    photo: str | None
    crop: str | None
    overlay: str | None
    candidates: tuple[PageCandidate, ...] = ()
    expected: str | None = None
    correct: bool | None = None
    kind: str | None = None
    milliseconds: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What stands at the top of the page: label and value pairs, and score lines."""

    title: str
    facts: tuple[tuple[str, str], ...]
    score: tuple[tuple[str, str], ...] = ()


def render_page(summary: PageSummary, rows: Sequence[PageRow]) -> str:
    """The page as HTML text. Everything that came from outside is escaped by the template engine."""
    environment = Environment(
        loader=PackageLoader("worker.demo", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(summary=summary, rows=rows, version=__version__)


def thumbnail(data: bytes | None) -> str | None:
    """Photo bytes to a small JPEG data URI; None where there is nothing or nothing that can be shown."""
    if not data:
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None or not pixels.size:
        return None
    height, width = pixels.shape[:2]
    scale = THUMBNAIL_SIDE / max(height, width)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY])
    if not done:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
