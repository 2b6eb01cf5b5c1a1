"""From a search to cases: each query as it is, and as if its style, or its colourway, were new to the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.lab.calibration.plan import CHECKED_OF, FEWEST_IN_COHORT, FOLDS, CalibrateOptions, Plan, group_of
from worker.lab.method import Distance
from worker.lab.metrics import DoubleArray
from worker.lab.search import NOWHERE, BoolArray, Found, IntArray, comparer
from worker.lab.splits import fold_of
from worker.vision.types import FloatArray

KNOWN = "known"
NEW_STYLE = "new style"
STRANGER = "stranger"
# Reported, but nothing is fitted on it: another colour of a style is the one thing that only a person can judge.
NEW_COLOURWAY = "new colourway"
POPULATIONS = (KNOWN, STRANGER, NEW_STYLE, NEW_COLOURWAY)
UNSEEN = (STRANGER, NEW_STYLE)
CANDIDATES = 10  # what a person sees of each query, and what a curve is fitted on

RAW = "none"
QUERY_COHORT = "z-norm"
BOTH_COHORTS = "s-norm"
NORMALISATIONS = (RAW, QUERY_COHORT, BOTH_COHORTS)
SMALLEST_SPREAD = 1e-6

TextArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """n cases with up to c candidates each, the likest first.

    Attributes:
        population: (n,) one of `POPULATIONS`.
        kind: (n,) the manifest's.
        group: (n,) what is never divided.
        checked: (n,) bool: whether the case is kept for the check.
        fold: (n,) fold of the cross-validation.
        similarity: (n, c) float32, -inf where there is no candidate; z_norm, s_norm: the same normalised (NaN arrays without a cohort).
        same: (n, c) bool: whether the candidate is the right article.
    """

    population: TextArray
    kind: TextArray
    group: TextArray
    checked: BoolArray
    fold: IntArray
    similarity: FloatArray
    z_norm: FloatArray
    s_norm: FloatArray
    same: BoolArray

    def __len__(self) -> int:
        return len(self.population)

    def select(self, mask: BoolArray) -> Cases:
        """The marked ones."""
        return Cases(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})

    def of(self, *populations: str) -> BoolArray:
        """Marks the cases of these populations."""
        return np.isin(self.population, populations)

    def scores(self, normalisation: str) -> FloatArray:
        """(n, c) scores under a normalisation."""
        return {RAW: self.similarity, QUERY_COHORT: self.z_norm, BOTH_COHORTS: self.s_norm}[normalisation]

    def weights(self, known: float) -> DoubleArray:
        """(n,) summing to 1: `known` of it to known garments; the rest evenly to strangers and to new styles, as far as there are any.

        What stands for a garment that is not in the catalogue is half real strangers, which may look like nothing in it, and half the
        hardest case: the range's own articles searched as if their whole style were new. On strangers alone nearly every new style of a
        known range would be called a duplicate.
        """
        shares = {KNOWN: known}
        unseen = [name for name in UNSEEN if self.of(name).any()]
        shares |= {name: (1 - known) / len(unseen) for name in unseen}
        weight = np.zeros(len(self), np.float64)
        for name, share in shares.items():
            mask = self.of(name)
            if mask.any():
                weight[mask] = share / mask.sum()
        return weight


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Mean and spread of the similarities to the background set: of each query (n,), and of each article (a,)."""

    query: tuple[DoubleArray, DoubleArray]
    article: tuple[DoubleArray, DoubleArray]

    def z_norm(self, similarity: FloatArray, queries: IntArray) -> FloatArray:
        """(similarity - mean) / spread, with the query's own (Auckenthaler, Carey and Lloyd-Thomas 2000, section 3: "T-norm")."""
        mean, spread = (part[queries, None] for part in self.query)
        return np.asarray((similarity - mean) / spread, np.float32)

    def s_norm(self, similarity: FloatArray, queries: IntArray, articles: IntArray) -> FloatArray:
        """Mean of that and the same with the article's own (Kenny 2010, "Bayesian speaker verification with heavy-tailed priors")."""
        mean, spread = (part[articles] for part in self.article)
        return np.asarray((self.z_norm(similarity, queries) + (similarity - mean) / spread) / 2, np.float32)


