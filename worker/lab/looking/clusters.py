"""Clusters of the catalogue, as Yam 2018 (future work) wants them: how many is decided by a rule, and each has a systematic number.

The rule: k-means for every k of a range; the k with the largest mean silhouette (Rousseeuw 1987), of equal ones the smallest. The
number: clusters are put in a row in which neighbours look alike (leaves of an average-linkage tree of their centres, optimally
ordered), beginning at the end with the larger cluster, and counted from 1: C01, C02, ...
"""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.errors import ConfigurationError
from worker.lab.looking.space import DoubleArray, one_thread, space_of
from worker.lab.method import Distance
from worker.vision.types import FloatArray

SEED = 0
LEAST = 4  # photos; two clusters of two
MOST = 40  # clusters that are tried: more than a person looks through
STARTS = 5  # k-means from so many beginnings, the best being kept
# Photos that the silhouette is computed on, as it needs the distance of every pair; of more, as many by chance (seeded).
SILHOUETTE_PHOTOS = 4000

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster.

    Attributes:
        number: from 1, in the row of clusters.
        members: indices of its photos, the most central first.
        silhouette: mean over its photos, -1..1; NaN where it was not computed on any of them.
        categories: how many of its photos are of which category, the most frequent first; photos without one are not counted.
    """

    number: int
    members: tuple[int, ...]
    silhouette: float
    categories: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """``C01``."""
        return f"C{self.number:02d}"


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Clusters, in the order of their numbers.

    Attributes:
        numbers: (n,) the number of each photo's cluster.
        curve: (k, mean silhouette) of every k that was tried; the one k that was asked for, if one was.
        chosen: whether k was chosen by the curve.
    """

    clusters: tuple[Cluster, ...]
    numbers: IntArray
    curve: tuple[tuple[int, float], ...]
    chosen: bool

    @property
    def silhouette(self) -> float:
        """Of the k that is shown."""
        return dict(self.curve)[len(self.clusters)]

    @property
    def still_rising(self) -> bool:
        """Whether the best k is the largest that was tried: there may be a better one beyond."""
        return self.chosen and len(self.curve) > 1 and len(self.clusters) == self.curve[-1][0]


def find_clusters(
    vectors: FloatArray,
    distance: Distance,
    count: int | None,
    categories: Sequence[str],
    tried: Callable[[int, int], None] = lambda _number, _of: None,
) -> Clustering:
    """Cluster photos.

    Args:
        vectors: (n, d) float32 without NaN.
        distance: what compares them.
        count: how many clusters; None: the rule decides among 2 to the smaller of `MOST` and n / 2.
        categories: of each photo; empty where unknown.
        tried: told after each k that was tried: its number from 1, and of how many.

    Raises:
        ConfigurationError: there are too few photos, or too few different ones.
    """
    if len(vectors) < LEAST:
        raise ConfigurationError(f"clusters need {LEAST} catalogue photos or more that can be read; there are {len(vectors)}")
    different = len(np.unique(vectors, axis=0))
    most = min(MOST, len(vectors) // 2, different - 1) if count is None else count
    if most < 2 or most >= different:
        raise ConfigurationError(
            f"{different} different photos cannot be parted into {max(most, 2)} clusters: there must be more photos than clusters"
        )
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # k-means warns of vectors that are there twice
        points, metric = space_of(vectors, distance)
        judged = np.arange(len(points))
        if len(points) > SILHOUETTE_PHOTOS:
            judged = np.sort(np.random.default_rng(SEED).choice(len(points), SILHOUETTE_PHOTOS, replace=False))
        apart = _distances(points[judged], metric)
        best: tuple[float, IntArray, DoubleArray] | None = None
        curve = []
        wanted = range(2, most + 1) if count is None else (count,)
        for number, k in enumerate(wanted, start=1):
            labels, centres = _k_means(points, k)
            value = float(np.mean(_silhouettes(apart, labels[judged])))
            curve.append((k, value))
            # Beyond rounding: of equal ones the smallest k stays.
            if best is None or value > best[0] + 1e-9:
                best = value, labels, centres
            tried(number, len(wanted))
        if best is None:
            raise ConfigurationError("no number of clusters was tried")
        _, labels, centres = best
        samples = np.full(len(points), np.nan)
        samples[judged] = _silhouettes(apart, labels[judged])
        row = _row_of(centres, np.bincount(labels, minlength=len(centres)))
    clusters = []
    numbers = np.zeros(len(points), np.int64)
    for number, label in enumerate(row, start=1):
        members = np.flatnonzero(labels == label)
        far = np.linalg.norm(points[members] - centres[label], axis=1)
        members = members[np.lexsort((members, np.round(far, 12)))]
        numbers[members] = number
        own = samples[members]
        counted = Counter(name for name in (categories[int(member)] for member in members) if name)
        clusters.append(
            Cluster(
                number,
                tuple(int(member) for member in members),
                float(np.nanmean(own)) if np.isfinite(own).any() else float("nan"),
                tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
            )
        )
    return Clustering(tuple(clusters), numbers, tuple(curve), chosen=count is None)


def _k_means(points: DoubleArray, k: int) -> tuple[IntArray, DoubleArray]:
    from sklearn.cluster import KMeans  # noqa: PLC0415  part of the lab's extra

    model: Any = KMeans(n_clusters=k, n_init=STARTS, random_state=SEED).fit(points)
    return np.asarray(model.labels_, np.int64), np.asarray(model.cluster_centers_, np.float64)


def _distances(points: DoubleArray, metric: str) -> DoubleArray:
    from sklearn.metrics import pairwise_distances  # noqa: PLC0415  part of the lab's extra

    apart = np.asarray(pairwise_distances(points, metric=metric), np.float64)
    np.fill_diagonal(apart, 0.0)
    return apart


def _silhouettes(apart: DoubleArray, labels: IntArray) -> DoubleArray:
    """Of each photo; 0 for all where a sample of them shows one cluster only, or each photo alone."""
    from sklearn.metrics import silhouette_samples  # noqa: PLC0415  part of the lab's extra

    if not 2 <= len(np.unique(labels)) < len(labels):
        return np.zeros(len(labels))
    return np.asarray(silhouette_samples(apart, labels, metric="precomputed"), np.float64)


def _row_of(centres: DoubleArray, sizes: IntArray) -> list[int]:
    """Labels in a row in which neighbours look alike, the larger end first."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # noqa: PLC0415  comes with scikit-learn

    row = [int(label) for label in leaves_list(linkage(centres, "average", optimal_ordering=True))]
    return row if sizes[row[0]] >= sizes[row[-1]] else row[::-1]
