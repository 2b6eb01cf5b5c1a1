"""Thresholds and curves: read from plain numbers, monotone, clamped."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.calibration import Calibration
from worker.errors import ConfigurationError
from worker.settings import MatchingSettings

LOGISTIC: dict[str, Any] = {
    "duplicate_threshold": 0.9,
    "review_threshold": 0.8,
    "curve": {"kind": "logistic", "slope": 10.0, "intercept": -8.0},
}
POINTS: dict[str, Any] = {
    "duplicate_threshold": 0.9,
    "review_threshold": 0.8,
    "curve": {"kind": "points", "points": [[0.5, 0.0], [0.7, 0.2], [0.9, 1.0]]},
}

SIMILARITIES = st.floats(-1.5, 1.5)
CURVES = st.one_of(
    st.builds(
        lambda slope, intercept: {"kind": "logistic", "slope": slope, "intercept": intercept},
        st.floats(1e-6, 1e6),
        st.floats(-1e6, 1e6),
    ),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=2, max_size=20, unique_by=lambda pair: pair[0]).map(
        lambda pairs: {
            "kind": "points",
            "points": list(zip(sorted(p[0] for p in pairs), sorted(p[1] for p in pairs), strict=True)),
        }
    ),
)


def test_a_logistic_curve_is_a_half_where_its_exponent_is_zero() -> None:
    calibration = Calibration.model_validate(LOGISTIC)

    assert calibration.probability(0.8) == pytest.approx(0.5)
    assert calibration.probability(0.9) == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_curve_of_points_is_straight_between_them_and_flat_outside() -> None:
    calibration = Calibration.model_validate(POINTS)

    assert calibration.probability(0.6) == pytest.approx(0.1)
    assert calibration.probability(0.7) == pytest.approx(0.2)
    assert calibration.probability(0.8) == pytest.approx(0.6)
    assert calibration.probability(-1.0) == calibration.floor
    assert calibration.probability(1.0) == 1 - calibration.floor


@pytest.mark.parametrize("mapping", [LOGISTIC, POINTS])
def test_a_calibration_survives_writing_and_reading(mapping: dict[str, Any]) -> None:
    calibration = Calibration.model_validate(mapping)

    assert Calibration.model_validate_json(calibration.model_dump_json(exclude_none=True)) == calibration


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"review_threshold": 0.95}, "review_threshold must not be above"),
        ({"duplicate_threshold": 1.5}, "duplicate_threshold"),
        ({"duplicate_threshold": float("nan")}, "duplicate_threshold"),
        ({"curve": {"kind": "logistic", "slope": -1.0, "intercept": 0.0}}, "slope"),
        ({"curve": {"kind": "logistic", "slope": 1.0}}, "intercept"),
        ({"curve": {"kind": "points", "points": []}}, "points"),
        ({"curve": {"kind": "points", "points": [[0.5, 0.4]]}}, "points"),
        ({"curve": {"kind": "points", "points": [[0.5, 0.5], [0.6, 0.4]]}}, "never fall"),
        ({"curve": {"kind": "points", "points": [[0.5, 0.4], [0.5, 0.5]]}}, "must rise"),
        ({"curve": {"kind": "points", "points": [[0.5, 0.4], [0.6, 1.4]]}}, "points"),
        ({"curve": {"kind": "spline"}}, "curve"),
        ({"curve": None}, "curve"),
        ({"review_treshold": 0.5}, "review_treshold"),
    ],
)
def test_numbers_that_cannot_be_are_refused_with_what_is_wrong(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Calibration.model_validate({**LOGISTIC, **change})


def test_a_missing_threshold_is_refused() -> None:
    with pytest.raises(ValidationError, match="review_threshold"):
        Calibration.model_validate({name: value for name, value in LOGISTIC.items() if name != "review_threshold"})


def test_what_is_not_a_number_has_no_probability() -> None:
    with pytest.raises(ValueError, match="not a number"):
        Calibration.model_validate(LOGISTIC).probability(float("nan"))


@given(CURVES, SIMILARITIES, SIMILARITIES)
def test_probability_never_falls_and_is_never_certain(curve: dict[str, Any], one: float, other: float) -> None:
    calibration = Calibration.model_validate({**LOGISTIC, "curve": curve})

    low, high = (calibration.probability(similarity) for similarity in sorted((one, other)))

    assert calibration.floor <= low <= high <= 1 - calibration.floor


def test_settings_override_the_measured_thresholds() -> None:
    calibration = Calibration.model_validate(LOGISTIC)

    both = calibration.overridden(MatchingSettings(duplicate_threshold=0.7, review_threshold=0.6))
    one = calibration.overridden(MatchingSettings(review_threshold=0.85))
    none = calibration.overridden(MatchingSettings())

    assert (both.duplicate_threshold, both.review_threshold) == (0.7, 0.6)
    assert (one.duplicate_threshold, one.review_threshold) == (0.9, 0.85)
    assert none == calibration
    assert both.curve == calibration.curve


def test_an_override_that_contradicts_the_measured_threshold_names_both_settings() -> None:
    with pytest.raises(ConfigurationError, match="INTAKE_MATCHING__REVIEW_THRESHOLD"):
        Calibration.model_validate(LOGISTIC).overridden(MatchingSettings(review_threshold=0.95))