def make_cases(plan: Plan, vectors: FloatArray, found: Found, distance: Distance, options: CalibrateOptions) -> tuple[Cases, int]:
    """All cases of a search, and the size of the cohort (0: none was used). Queries that cannot be read are left out."""
    own = len(found.rows) - plan.cohort
    cohort = _cohort(vectors[found.rows], found, own, distance)
    size = int(np.isfinite(vectors[found.rows[own:]]).all(axis=1).sum()) if cohort is not None else 0
    lines = [plan.manifest.lines[row] for row in found.rows[:own]]
    similarity, right = found.similarity[:own], found.right[:own]
    styles = {name: number for number, name in enumerate(sorted({options.style_of(article) for article in found.articles}))}
    of_article = np.array([styles[options.style_of(article)] for article in found.articles], np.int64)
    number = np.arange(own)
    readable = similarity.max(axis=1, initial=NOWHERE) > NOWHERE
    seen = (right >= 0) & readable & (similarity[number, np.maximum(right, 0)] > NOWHERE)
    ours = np.arange(len(found.articles)) == right[:, None]
    siblings = (of_article == np.where(right >= 0, of_article[np.maximum(right, 0)], -1)[:, None]) & (right >= 0)[:, None]
    parts = [
        (KNOWN, seen, np.zeros_like(ours)),
        (STRANGER, readable & (right < 0), np.zeros_like(ours)),
        (NEW_STYLE, seen, siblings),
        (NEW_COLOURWAY, seen & (siblings.sum(axis=1) > 1), ours),
    ]
    groups = np.array([group_of(plan.manifest, line, options) for line in lines], np.str_)
    kinds = np.array([line.kind for line in lines], np.str_)
    made = [
        _cases_of(name, number[mask], np.where(hidden, NOWHERE, similarity)[mask], ours[mask], kinds, groups, cohort)
        for name, mask, hidden in parts
    ]
    return Cases(**{field.name: np.concatenate([getattr(one, field.name) for one in made]) for field in fields(Cases)}), size


def _cases_of(
    name: str,
    queries: IntArray,
    similarity: FloatArray,
    ours: BoolArray,
    kinds: TextArray,
    groups: TextArray,
    cohort: Cohort | None,
) -> Cases:
    some = similarity.max(axis=1, initial=NOWHERE) > NOWHERE
    queries, similarity, ours = queries[some], similarity[some], ours[some]
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :CANDIDATES]
    best = np.take_along_axis(similarity, order, axis=1)
    missing: npt.NDArray[Any] = np.full_like(best, np.nan)
    group = groups[queries]
    return Cases(
        population=np.full(len(queries), name, dtype=f"<U{max(map(len, POPULATIONS))}"),
        kind=kinds[queries],
        group=group,
        checked=np.array([fold_of(text, CHECKED_OF, "calibration check") == 0 for text in group.tolist()], np.bool_),
        fold=np.array([fold_of(text, FOLDS, "calibration fold") for text in group.tolist()], np.int64),
        similarity=best,
        z_norm=missing if cohort is None else cohort.z_norm(best, queries),
        s_norm=missing if cohort is None else cohort.s_norm(best, queries, order),
        same=np.take_along_axis(ours, order, axis=1) & (best > NOWHERE),
    )


def _cohort(queries: FloatArray, found: Found, own: int, distance: Distance) -> Cohort | None:
    """None without a cohort that can be read."""
    usable = np.isfinite(queries[own:]).all(axis=1)
    if usable.sum() < FEWEST_IN_COHORT:
        return None
    to_cohort = comparer(queries[own:][usable], distance)(np.nan_to_num(queries[:own]))
    return Cohort(_mean_and_spread(to_cohort.T), _mean_and_spread(found.similarity[own:][usable]))


def _mean_and_spread(similarity: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """Over the first axis; a photo that is itself in the catalogue (-inf) does not count."""
    finite = np.isfinite(similarity)
    count = np.maximum(finite.sum(axis=0), 1)
    values = np.where(finite, similarity, 0.0).astype(np.float64)
    mean = values.sum(axis=0) / count
    spread = np.sqrt((np.where(finite, values - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.maximum(spread, SMALLEST_SPREAD)
