"""Thresholds keep what they promise, also on garments they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lab.calibration.make import calibrated, cases_where, planned, shop, unseen_cases
from worker.errors import ConfigurationError
from worker.lab.calibration.cases import STRANGER, UNSEEN, make_cases
from worker.lab.calibration.plan import CalibrateOptions
from worker.lab.calibration.quality import wilson
from worker.lab.calibration.thresholds import ALL_UNSEEN, FITTED, HELD_OUT, Thresholds, fit_thresholds, rates, threshold
from worker.lab.metrics import DoubleArray
from worker.lab.search import search


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_a_threshold_is_the_lowest_that_keeps_the_share(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    best, weight = np.round(rng.normal(0.5, 0.2, 400), 3), rng.uniform(0.1, 1, 400)
    got = threshold(best, weight, share)
    assert weight[best >= got].sum() <= share * weight.sum() + 1e-9
    # Values lie a thousandth apart: the next one below would be too much.
    assert weight[best >= got - 0.0011].sum() > share * weight.sum()


def test_equal_similarities_stay_together_below_the_threshold() -> None:
    best = np.array([0.9, 0.8, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert threshold(best, np.ones(10), 0.2) == pytest.approx(0.8001)
    assert threshold(best, np.ones(10), 0.05) == pytest.approx(0.9001)


def draw(seed: int, count: int) -> tuple[DoubleArray, DoubleArray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 0.1, count), rng.normal(0.5, 0.15, count * 2)


@pytest.mark.parametrize("seed", range(4))
def test_rates_hold_on_garments_that_were_not_fitted_on(seed: int) -> None:
    options = CalibrateOptions(wanted_duplicates=0.02, wanted_reviews=0.25)
    fit, check = unseen_cases(*draw(seed, 2000)), unseen_cases(*draw(seed + 100, 2000))
    chosen = fit_thresholds(fit, fit.similarity[:, 0].astype(float), options)
    right = np.zeros(len(check), np.bool_)
    [row] = [row for row in rates(check, check.similarity[:, 0].astype(float), right, chosen, HELD_OUT) if row.name == ALL_UNSEEN]
    assert row.queries == 6000
    # Both the fit and the check are drawn: twice the variance of either.
    for rate, wanted in ((row.duplicate, 0.02), (row.review, 0.25)):
        bound = wilson(wanted, 1000)
        assert bound.low < rate.share < bound.high
        assert rate.low < rate.share < rate.high


def test_strangers_and_new_styles_have_the_same_say_however_many_there_are() -> None:
    options = CalibrateOptions(wanted_duplicates=0.05, wanted_reviews=0.2)
    few = unseen_cases(np.full(10, 0.9), np.linspace(0, 0.8, 1000))
    chosen = fit_thresholds(few, few.similarity[:, 0].astype(float), options)
    # Ten strangers are half of the weight: none of them may be called a duplicate, or looked at.
    assert chosen.duplicate == chosen.review == pytest.approx(0.9, abs=1.1e-4)


def test_rates_count_what_is_called_what() -> None:
    cases = cases_where(lambda x: x * 0 + 1, 40, seed=0)
    scores = np.repeat([0.9, 0.7, 0.5, 0.3], 10)
    right = np.tile([True, False], 20)
    [row] = rates(cases, scores, right, Thresholds(0.8, 0.6), FITTED)
    assert row.found_first is not None
    assert row.right_duplicate is not None
    shares = (row.found_first.share, row.right_duplicate.share, row.duplicate.share, row.review.share)
    assert shares == pytest.approx((0.5, 0.125, 0.25, 0.5))
    assert (row.name, row.part, row.queries) == ("phone", FITTED, 40)


def test_a_shop_is_checked_on_what_was_kept_aside() -> None:
    result = calibrated(shop(styles=90, unseen=400), CalibrateOptions(wanted_duplicates=0.02))
    assert [row.name for row in result.rates if row.part == HELD_OUT] == [row.name for row in result.rates if row.part == FITTED]
    fitted, held_out = (result.rate(result.unseen_row, part) for part in (FITTED, HELD_OUT))
    assert fitted.duplicate.share <= 0.02
    assert fitted.review.share <= 0.3
    assert held_out.queries == sum(result.counts[HELD_OUT][name] for name in UNSEEN)
    known = result.rate("all kinds")
    assert known.found_first is not None
    assert known.found_first.share > 0.9


def test_rates_of_shops_are_on_average_what_was_wanted_on_styles_that_were_kept_aside() -> None:
    options = CalibrateOptions(wanted_duplicates=0.02)
    shares = []
    for seed in range(12):
        item, plan = planned(shop(styles=90, unseen=400, seed=seed), options)
        cases, _ = make_cases(plan, item.vectors, search(plan.manifest, item.vectors, "cosine"), "cosine", options)
        fit, check = cases.select(~cases.checked), cases.select(cases.checked)
        chosen = fit_thresholds(fit, fit.similarity[:, 0].astype(float), options)
        rows = rates(check, check.similarity[:, 0].astype(float), check.same[:, 0], chosen, HELD_OUT)
        row = next(row for row in rows if row.name == ALL_UNSEEN)
        shares.append((row.duplicate.share, row.review.share))
    # Three standard errors: shares of one shop spread by 0.016 and 0.04.
    assert np.mean(shares, axis=0) == pytest.approx((0.02, 0.3), abs=0.035)
    assert np.mean(shares, axis=0)[0] == pytest.approx(0.02, abs=0.014)


def test_without_strangers_new_styles_stand_for_everything() -> None:
    result = calibrated(shop(unseen=0), CalibrateOptions(wanted_duplicates=0.02))
    assert result.unseen_row == "new style"
    assert STRANGER not in result.counts[FITTED]
    assert result.cohort == 0


@pytest.mark.parametrize(
    ("styles", "unseen", "options", "words"),
    [
        (3, 400, CalibrateOptions(), r"queries of known articles can be (fitted|checked) on, and 20 are needed"),
        (30, 0, CalibrateOptions(wanted_duplicates=0.001), r"1000 are needed in the part that is fitted"),
        (30, 0, CalibrateOptions(wanted_duplicates=0.001), r"a larger --wanted-duplicates"),
    ],
)
def test_too_few_queries_are_refused_with_how_many_are_needed(
    styles: int, unseen: int, options: CalibrateOptions, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        calibrated(shop(styles=styles, unseen=unseen), options)
