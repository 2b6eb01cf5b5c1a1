from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.vision.calibration import Calibration, Curve, uncalibrated

LOGISTIC = Curve(kind="logistic", slope=20, intercept=-16)
POINTS = Curve(kind="points", points=((0.2, 0.0), (0.5, 0.25), (0.9, 1.0)))


@pytest.mark.parametrize("curve", [LOGISTIC, POINTS])
@given(a=st.floats(-1, 1), b=st.floats(-1, 1))
def test_probability_is_a_share_and_never_falls(curve: Curve, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= curve.probability(low) <= curve.probability(high) <= 1


def test_a_logistic_curve_is_one_half_where_it_should_be() -> None:
    assert LOGISTIC.probability(0.8) == pytest.approx(0.5)


def test_points_are_joined_by_straight_lines_and_held_beyond_the_ends() -> None:
    assert POINTS.probability(0.35) == pytest.approx(0.125)
    assert POINTS.probability(-1) == 0
    assert POINTS.probability(1) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "logistic"},
        {"kind": "logistic", "slope": -1, "intercept": 0},
        {"kind": "points", "points": [(0.1, 0.5)]},
        {"kind": "points", "points": [(0.1, 0.5), (0.2, 0.4)]},
        {"kind": "points", "points": [(0.2, 0.4), (0.2, 0.5)]},
        {"kind": "points", "points": [(0.1, -0.1), (0.2, 0.4)]},
    ],
)
def test_a_curve_that_does_not_rise_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Curve.model_validate(wrong)


def test_review_lies_below_duplicate() -> None:
    with pytest.raises(ValidationError, match="review_threshold"):
        Calibration(segmenter="a", embedder="b", duplicate_threshold=0.5, review_threshold=0.6, curve=LOGISTIC)


def test_a_guess_says_that_it_is_one() -> None:
    guess = uncalibrated("a", "b")
    assert not guess.calibrated
    assert guess.probability(guess.review_threshold) < 0.5 <= guess.probability(guess.duplicate_threshold)
