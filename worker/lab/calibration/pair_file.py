"""From a result to the file that the registry, and so the worker, reads."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from worker.errors import ConfigurationError
from worker.lab.calibration.measure import CalibrationResult
from worker.lab.calibration.thresholds import HELD_OUT
from worker.lab.files import writing
from worker.vision.calibration import PairCalibration

DIGITS = 4


def pair_of(result: CalibrationResult, data: str, measured: date) -> PairCalibration:
    """What is stored of a result. Rates are those of the part that was kept aside.

    Raises:
        ConfigurationError: similarities of this method are no cosines.
    """
    if result.curve is None:
        raise ConfigurationError(
            f"{result.method}: the worker compares by cosine; a curve over {result.distance} cannot be stored"
        )
    rates: dict[str, float] = {
        "wanted: duplicate": result.options.wanted_duplicates,
        "wanted: review or duplicate": result.options.wanted_reviews,
    }
    counts = {"articles": result.articles}
    for row in result.rates:
        if row.part != HELD_OUT:
            continue
        counts[row.name] = row.queries
        if row.found_first is not None and row.right_duplicate is not None:
            rates[f"{row.name}: found first"] = row.found_first.share
            rates[f"{row.name}: right and duplicate"] = row.right_duplicate.share
        rates[f"{row.name}: duplicate"] = row.duplicate.share
        rates[f"{row.name}: review or duplicate"] = row.review.share
    return PairCalibration(
        segmenter=result.segmenter,
        embedder=result.descriptor,
        measured=measured,
        # An identical photo has similarity 1, whatever was measured.
        duplicate_threshold=min(1.0, result.thresholds.duplicate),
        review_threshold=min(1.0, result.thresholds.review),
        curve=result.curve,
        data=data,
        counts=counts,
        rates={name: round(value, DIGITS) for name, value in rates.items()},
    )


def described(result: CalibrationResult, manifest: Path) -> str:
    """What the figures rest on, in a sentence, without paths of this machine."""
    options = result.options
    fitted, checked = (sum(count for name, count in part.items() if name != "new colourway") for part in result.counts.values())
    limits = [
        f"kinds {', '.join(options.kinds)}" if options.kinds else "",
        f"{options.part} styles" if options.part != "all" else "",
    ]
    said = "".join(f", {limit}" for limit in limits if limit)
    return (
        f"{manifest.resolve().parent.name}/{manifest.name}{said}: fitted on {fitted} cases, rates and counts of {checked} others, of "
        "other styles and other photos"
    )


def write_pair(pair: PairCalibration, folder: Path) -> Path:
    """Write a pair's file, whole or not at all; returns its path."""
    path = folder / f"{pair.segmenter}+{pair.embedder}.json"
    with writing(path) as part:
        part.write_text(pair.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    return path
