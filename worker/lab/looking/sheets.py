"""Nearest-neighbour sheets: which queries are shown, and what was found for each. Says what `search` says, photo by photo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Literal

import numpy as np

from worker.lab.evaluation import Evaluated
from worker.lab.search import LOST, NOWHERE, comparer
from worker.vision.types import FloatArray

SHOWN = 10  # what a match alert shows a person (Yam 2018 wished for ten)

SheetName = Literal["hits", "misses", "false-alerts"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An article that was found, by its likest photo. `place` counts from 1, as `search` ranks."""

    location: str
    article: str
    similarity: float
    place: int
    right: bool


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A query and its ten best.

    Attributes:
        location: of the query's photo.
        label: its article, or that it has none.
        kind: of the manifest.
        found: the best articles, the best first.
        right: the right article where it is not among them; None where it is, where there is none, or where it cannot be found.
        alert: whether the best one reaches the threshold; None where there is no threshold.
    """

    location: str
    label: str
    kind: str
    found: tuple[Neighbour, ...]
    right: Neighbour | None
    alert: bool | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of one sort. `of`: how many there are to choose from."""

    name: SheetName
    rows: tuple[SheetRow, ...]
    of: int


def threshold_of(evaluated: Evaluated) -> tuple[float | None, str]:
    """The similarity from which a candidate is called a duplicate, and which one that is in words."""
    result = evaluated.result
    if result.threshold is not None:
        return result.threshold, "the calibrated threshold"
    if result.threshold_at_1_percent is not None:
        return result.threshold_at_1_percent, "the similarity that 1 % of the unseen garments reach"
    return None, "no threshold"


def make_sheets(evaluated: Evaluated, count: int) -> tuple[Sheet, ...]:
    """At most `count` hits, misses and false alerts each, kinds taking turns; photos that cannot be read are not shown.

    Misses: those whose best wrong article is farthest ahead. Hits: from the surest to the closest, evenly. False alerts: unseen
    garments, by the similarity of their best article.
    """
    chooser = _Chooser(evaluated)
    hits, misses, alerts = chooser.hits(), chooser.misses(), chooser.alerts()
    return (
        Sheet("hits", chooser.rows(_turns([_spread(kind, count) for kind in hits], count)), sum(map(len, hits))),
        Sheet("misses", chooser.rows(_turns(misses, count)), sum(map(len, misses))),
        Sheet("false-alerts", chooser.rows(alerts[:count]), len(alerts)),
    )


def _spread(ordered: list[int], count: int) -> list[int]:
    """At most `count` of a list, evenly from its first to its last."""
    if len(ordered) <= count:
        return ordered
    return [ordered[number] for number in np.linspace(0, len(ordered) - 1, count).round().astype(int)] if count else []


def _turns(kinds: Sequence[list[int]], count: int) -> list[int]:
    """Of each kind in turn, until there are `count`; then kinds stay together."""
    taken = [n for n in chain.from_iterable(zip_longest(*kinds)) if n is not None][:count]
    chosen = set(taken)
    return [n for kind in kinds for n in kind if n in chosen]


class _Chooser:
    def __init__(self, evaluated: Evaluated) -> None:
        embedded, found = evaluated.embedded, evaluated.found
        self._manifest, self._vectors, self._found = embedded.manifest, embedded.vectors, found
        self._limit, _ = threshold_of(evaluated)
        self._rank = found.rank
        self._readable = ~np.isnan(embedded.vectors[found.rows]).any(axis=1) & np.isfinite(found.best)
        self._catalogue = self._manifest.rows("catalogue")
        self._compare = comparer(embedded.vectors[self._catalogue], embedded.loaded.distance)
        self._photos: dict[str, list[int]] = {}
        self._columns: dict[str, list[int]] = {}
        for column, row in enumerate(self._catalogue):
            line = self._manifest.lines[row]
            self._photos.setdefault(line.item_id, []).append(column)
            self._columns.setdefault(self._manifest.location(line), []).append(column)
        # How far the right article is ahead of the best wrong one; below 0 where it is not.
        number = np.arange(len(self._rank))
        wrong = found.similarity.copy()
        wrong[number[found.seen], found.right[found.seen]] = NOWHERE
        own = np.where(found.seen, found.similarity[number, np.maximum(found.right, 0)], NOWHERE)
        with np.errstate(invalid="ignore"):
            self._lead: FloatArray = np.nan_to_num(own - wrong.max(axis=1), nan=0.0)

    def hits(self) -> list[list[int]]:
        return self._by_kind((n for n in self._all() if self._rank[n] == 1), surest_first=True)

    def misses(self) -> list[list[int]]:
        return self._by_kind((n for n in self._all() if self._rank[n] > 1), surest_first=False)

    def alerts(self) -> list[int]:
        unseen = [n for n in self._all() if self._rank[n] == 0]
        return sorted(unseen, key=lambda n: (-float(self._found.best[n]), n))

    def rows(self, numbers: Sequence[int]) -> tuple[SheetRow, ...]:
        return tuple(self._row(n) for n in numbers)

    def _all(self) -> Iterable[int]:
        return (n for n in range(len(self._rank)) if self._readable[n])

    def _by_kind(self, numbers: Iterable[int], *, surest_first: bool) -> list[list[int]]:
        kinds: dict[str, list[int]] = {}
        for n in numbers:
            kinds.setdefault(self._manifest.lines[self._found.rows[n]].kind, []).append(n)
        sign = -1 if surest_first else 1
        return [sorted(kind, key=lambda n: (sign * float(self._lead[n]), n)) for kind in kinds.values()]

    def _row(self, n: int) -> SheetRow:
        row = int(self._found.rows[n])
        line, location = self._manifest.lines[row], self._manifest.location(self._manifest.lines[row])
        photos = self._compare(self._vectors[row : row + 1])[0]
        photos[np.isnan(photos)] = NOWHERE
        photos[self._columns.get(location, [])] = NOWHERE  # a photo does not find itself
        scores, right = self._found.similarity[n], int(self._found.right[n])
        # Equally similar wrong articles stand before the right one, as they are counted.
        order = sorted((a for a in range(len(scores)) if np.isfinite(scores[a])), key=lambda a: (-scores[a], a == right, a))
        found = tuple(self._neighbour(photos, a, place, right) for place, a in enumerate(order[:SHOWN], start=1))
        missing = right in order[SHOWN:] and 0 < self._rank[n] < LOST
        return SheetRow(
            location=location,
            label=line.item_id if right >= 0 else "not in the catalogue",
            kind=line.kind,
            found=found,
            right=self._neighbour(photos, right, int(self._rank[n]), right) if missing else None,
            alert=None if self._limit is None else bool(scores[order[0]] >= self._limit),
        )

    def _neighbour(self, photos: FloatArray, article: int, place: int, right: int) -> Neighbour:
        name = self._found.articles[article]
        column = max(self._photos[name], key=lambda c: (float(photos[c]), -c))
        location = self._manifest.location(self._manifest.lines[self._catalogue[column]])
        return Neighbour(location, name, float(photos[column]), place, right=article == right)
