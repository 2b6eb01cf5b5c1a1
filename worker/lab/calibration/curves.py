"""Scores to probabilities: logistic and isotonic, under each score normalisation, chosen by cross-validation over groups.

Chosen is the simplest that is as good as the best but for chance (as the rule of one standard error in Hastie, Tibshirani and Friedman
2009, "The elements of statistical learning", section 7.10, but with a 95 % interval): a cohort, or a free curve, has to earn its keep.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from worker.calibration import DEFAULT_FLOOR, Curve, LogisticCurve, PointsCurve
from worker.errors import ConfigurationError
from worker.lab.calibration.cases import NORMALISATIONS, RAW, Cases
from worker.lab.calibration.quality import Z95, Quality, log_losses, quality
from worker.lab.metrics import DoubleArray
from worker.lab.search import BoolArray, IntArray

Kind = Literal["logistic", "isotonic"]
KINDS: tuple[Kind, ...] = ("logistic", "isotonic")
NEEDS = "calibration needs scikit-learn: pip install 'intake-worker[lab]'"
POINTS = 33
DIGITS = 4
# Next to no shrinkage: two numbers are fitted to thousands of pairs.
INVERSE_PENALTY = 1e6
SMALLEST_SLOPE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Candidates laid out in a row: (m,) each. `weight` sums to 1."""

    score: DoubleArray
    same: BoolArray
    weight: DoubleArray
    group: IntArray
    fold: IntArray

    def select(self, mask: BoolArray) -> Pairs:
        """The marked ones."""
        return Pairs(self.score[mask], self.same[mask], self.weight[mask], self.group[mask], self.fold[mask])


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A curve over scores of any range: straight lines between points, or a logistic one."""

    kind: Kind
    slope: float = 0.0
    intercept: float = 0.0
    x: DoubleArray | None = None
    y: DoubleArray | None = None

    def probability(self, score: DoubleArray) -> DoubleArray:
        """Clamped as the worker clamps it."""
        if self.x is not None and self.y is not None:
            plain = np.interp(score, self.x, self.y)
        else:
            plain = 1 / (1 + np.exp(-np.clip(self.slope * score + self.intercept, -60.0, 60.0)))
        return np.asarray(np.clip(plain, DEFAULT_FLOOR, 1 - DEFAULT_FLOOR), np.float64)

    def stored(self) -> Curve:
        """As the worker reads it; for similarities of -1..1 alone."""
        if self.x is None or self.y is None:
            return LogisticCurve(slope=self.slope, intercept=self.intercept)
        return PointsCurve(points=tuple(zip(self.x.tolist(), self.y.tolist(), strict=True)))


@dataclass(frozen=True, slots=True)
class Variant:
    """One way from similarity to probability. `validated`: on folds it was not fitted on; `checked`: on the part kept aside."""

    normalisation: str
    kind: Kind
    validated: Quality
    checked: Quality


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Every variant, the one that validation chooses, and the one that it chooses without normalisation, fitted."""

    variants: tuple[Variant, ...]
    chosen: Variant
    chosen_raw: Variant
    fitted: Fitted


def pairs_of_cases(cases: Cases, normalisation: str, known: float) -> Pairs:
    """Candidates of all cases that have a weight; a case's candidates share it evenly."""
    case_weight = cases.weights(known)
    present = np.isfinite(cases.similarity) & (case_weight > 0)[:, None]
    each = case_weight / np.maximum(present.sum(axis=1), 1)
    row = np.nonzero(present)[0]
    _, group = np.unique(cases.group, return_inverse=True)
    weight = each[row]
    return Pairs(
        cases.scores(normalisation)[present].astype(np.float64),
        cases.same[present],
        weight / weight.sum() if len(weight) else weight,
        group[row].astype(np.int64),
        cases.fold[row],
    )


