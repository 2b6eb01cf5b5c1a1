"""Thresholds for wanted error rates, and the rates they really give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from worker.errors import ConfigurationError
from worker.lab.calibration.cases import KNOWN, NEW_COLOURWAY, NEW_STYLE, STRANGER, UNSEEN, Cases
from worker.lab.calibration.plan import CHECKED_OF, CalibrateOptions
from worker.lab.calibration.quality import Rate, mean_rate, rate_of
from worker.lab.metrics import DoubleArray
from worker.lab.search import BoolArray

DIGITS = 4
# A rate of fewer says nothing: of 20, none is still compatible with one in six.
FEWEST = 20
ALL_UNSEEN = "not in the catalogue"
FITTED, HELD_OUT = "fitted", "held out"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores from which a case is a duplicate, and from which a person should look."""

    duplicate: float
    review: float


@dataclass(frozen=True, slots=True)
class RateRow:
    """What thresholds give on one population and part.

    Attributes:
        name: population, with the kind of query where it is one of several.
        part: `fitted` or `held out`.
        queries: how many.
        found_first: share whose right article is the first candidate; None where there is none.
        right_duplicate: share of them that is called a duplicate of the right article.
        duplicate: share called duplicate of whatever article; review: review or duplicate.
    """

    name: str
    part: str
    queries: int
    found_first: Rate | None
    right_duplicate: Rate | None
    duplicate: Rate
    review: Rate


def threshold(best: DoubleArray, weight: DoubleArray, share: float) -> float:
    """The lowest threshold, of four digits, that at most `share` of the weight reaches; 1e-4 above the highest one that may not.

    Args:
        best: (n,) best score of each case.
        weight: (n,), of any sum.
        share: 0..1.
    """
    order = np.argsort(-best, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    allowed = int((reached <= share + 1e-12).sum())
    limit = float(best[order][min(allowed, len(best) - 1)])
    return round(math.floor(limit * 10**DIGITS + 1e-6) / 10**DIGITS + 10**-DIGITS, DIGITS)


def fit_thresholds(cases: Cases, scores: DoubleArray, options: CalibrateOptions) -> Thresholds:
    """Thresholds from the garments that are not in the catalogue; `scores` (n,) is the best score of each case."""
    unseen = cases.of(*UNSEEN)
    weight, best = cases.weights(options.known)[unseen], scores[unseen]
    duplicate, review = (threshold(best, weight, share) for share in (options.wanted_duplicates, options.wanted_reviews))
    return Thresholds(duplicate, review)


def check_counts(fit: Cases, check: Cases, options: CalibrateOptions) -> None:
    """Raises `ConfigurationError` where there are too few queries to say anything, with how many are needed."""
    for name, cases in (("fitted on", fit), ("checked on", check)):
        count = int(cases.of(KNOWN).sum())
        if count < FEWEST:
            raise ConfigurationError(
                f"only {count} queries of known articles can be {name}, and {FEWEST} are needed: the manifest needs about "
                f"{FEWEST * CHECKED_OF} or more such queries (an item_id that the catalogue has), of many articles"
            )
        unseen = int(cases.of(*UNSEEN).sum())
        if unseen < FEWEST:
            raise ConfigurationError(
                f"only {unseen} queries can be {name} as garments that are not in the catalogue, and {FEWEST} are needed: add unseen "
                "garments, or queries of articles of more than one style"
            )
    unseen, needed = int(fit.of(*UNSEEN).sum()), math.ceil(1 / options.wanted_duplicates)
    if unseen < needed:
        raise ConfigurationError(
            f"a rate of {options.wanted_duplicates:g} cannot be seen in {unseen} queries that stand for garments not in the catalogue; "
            f"{needed} are needed in the part that is fitted: give more queries, or a larger --wanted-duplicates"
        )


def rates(cases: Cases, scores: DoubleArray, right: BoolArray, chosen: Thresholds, part: str) -> list[RateRow]:
    """The rows of one part. `scores`: (n,) best score; `right`: (n,) whether the best is the right article."""
    rows = []
    for kind in dict.fromkeys(cases.kind[cases.of(KNOWN)].tolist()):
        mask = cases.of(KNOWN) & (cases.kind == kind)
        rows.append(_row(str(kind), part, cases, mask, scores, right, chosen, known=True))
    if len(rows) > 1:
        rows.append(_row("all kinds", part, cases, cases.of(KNOWN), scores, right, chosen, known=True))
    unseen = [
        _row(name, part, cases, cases.of(name), scores, right, chosen, known=False)
        for name in (STRANGER, NEW_STYLE)
        if cases.of(name).any()
    ]
    rows += unseen
    if len(unseen) > 1:
        both = mean_rate([row.duplicate for row in unseen]), mean_rate([row.review for row in unseen])
        rows.append(RateRow(ALL_UNSEEN, part, sum(row.queries for row in unseen), None, None, *both))
    if cases.of(NEW_COLOURWAY).any():
        rows.append(_row(NEW_COLOURWAY, part, cases, cases.of(NEW_COLOURWAY), scores, right, chosen, known=False))
    return rows


def _row(
    name: str,
    part: str,
    cases: Cases,
    mask: BoolArray,
    scores: DoubleArray,
    right: BoolArray,
    chosen: Thresholds,
    *,
    known: bool,
) -> RateRow:
    groups, best, first = cases.group[mask], scores[mask], right[mask]
    duplicate, review = best >= chosen.duplicate, best >= chosen.review
    return RateRow(
        name=name,
        part=part,
        queries=len(best),
        found_first=rate_of(first, groups) if known else None,
        right_duplicate=rate_of(duplicate & first, groups) if known else None,
        duplicate=rate_of(duplicate, groups),
        review=rate_of(review, groups),
    )
