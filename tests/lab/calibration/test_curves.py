"""Worlds whose truth is known: the right curve is found, and nothing is taken that does not earn its keep."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lab.calibration.make import calibrated, cases_where, shop
from worker.errors import ConfigurationError
from worker.lab.calibration.cases import KNOWN, NEW_STYLE, RAW
from worker.lab.calibration.curves import Fitted, choose, fit_curve, out_of_fold, pairs_of_cases, simplest
from worker.lab.metrics import DoubleArray

SLOPE, INTERCEPT = 12.0, -7.0


def logistic(x: DoubleArray) -> DoubleArray:
    return np.asarray(1 / (1 + np.exp(-(SLOPE * x + INTERCEPT))), np.float64)


def stairs(x: DoubleArray) -> DoubleArray:
    return np.where(x < 0.2, 0.03, np.where(x < 0.7, 0.45, 0.97))


def test_a_logistic_world_is_recovered() -> None:
    pairs = pairs_of_cases(cases_where(logistic, 6000, seed=1), RAW, 0.5)
    fitted = fit_curve("logistic", pairs)
    assert fitted.slope == pytest.approx(SLOPE, rel=0.08)
    assert -fitted.intercept / fitted.slope == pytest.approx(-INTERCEPT / SLOPE, abs=0.01)
    choice = choose(cases_where(logistic, 2000, seed=2), cases_where(logistic, 2000, seed=3), 0.5, normalised=False)
    assert choice.chosen.kind == "logistic"
    assert [variant.normalisation for variant in choice.variants] == [RAW, RAW]


def test_a_monotone_world_that_is_not_logistic_gets_the_isotonic_curve() -> None:
    fit, check = cases_where(stairs, 3000, seed=4), cases_where(stairs, 3000, seed=5)
    choice = choose(fit, check, 0.5, normalised=False)
    assert choice.chosen.kind == choice.chosen_raw.kind == "isotonic"
    by_kind = {variant.kind: variant for variant in choice.variants}
    assert by_kind["isotonic"].checked.log_loss < by_kind["logistic"].checked.log_loss
    grid = np.array([0.0, 0.45, 0.9])
    assert choice.fitted.probability(grid) == pytest.approx(stairs(grid), abs=0.06)


def test_what_is_stored_gives_the_probabilities_that_were_fitted() -> None:
    grid = np.linspace(-0.3, 1.0, 50)
    for truth, kind in ((logistic, "logistic"), (stairs, "isotonic")):
        fitted = fit_curve(kind, pairs_of_cases(cases_where(truth, 1000, seed=6), RAW, 0.5))  # type: ignore[arg-type]
        stored = fitted.stored()
        assert np.clip([stored.at(float(x)) for x in grid], 0.001, 0.999) == pytest.approx(fitted.probability(grid), abs=1e-9)


def test_probabilities_never_fall_and_are_never_certain() -> None:
    for kind in ("logistic", "isotonic"):
        fitted = fit_curve(kind, pairs_of_cases(cases_where(stairs, 400, seed=7), RAW, 0.5))  # type: ignore[arg-type]
        values = fitted.probability(np.linspace(-1, 1, 500))
        assert (np.diff(values) >= 0).all()
        assert 0.001 <= values.min() < values.max() <= 0.999


def test_a_fold_is_judged_by_a_curve_that_did_not_see_it() -> None:
    pairs = pairs_of_cases(cases_where(logistic, 500, seed=8), RAW, 0.5)
    got = out_of_fold("logistic", pairs)
    own = pairs.fold == 2
    assert got[own] == pytest.approx(fit_curve("logistic", pairs.select(~own)).probability(pairs.score[own]))
    assert got[own] != pytest.approx(fit_curve("logistic", pairs).probability(pairs.score[own]))


def test_normalisation_is_chosen_where_queries_differ_in_their_base_similarity() -> None:
    result = calibrated(shop(base=0.6, seed=1))
    assert result.cohort > 30
    assert result.chosen.normalisation != RAW
    assert result.chosen_raw.normalisation == RAW
    assert result.chosen.checked.log_loss < result.chosen_raw.checked.log_loss
    by_name = {row.normalisation: row for row in result.normalised}
    assert by_name[result.chosen.normalisation].recognised > by_name[RAW].recognised


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_normalisation_is_not_chosen_where_they_do_not(seed: int) -> None:
    result = calibrated(shop(base=0.0, seed=seed))
    assert result.cohort > 30
    assert {variant.normalisation for variant in result.variants} == {"none", "z-norm", "s-norm"}
    assert result.chosen.normalisation == RAW


def test_a_lead_that_is_chance_does_not_pay_for_what_is_less_simple() -> None:
    rng = np.random.default_rng(9)
    group, weight = np.arange(500), np.full(500, 1 / 500)
    plain = rng.uniform(0.1, 0.3, 500)
    luck = plain - 0.001 + rng.normal(0, 0.1, 500)
    gain = plain - 0.05 + rng.normal(0, 0.1, 500)
    assert simplest([plain, luck - luck.mean() + plain.mean() - 0.0005], weight, group) == 0
    assert simplest([plain, gain], weight, group) == 1


def test_the_share_of_known_arrivals_moves_the_probabilities() -> None:
    known, new = cases_where(logistic, 400, seed=10), cases_where(lambda x: x * 0, 400, seed=11, population=NEW_STYLE)
    both = type(known)(
        **{name: np.concatenate([getattr(known, name), getattr(new, name)]) for name in type(known).__dataclass_fields__}
    )
    rare, common = (fit_curve("logistic", pairs_of_cases(both, RAW, share)) for share in (0.1, 0.9))
    assert (both.of(KNOWN).sum(), both.of(NEW_STYLE).sum()) == (400, 400)
    assert both.weights(0.1)[both.of(KNOWN)].sum() == pytest.approx(0.1)
    grid = np.linspace(0, 1, 20)
    assert (rare.probability(grid) < common.probability(grid)).all()


def test_similarity_that_says_the_opposite_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not more similar than wrong ones"):
        fit_curve("logistic", pairs_of_cases(cases_where(lambda x: 1 - logistic(x), 300, seed=12), RAW, 0.5))


def test_scores_of_any_scale_give_the_same_logistic_probabilities() -> None:
    pairs = pairs_of_cases(cases_where(logistic, 500, seed=13), RAW, 0.5)
    scaled = type(pairs)(pairs.score * 30 + 5, pairs.same, pairs.weight, pairs.group, pairs.fold)
    one, other = fit_curve("logistic", pairs), fit_curve("logistic", scaled)
    assert isinstance(one, Fitted)
    assert one.probability(pairs.score) == pytest.approx(other.probability(scaled.score), abs=2e-3)
