"""How good probabilities are: small figures over weighted pairs, each tested against a slow, obvious statement of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from worker.lab.metrics import DoubleArray
from worker.lab.search import BoolArray

# Guo et al. 2017, "On calibration of modern neural networks", section 4.
ECE_BINS = 15
RELIABILITY_BINS = 10
# Standard normal quantile of a 95 % interval.
Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Quality:
    """Of probabilities (already clamped) against what was the case.

    Attributes:
        log_loss: mean of -log of the probability given to what was the case, nats; 0 is perfect.
        brier: mean squared difference, 0..1; 0 is perfect.
        ece: expected calibration error: mean difference between probability and observed share, over `ECE_BINS` equal bins.
        auc: probability that a right pair has a higher score than a wrong one, ties counting half.
    """

    log_loss: float
    brier: float
    ece: float
    auc: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs whose probability lies between `low` and `high`: their mean probability, the share that is the same article, how many."""

    low: float
    high: float
    probability: float
    observed: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A share and its 95 % interval."""

    share: float
    low: float
    high: float


def quality(probability: DoubleArray, score: DoubleArray, same: BoolArray, weight: DoubleArray) -> Quality:
    """All figures of n pairs; weights need not sum to anything. `score` is what the AUC ranks by."""
    losses = log_losses(probability, same)
    return Quality(
        float(np.average(losses, weights=weight)),
        float(np.average((probability - same) ** 2, weights=weight)),
        calibration_error(probability, same, weight),
        area_under_roc(score, same, weight),
    )


def log_losses(probability: DoubleArray, same: BoolArray) -> DoubleArray:
    """(n,) nats; probabilities lie strictly between 0 and 1."""
    return np.asarray(-np.log(np.where(same, probability, 1 - probability)), np.float64)


def calibration_error(probability: DoubleArray, same: BoolArray, weight: DoubleArray, bins: int = ECE_BINS) -> float:
    """Expected calibration error, 0..1."""
    number = np.minimum((probability * bins).astype(np.int64), bins - 1)
    surplus = np.bincount(number, weight * (probability - same), bins)
    return float(np.abs(surplus).sum() / weight.sum())


def area_under_roc(score: DoubleArray, same: BoolArray, weight: DoubleArray) -> float:
    """NaN without right or without wrong pairs."""
    levels, number = np.unique(score, return_inverse=True)
    right = np.bincount(number, weight * same, len(levels))
    wrong = np.bincount(number, weight * ~same, len(levels))
    if not right.sum() or not wrong.sum():
        return float("nan")
    below = np.cumsum(wrong) - wrong
    return float((right * (below + wrong / 2)).sum() / (right.sum() * wrong.sum()))


def reliability(
    probability: DoubleArray, same: BoolArray, weight: DoubleArray, bins: int = RELIABILITY_BINS
) -> tuple[ReliabilityBin, ...]:
    """The bins that hold pairs."""
    made = []
    number = np.minimum((probability * bins).astype(np.int64), bins - 1)
    for index, (low, high) in enumerate(pairwise(np.linspace(0, 1, bins + 1).tolist())):
        mask = number == index
        if mask.any() and weight[mask].sum() > 0:
            mean, observed = (float(np.average(values[mask], weights=weight[mask])) for values in (probability, same))
            made.append(ReliabilityBin(low, high, mean, observed, int(mask.sum())))
    return tuple(made)


def wilson(share: float, count: float) -> Rate:
    """Wilson's interval (Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1): it holds for few, and for no, hits."""
    z = Z95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Rate(share, max(0.0, middle - half) if share > 0 else 0.0, min(1.0, middle + half) if share < 1 else 1.0)


def rate_of(hits: BoolArray, groups: npt.NDArray[np.generic]) -> Rate:
    """Share of `hits` (n,), with Wilson's interval for as many independent queries as they are worth.

    Queries of a group (shots of one style) go together: their number is divided by the design effect, the variance of the share from
    group to group over that of independent queries (Korn and Graubard 1998, "Confidence intervals for proportions with small expected
    number of positive counts"); where all are hits or none is, each group counts as one.
    """
    if not len(hits):
        return Rate(float("nan"), 0.0, 1.0)
    share = float(hits.mean())
    names, number = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return wilson(share, 1.0)
    surplus = np.bincount(number, hits - share)
    variance = float((surplus**2).sum()) / len(hits) ** 2 * len(names) / (len(names) - 1)
    worth = share * (1 - share) / variance if variance > 0 else float(len(names))
    return wilson(share, min(max(worth, 1.0), float(len(hits))))


def mean_rate(rates: list[Rate]) -> Rate:
    """The plain mean of independent rates; interval by Newcombe 1998, "Interval estimation for the difference", method 10."""
    n = len(rates)
    share = sum(rate.share for rate in rates) / n
    below = math.sqrt(sum((rate.share - rate.low) ** 2 for rate in rates)) / n
    above = math.sqrt(sum((rate.high - rate.share) ** 2 for rate in rates)) / n
    return Rate(share, max(0.0, share - below), min(1.0, share + above))