def one_thread() -> AbstractContextManager[object]:
    """Two numbers are fitted: threads would only wait for one another, on a busy machine for minutes.

    Raises:
        ConfigurationError: scikit-learn is missing.
    """
    try:
        import sklearn  # noqa: F401, PLC0415  its linear algebra is loaded before its threads are limited
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(NEEDS) from error
    return cast("AbstractContextManager[object]", threadpool_limits(limits=1))


def fit_curve(kind: Kind, pairs: Pairs) -> Fitted:
    """Fit one curve.

    Raises:
        ConfigurationError: scikit-learn is missing; or right pairs are not more similar than wrong ones.
    """
    try:
        from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415  part of the lab's extra
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(NEEDS) from error
    weight = pairs.weight * len(pairs.weight)
    if kind == "isotonic":
        regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(pairs.score, pairs.same, sample_weight=weight)
        grid = np.unique(np.round(np.linspace(float(pairs.score.min()), float(pairs.score.max()), POINTS), DIGITS))
        return Fitted(kind, x=grid, y=np.maximum.accumulate(np.round(regression.predict(grid), DIGITS)))
    # Scores of whatever scale look alike to the solver.
    mean = float(np.average(pairs.score, weights=weight))
    spread = float(np.sqrt(np.average((pairs.score - mean) ** 2, weights=weight))) or 1.0
    model = LogisticRegression(C=INVERSE_PENALTY, tol=1e-8, max_iter=1000)
    model.fit((pairs.score[:, None] - mean) / spread, pairs.same, sample_weight=weight)
    slope = float(model.coef_[0, 0]) / spread
    if slope < SMALLEST_SLOPE:
        raise ConfigurationError(
            "right pairs are not more similar than wrong ones: this method cannot be calibrated on these photos"
        )
    return Fitted(kind, round(slope, DIGITS), round(float(model.intercept_[0]) - slope * mean, DIGITS))


def out_of_fold(kind: Kind, pairs: Pairs) -> DoubleArray:
    """(m,) the probability of each pair by a curve that was fitted on the other folds."""
    probability = np.empty(len(pairs.score), np.float64)
    for fold in np.unique(pairs.fold):
        own = pairs.fold == fold
        probability[own] = fit_curve(kind, pairs.select(~own)).probability(pairs.score[own])
    return probability


def choose(fit: Cases, check: Cases, known: float, *, normalised: bool) -> Choice:
    """Try every variant on `fit` and report it on `check`."""
    variants: list[Variant] = []
    losses: list[DoubleArray] = []
    weight = np.zeros(0)
    group = np.zeros(0, np.int64)
    for normalisation in NORMALISATIONS if normalised else (RAW,):
        pairs, kept = pairs_of_cases(fit, normalisation, known), pairs_of_cases(check, normalisation, known)
        weight, group = pairs.weight, pairs.group
        for kind in KINDS:
            probability = out_of_fold(kind, pairs)
            losses.append(log_losses(probability, pairs.same))
            validated = quality(probability, pairs.score, pairs.same, pairs.weight)
            final = fit_curve(kind, pairs).probability(kept.score)
            variants.append(Variant(normalisation, kind, validated, quality(final, kept.score, kept.same, kept.weight)))
    chosen = variants[simplest(losses, weight, group)]
    chosen_raw = variants[simplest(losses[: len(KINDS)], weight, group)]
    return Choice(tuple(variants), chosen, chosen_raw, fit_curve(chosen_raw.kind, pairs_of_cases(fit, RAW, known)))


def simplest(losses: list[DoubleArray], weight: DoubleArray, group: IntArray) -> int:
    """Number of the first (simplest) whose mean loss is within a 95 % interval of the least.

    The interval is that of the difference, from group to group: pairs of a group are not independent.
    """
    means = [float((loss * weight).sum()) for loss in losses]
    best = int(np.argmin(means))
    for number, loss in enumerate(losses):
        difference = np.bincount(group, (loss - losses[best]) * weight)
        count = len(np.unique(group))
        error = float(np.sqrt(((difference - difference.sum() / count) ** 2).sum() * count / max(1, count - 1)))
        if means[number] - means[best] <= Z95 * error:
            return number
    return best
