"""Which hits and misses are shown, and their thumbnails."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from worker.imaging.decode import encode_jpeg
from worker.lab.evaluation import Evaluated
from worker.lab.search import LOST
from worker.vision.types import ByteArray

THUMBNAIL = 104
QUALITY = 78
SHOWN_FOUND = 4

Reader = Callable[[str], ByteArray | None]
"""Location to (h, w, 3) uint8 sRGB, or None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One photo in the report. `picture` is the name of its thumbnail's style; empty where it cannot be read."""

    picture: str
    label: str
    right: bool = False


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A query, what should have been found (and at which place), and what was."""

    query: Shown
    wanted: Shown | None
    rank: int
    found: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two articles that are taken for each other, and how often."""

    right: Shown
    wrong: Shown
    count: int


class Album:
    """Thumbnails, each once however often it is shown."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._names: dict[str, str] = {}
        self.styles: list[tuple[str, str]] = []

    def name(self, location: str) -> str:
        """The style class that shows this photo; empty where it cannot be read."""
        if location not in self._names:
            rgb = self._read(location)
            self._names[location] = "" if rgb is None else f"p{len(self.styles)}"
            if rgb is not None:
                data = base64.b64encode(encode_jpeg(thumbnail(rgb), QUALITY)).decode("ascii")
                self.styles.append((self._names[location], data))
        return self._names[location]


def thumbnail(rgb: ByteArray) -> ByteArray:
    """The photo inside a white square of `THUMBNAIL` pixels."""
    return fit_inside(rgb, THUMBNAIL)


def fit_inside(rgb: ByteArray, side: int) -> ByteArray:
    """The whole picture inside a white square of `side` pixels."""
    scale = side / max(rgb.shape[:2])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.full((side, side, 3), 255, np.uint8)
    y, x = (side - size[1]) // 2, (side - size[0]) // 2
    canvas[y : y + size[1], x : x + size[0]] = small
    return canvas


class Shower:
    """Chooses and lays out what one method found."""

    def __init__(self, evaluated: Evaluated, album: Album) -> None:
        self._album = album
        self._found = evaluated.found
        self._manifest = evaluated.embedded.manifest
        self._rank = evaluated.found.rank
        self._photo_of: dict[str, str] = {}
        for line, location in zip(self._manifest.lines, self._manifest.locations, strict=True):
            if line.role == "catalogue":
                self._photo_of.setdefault(line.item_id, location)
        best = np.sort(np.partition(self._found.similarity, -2, axis=1)[:, -2:], axis=1) if len(self._photo_of) > 1 else None
        own = self._found.similarity[np.arange(len(self._rank)), np.maximum(self._found.right, 0)]
        # How far the right article is ahead of the best wrong one; below 0 where it is not.
        other = np.where(self._rank == 1, best[:, 0], best[:, 1]) if best is not None else np.zeros_like(own)
        with np.errstate(invalid="ignore"):
            self._lead = np.nan_to_num(own - other, nan=0.0, posinf=0.0, neginf=0.0)

    def misses(self, kind: str, count: int) -> list[QueryRow]:
        """The worst: the right article furthest behind."""
        rows = [n for n in self._of(kind) if self._rank[n] > 1]
        return [self._row(n) for n in sorted(rows, key=lambda n: (self._lead[n], n))[:count]]

    def hits(self, kind: str, count: int) -> list[QueryRow]:
        """The closest calls among what was right."""
        rows = [n for n in self._of(kind) if self._rank[n] == 1]
        return [self._row(n) for n in sorted(rows, key=lambda n: (self._lead[n], n))[:count]]

    def alerts(self, count: int) -> list[QueryRow]:
        """Unseen garments that look most like an article."""
        best = self._found.best
        rows = [n for n in range(len(self._rank)) if self._rank[n] == 0 and np.isfinite(best[n])]
        return [self._row(n) for n in sorted(rows, key=lambda n: (-best[n], n))[:count]]

    def confusions(self, count: int) -> list[Confusion]:
        """Pairs of articles taken for each other most often; of equal ones those with the larger error."""
        times: Counter[tuple[int, int]] = Counter()
        worst: dict[tuple[int, int], float] = {}
        first = self._found.first
        for n in range(len(self._rank)):
            if 1 < self._rank[n] < LOST:
                pair = (int(self._found.right[n]), int(first[n]))
                times[pair] += 1
                worst[pair] = min(worst.get(pair, 0.0), float(self._lead[n]))
        order = sorted(times, key=lambda pair: (-times[pair], worst[pair], pair))[:count]
        return [Confusion(self._article(a), self._article(b), times[a, b]) for a, b in order]

    def _of(self, kind: str) -> list[int]:
        return [n for n, row in enumerate(self._found.rows) if self._manifest.lines[row].kind == kind]

    def _row(self, n: int) -> QueryRow:
        row = int(self._found.rows[n])
        line = self._manifest.lines[row]
        right, rank = int(self._found.right[n]), int(self._rank[n])
        scores = self._found.similarity[n]
        order = [a for a in np.argsort(-scores, kind="stable")[:SHOWN_FOUND] if np.isfinite(scores[a])]
        shown = [
            Shown(s.picture, f"{s.label} {self._found.similarity[n, a]:.3f}", right=int(a) == right)
            for a, s in ((int(a), self._article(int(a))) for a in order)
        ]
        query = Shown(self._album.name(self._manifest.location(line)), line.item_id or "not in the catalogue")
        return QueryRow(query, self._article(right) if right >= 0 else None, rank, tuple(shown))

    def _article(self, number: int) -> Shown:
        name = self._found.articles[number]
        return Shown(self._album.name(self._photo_of[name]), name)


def shown_kinds(evaluated: Sequence[Evaluated]) -> list[str]:
    """Kinds of the manifest that have something to be found."""
    kinds: dict[str, None] = {}
    for item in evaluated:
        lines = item.embedded.manifest.lines
        kinds |= dict.fromkeys(lines[row].kind for row, seen in zip(item.found.rows, item.found.seen, strict=True) if seen)
    return list(kinds)
