"""Exact search of every query in the whole catalogue. An article is as like a query as its likest photo, as the worker has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.errors import ConfigurationError
from worker.lab.manifest import Manifest
from worker.lab.method import Distance
from worker.vision.types import FloatArray

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
NOWHERE = np.float32(-np.inf)
# The place of an article that cannot be found because its photo or the query's cannot be read: beyond every k.
LOST = 2**31
# Rows of similarities to photos that are held at once.
CHUNK = 256
SMALLEST_NORM = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What searching gave.

    Attributes:
        rows: (queries,) number of each query's line in the manifest.
        articles: names of the catalogue's articles, in alphabetical order.
        similarity: (queries, articles) float32; -inf where either cannot be read, or the article's only photo is the query itself.
        right: (queries,) index of the right article; -1 where the garment is unseen.
        average_precision: (queries,) float64, of the right article's photos among all photos; NaN where there are none.
        relevant: (queries,) how many photos of the right article there are to be found.
        candidates: (queries,) how many photos were searched.
    """

    rows: IntArray
    articles: tuple[str, ...]
    similarity: FloatArray
    right: IntArray
    average_precision: npt.NDArray[np.float64]
    relevant: IntArray
    candidates: IntArray

    @property
    def seen(self) -> BoolArray:
        """Which queries have an article to be found."""
        return np.asarray(self.right >= 0, np.bool_)

    @property
    def best(self) -> FloatArray:
        """(queries,) similarity of the best article."""
        return np.asarray(self.similarity.max(axis=1), np.float32)

    @property
    def first(self) -> IntArray:
        """(queries,) index of the best article; of equal ones a wrong one, so that nothing is found by the order of names."""
        best = self.best[:, None]
        ties = self.similarity == best
        number = np.arange(len(self.right))
        wrong = ties.copy()
        wrong[number[self.seen], self.right[self.seen]] = False
        return np.where(wrong.any(axis=1), wrong.argmax(axis=1), ties.argmax(axis=1)).astype(np.int64)

    @property
    def rank(self) -> IntArray:
        """(queries,) place of the right article, from 1; equally similar wrong ones stand before it. 0 where the garment is unseen.

        `LOST` where query or article cannot be read.
        """
        number = np.arange(len(self.right))
        own = self.similarity[number, np.maximum(self.right, 0)]
        place = np.where(np.isneginf(own), LOST, (self.similarity >= own[:, None]).sum(axis=1))
        return np.where(self.seen, place, 0).astype(np.int64)


def search(manifest: Manifest, vectors: FloatArray, distance: Distance) -> Found:
    """Search all queries of a manifest.

    A query whose photo is also in the catalogue (looking for duplicates within it) does not find itself.

    Args:
        manifest: what the rows are.
        vectors: (lines, dimension) float32, NaN where a photo cannot be read.
        distance: what compares them; similarity is the cosine, or minus the distance.

    Raises:
        ConfigurationError: the manifest has no queries or no catalogue.
    """
    queries, catalogue = np.asarray(manifest.rows("query"), np.int64), np.asarray(manifest.rows("catalogue"), np.int64)
    if not len(queries) or not len(catalogue):
        raise ConfigurationError("the manifest needs lines of both roles: a catalogue to search in, and queries")
    articles = sorted(manifest.articles)
    number_of = {name: number for number, name in enumerate(articles)}
    of_photo = np.array([number_of[manifest.lines[row].item_id] for row in catalogue], np.int64)
    right = np.array([number_of.get(manifest.lines[row].item_id, -1) for row in queries], np.int64)
    order = np.argsort(of_photo, kind="stable")
    catalogue, of_photo = catalogue[order], of_photo[order]
    starts = np.searchsorted(of_photo, np.arange(len(articles)))
    photos: dict[str, list[int]] = {}
    for column, row in enumerate(catalogue):
        photos.setdefault(manifest.location(manifest.lines[row]), []).append(column)

    compare = comparer(vectors[catalogue], distance)
    similarity = np.empty((len(queries), len(articles)), np.float32)
    precision = np.full(len(queries), np.nan)
    relevant, candidates = np.zeros(len(queries), np.int64), np.zeros(len(queries), np.int64)
    for start in range(0, len(queries), CHUNK):
        rows = queries[start : start + CHUNK]
        part = compare(vectors[rows])
        part[np.isnan(part)] = NOWHERE
        for offset, row in enumerate(rows):
            same = photos.get(manifest.location(manifest.lines[row]), [])
            part[offset, same] = NOWHERE
            number = start + offset
            candidates[number] = len(catalogue) - len(same)
            if right[number] >= 0:
                ours = of_photo == right[number]
                ours[same] = False
                relevant[number] = int(ours.sum())
                precision[number] = average_precision(part[offset, ours], part[offset, ~ours])
        similarity[start : start + CHUNK] = np.maximum.reduceat(part, starts, axis=1)
    return Found(queries, tuple(articles), similarity, right, precision, relevant, candidates)


def average_precision(relevant: FloatArray, others: FloatArray) -> float:
    """Average precision of a ranking, of its scores: ties count against it, what is -inf is never found; NaN without relevant ones."""
    if not len(relevant):
        return float("nan")
    ours = np.sort(relevant)[::-1]
    ahead = len(others) - np.searchsorted(np.sort(others), ours, side="left")
    place = np.arange(1, len(ours) + 1)
    return float(np.where(np.isneginf(ours), 0.0, place / (place + ahead)).mean())


def comparer(catalogue: FloatArray, distance: Distance) -> Callable[[FloatArray], npt.NDArray[Any]]:
    """Queries (n, d) to (n, photos) float32 similarities."""
    # In double precision: the same numbers however a matrix product is split over cores.
    known = catalogue.astype(np.float64)
    if distance == "cosine":
        known = _unit(known)
        return lambda queries: (_unit(queries.astype(np.float64)) @ known.T).astype(np.float32)
    if distance == "l2":
        squares = (known**2).sum(axis=1)

        def euclid(queries: FloatArray) -> npt.NDArray[Any]:
            x = queries.astype(np.float64)
            square = (x**2).sum(axis=1)[:, None] + squares - 2 * (x @ known.T)
            return (-np.sqrt(np.maximum(square, 0))).astype(np.float32)

        return euclid
    return lambda queries: np.stack([-np.abs(catalogue - row).sum(axis=1, dtype=np.float64) for row in queries]).astype(
        np.float32
    )


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SMALLEST_NORM)
