"""The file of a pair of models: what it must hold, and the guess that stands where nobody measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from worker.calibration import Calibration, LogisticCurve
from worker.errors import ModelError
from worker.vision.calibration import PairCalibration, uncalibrated
from worker.vision.registry import load_part

PAIR: dict[str, Any] = {
    "segmenter": "u2netp",
    "embedder": "lite0",
    "measured": "2026-11-21",
    "duplicate_threshold": 0.9,
    "review_threshold": 0.8,
    "curve": {"kind": "logistic", "slope": 10.0, "intercept": -8.0},
    "data": "photos of a shop",
    "counts": {"same": 278},
    "rates": {"new style: duplicate": 0.01},
}


def stored(folder: Path, **changes: object) -> Path:
    path = folder / "pair.json"
    path.write_bytes(orjson.dumps({**PAIR, **changes}))
    return path


def test_a_pairs_file_is_a_calibration_with_what_it_rests_on(tmp_path: Path) -> None:
    pair = load_part(stored(tmp_path), PairCalibration)
    assert isinstance(pair, Calibration)
    assert pair.calibrated
    assert (pair.duplicate_threshold, pair.review_threshold) == (0.9, 0.8)
    assert pair.curve == LogisticCurve(slope=10.0, intercept=-8.0)
    assert pair.probability(0.8) == pytest.approx(0.5)
    assert pair.rates == {"new style: duplicate": 0.01}


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
def test_a_curve_that_does_not_rise_is_refused_by_the_name_of_its_file(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"pair\.json.*curve"):
        load_part(stored(tmp_path, curve=wrong), PairCalibration)


@pytest.mark.parametrize("change", [{"review_threshold": 0.95}, {"rates": {"x": 1.5}}, {"segmenter": "U2"}, {"tresholds": 1}])
def test_a_pair_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="not a valid PairCalibration"):
        load_part(stored(tmp_path, **change), PairCalibration)


def test_a_guess_says_that_it_is_one() -> None:
    guess = uncalibrated("a", "b")
    assert not guess.calibrated
    assert guess.probability(guess.review_threshold) < 0.5 <= guess.probability(guess.duplicate_threshold)
