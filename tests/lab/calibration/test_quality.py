"""Figures over probabilities against slow, obvious statements of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from worker.lab.calibration.quality import (
    ECE_BINS,
    Rate,
    area_under_roc,
    calibration_error,
    mean_rate,
    quality,
    rate_of,
    reliability,
    wilson,
)
from worker.lab.metrics import DoubleArray
from worker.lab.search import BoolArray


def draw(seed: int, count: int = 300) -> tuple[DoubleArray, DoubleArray, BoolArray, DoubleArray]:
    """Probability, score with ties, truth, weight."""
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.001, 0.999, count)
    return probability, np.round(probability, 1), rng.random(count) < probability**2, rng.uniform(0.1, 3.0, count)


@pytest.mark.parametrize("seed", range(5))
def test_log_loss_brier_and_auc_are_what_their_definitions_say(seed: int) -> None:
    probability, score, same, weight = draw(seed)
    got = quality(probability, score, same, weight)
    rows = list(zip(probability.tolist(), score.tolist(), same.tolist(), weight.tolist(), strict=True))
    total = sum(w for *_, w in rows)
    assert got.log_loss == pytest.approx(sum(w * -math.log(p if s else 1 - p) for p, _, s, w in rows) / total)
    assert got.brier == pytest.approx(sum(w * (p - (1 if s else 0)) ** 2 for p, _, s, w in rows) / total)
    wins = pairs = 0.0
    for _, one, s1, w1 in rows:
        for _, other, s2, w2 in rows:
            if s1 and not s2:
                pairs += w1 * w2
                wins += w1 * w2 * (1.0 if one > other else 0.5 if one == other else 0.0)
    assert got.auc == pytest.approx(wins / pairs)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_error_is_the_mean_gap_over_bins(seed: int) -> None:
    probability, _, same, weight = draw(seed)
    gaps = 0.0
    for number in range(ECE_BINS):
        inside = [n for n, p in enumerate(probability) if number / ECE_BINS <= p < (number + 1) / ECE_BINS]
        if inside:
            mass = sum(weight[n] for n in inside)
            mean = sum(weight[n] * probability[n] for n in inside) / mass
            truth = sum(weight[n] for n in inside if same[n]) / mass
            gaps += mass * abs(mean - truth)
    assert calibration_error(probability, same, weight) == pytest.approx(gaps / weight.sum())


def test_a_constant_that_is_right_on_average_has_no_calibration_error_and_no_power() -> None:
    same = np.arange(100) < 30
    probability, weight = np.full(100, 0.3), np.ones(100)
    got = quality(probability, probability, same, weight)
    assert got.ece == pytest.approx(0.0, abs=1e-12)
    assert got.auc == 0.5
    assert got.brier == pytest.approx(0.21)


def test_without_right_or_wrong_pairs_there_is_no_auc() -> None:
    assert math.isnan(area_under_roc(np.arange(3.0), np.ones(3, np.bool_), np.ones(3)))


def test_reliability_bins_hold_every_pair_once() -> None:
    probability, _, same, weight = draw(3)
    bins = reliability(probability, same, weight)
    assert sum(b.pairs for b in bins) == len(same)
    assert all(b.low <= b.probability <= b.high for b in bins)
    for b in bins:
        inside = (probability >= b.low) & (probability < b.high)
        assert b.observed == pytest.approx((weight * same)[inside].sum() / weight[inside].sum())
    # What was drawn is the square of the probability: over it for every bin but the ends.
    assert all(b.observed < b.probability for b in bins if 0.2 < b.probability < 0.8)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"), [(0.0, 20, 0.0, 0.1611), (0.5, 100, 0.4038, 0.5962), (1.0, 10, 0.7225, 1.0)]
)
def test_wilsons_interval_has_the_published_ends(share: float, count: int, low: float, high: float) -> None:
    rate = wilson(share, count)
    assert rate.low == pytest.approx(low, abs=1e-4)
    assert rate.high == pytest.approx(high, abs=1e-4)


def test_wilsons_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(200)
    covered = 0
    for _ in range(1000):
        rate = rate_of(rng.random(200) < 0.03, groups)
        covered += rate.low <= 0.03 <= rate.high
    assert covered >= 930


def test_queries_that_go_together_count_as_fewer() -> None:
    rng = np.random.default_rng(1)
    once = rng.random(100) < 0.3
    alone = rate_of(once, np.arange(100))
    tripled = rate_of(np.repeat(once, 3), np.repeat(np.arange(100), 3))
    assert tripled.share == pytest.approx(alone.share)
    assert tripled.high - tripled.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert rate_of(np.zeros(60, np.bool_), np.repeat(np.arange(20), 3)) == wilson(0.0, 20.0)
    nothing = rate_of(np.zeros(0, np.bool_), np.zeros(0))
    assert math.isnan(nothing.share)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_the_mean_of_two_rates_is_surer_than_either() -> None:
    one, other = wilson(0.1, 100), wilson(0.2, 100)
    mean = mean_rate([one, other])
    assert mean.share == pytest.approx(0.15)
    assert mean.high - mean.low < one.high - one.low
    assert mean_rate([one]) == Rate(pytest.approx(one.share), pytest.approx(one.low), pytest.approx(one.high))  # type: ignore[arg-type]
