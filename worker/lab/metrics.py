"""Figures from ranks and similarities. Each is small, and tested against a slow, obvious statement of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.lab.search import BoolArray, IntArray
from worker.vision.types import FloatArray

DoubleArray = npt.NDArray[np.float64]
# Yam 2018 counts 1 to 10; Park et al. 2019 and Menezes and Kanitkar 2018 count 1, 5, 10, 20, 30, 40, 50.
TOPS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50)
FALSE_ALERTS = 0.01
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
SEED = 0
CURVE_POINTS = 200
# Wrong pairs a curve is drawn from; of more, as many are drawn by chance.
MOST_PAIRS = 2_000_000


def within(rank: IntArray, k: int) -> BoolArray:
    """Which right articles are among the first k. Rank 0 (there is none) is not."""
    return np.asarray((rank >= 1) & (rank <= k), np.bool_)


def chance_within(articles: int, k: int) -> float:
    """Share found among the first k of `articles` in random order."""
    return min(1.0, k / articles) if articles else 0.0


def chance_average_precision(relevant: IntArray, candidates: IntArray) -> float:
    """Mean average precision of rankings in random order.

    Of n photos, r being relevant, place k holds a relevant one with probability r / n; given that, the precision there is
    (1 + (k - 1)(r - 1)/(n - 1)) / k; and average precision is the sum over places divided by r.
    """
    values = []
    for r, n in zip(relevant.tolist(), candidates.tolist(), strict=True):
        if r and n > 1:
            k = np.arange(1, n + 1)
            values.append(float(((1 + (k - 1) * (r - 1) / (n - 1)) / k).sum() / n))
        elif r:
            values.append(1.0)
    return float(np.mean(values)) if values else float("nan")


def alert_threshold(unseen_best: FloatArray, share: float = FALSE_ALERTS) -> float:
    """The lowest similarity from which at most `share` of unseen garments are called found; NaN without any.

    Args:
        unseen_best: (n,) each one's best similarity; with fewer than 1 / share of them none may be called found.
        share: 0..1.
    """
    if not len(unseen_best):
        return float("nan")
    allowed = int(share * len(unseen_best) + 1e-9)
    limit = np.sort(unseen_best)[::-1][min(allowed, len(unseen_best) - 1)]
    return float(np.nextafter(np.float32(limit), np.float32(np.inf)))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Similarities of pairs of a query and an article: `same` the right ones, `different` the wrong ones, each for `weight` pairs."""

    same: FloatArray
    different: FloatArray
    weight: float = 1.0


def pairs_of(similarity: FloatArray, right: IntArray, most: int = MOST_PAIRS) -> Pairs:
    """All pairs of these queries; of more than `most` wrong ones, as many for each query by chance (seeded)."""
    queries, articles = similarity.shape
    number = np.arange(queries)
    seen = right >= 0
    same = similarity[number[seen], right[seen]]
    wrong = np.ones((queries, articles), np.bool_)
    wrong[number[seen], right[seen]] = False
    total = int(wrong.sum())
    if total > most:
        each = max(1, most // queries)
        columns = np.random.default_rng(SEED).integers(articles, size=(queries, each))
        keep = np.zeros_like(wrong)
        keep[number[:, None], columns] = True
        wrong &= keep
    different = similarity[wrong]
    readable = different[np.isfinite(different)]
    return Pairs(same, readable, total / max(1, len(different)))


@dataclass(frozen=True, slots=True)
class Curves:
    """Of same / different pairs.

    Attributes:
        auc: area under the ROC: the probability that a right pair is more similar than a wrong one, ties counting half.
        average_precision: of the ranking of all pairs.
        roc: (false positive rate, true positive rate) points, thinned.
        pr: (recall, precision) points, thinned.
    """

    auc: float
    average_precision: float
    roc: tuple[tuple[float, float], ...]
    pr: tuple[tuple[float, float], ...]


def curves(pairs: Pairs) -> Curves | None:
    """None where there are no right or no wrong pairs."""
    if not len(pairs.same) or not len(pairs.different):
        return None
    same, different = np.sort(pairs.same)[::-1], np.sort(pairs.different)[::-1]
    # At each distinct similarity, from the highest: how many right and wrong pairs are at or above it.
    levels = np.unique(np.concatenate([same, different]))[::-1]
    hits = np.searchsorted(-same, -levels, side="right").astype(np.float64)
    alarms = np.searchsorted(-different, -levels, side="right") * pairs.weight
    recall, false_rate = hits / len(same), alarms / (len(different) * pairs.weight)
    precision = hits / np.maximum(hits + alarms, 1e-300)
    step = np.diff(recall, prepend=0.0)
    mean = (recall + np.concatenate([[0.0], recall[:-1]])) / 2
    auc = float((np.diff(false_rate, prepend=0.0) * mean).sum())
    roc = _thinned(np.concatenate([[0.0], false_rate]), np.concatenate([[0.0], recall]))
    return Curves(auc, float((step * precision).sum()), roc, _thinned(recall, precision))


def _thinned(x: DoubleArray, y: DoubleArray) -> tuple[tuple[float, float], ...]:
    """At most about `CURVE_POINTS` points, evenly along both axes; the first and the last stay."""
    if len(x) > CURVE_POINTS:
        along = np.cumsum(np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
        wanted = np.linspace(0, along[-1], CURVE_POINTS)
        chosen = np.unique(np.concatenate([[0, len(x) - 1], np.searchsorted(along, wanted).clip(0, len(x) - 1)]))
        x, y = x[chosen], y[chosen]
    return tuple((round(float(a), 5), round(float(b), 5)) for a, b in zip(x, y, strict=True))


class Resampler:
    """Bootstrap over articles: queries of one article are not independent, so that they are drawn together (seeded)."""

    def __init__(self, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED) -> None:
        """`groups`: the article of each query; an empty name is a group of its own."""
        names: dict[str, int] = {}
        of_query = [names.setdefault(name or f"\0{number}", len(names)) for number, name in enumerate(groups)]
        rng = np.random.default_rng(seed)
        count = len(names)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples) if count else np.zeros((resamples, 0), np.int64)
        # (resamples, queries): how often each query is in each resample.
        self.counts: IntArray = drawn[:, np.asarray(of_query, np.int64)]

    def interval(self, values: npt.NDArray[np.generic]) -> tuple[float, float]:
        """95 % interval of the mean of `values` (queries,)."""
        return self.interval_of(np.asarray(values, np.float64)[None])

    def interval_of(self, values: DoubleArray) -> tuple[float, float]:
        """The same where each resample has values of its own: (resamples, queries), or (1, queries) for all."""
        total = self.counts.sum(axis=1)
        means = (self.counts * values).sum(axis=1)[total > 0] / total[total > 0]
        if not len(means):
            return float("nan"), float("nan")
        low, high = np.percentile(means, INTERVAL)
        return float(low), float(high)

    def thresholds(self, unseen_best: FloatArray, share: float = FALSE_ALERTS) -> DoubleArray:
        """(resamples,) `alert_threshold` of each resample of these queries, which `groups` named."""
        order = np.argsort(-unseen_best, kind="stable")
        ranked = unseen_best[order]
        above = np.cumsum(self.counts[:, order], axis=1)
        allowed = np.floor(share * above[:, -1:] + 1e-9)
        limit = ranked[np.minimum((above <= allowed).sum(axis=1), len(ranked) - 1)]
        return np.nextafter(limit.astype(np.float32), np.float32(np.inf)).astype(np.float64)
