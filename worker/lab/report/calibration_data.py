"""A calibration as JSON, and as tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich.table import Column, Table

from worker import __version__
from worker.lab.calibration.measure import CalibrationResult
from worker.lab.calibration.quality import Rate
from worker.lab.calibration.thresholds import HELD_OUT, RateRow
from worker.lab.files import writing
from worker.lab.report.data import percent, plain


def as_json(results: Sequence[CalibrationResult], manifest: Path) -> dict[str, Any]:
    """Everything measured; identical from run to run."""
    return {
        "version": __version__,
        "manifest": str(manifest),
        "calibrations": [
            plain(asdict(result)) | {"curve": result.curve.model_dump(mode="json") if result.curve else None}
            for result in results
        ],
    }


def write_json(results: Sequence[CalibrationResult], manifest: Path, path: Path) -> None:
    """Write `as_json`, whole or not at all."""
    with writing(path) as part:
        part.write_bytes(orjson.dumps(as_json(results, manifest), option=orjson.OPT_INDENT_2) + b"\n")


def sentences(result: CalibrationResult) -> list[str]:
    """What was found, in words."""
    options, row = result.options, result.rate(result.unseen_row)
    raw = result.chosen_raw
    made = [
        (
            f"Duplicate from {result.thresholds.duplicate:.4f}, review from {result.thresholds.review:.4f}. On the part that was kept aside, "
            f"{of(row.duplicate)} of the garments that are not in the catalogue are called duplicates (wanted: {percent(options.wanted_duplicates)}) "
            f"and {of(row.review)} review or duplicate (wanted: {percent(options.wanted_reviews)})."
        )
    ]
    if not row.duplicate.low <= options.wanted_duplicates <= row.duplicate.high:
        made.append(
            "The wanted share of duplicates lies outside the interval of what was found: more queries, or other ones, are needed."
        )
    if not row.review.low <= options.wanted_reviews <= row.review.high:
        made.append(
            "The wanted share of reviews lies outside the interval of what was found: more queries, or other ones, are needed."
        )
    made.append(
        f"The curve is {raw.kind}: log loss {raw.validated.log_loss:.4f} by cross-validation, {raw.checked.log_loss:.4f} on the part "
        f"kept aside. Probabilities hold where {percent(options.known)} % of the arrivals are in the catalogue."
    )
    return [*made, normalisation_sentence(result)]


def normalisation_sentence(result: CalibrationResult) -> str:
    """Whether score normalisation pays."""
    if not result.cohort:
        return "Score normalisation was not tried: there is no background set (--background), and there are too few unseen garments for one."
    base, chosen = result.chosen_raw, result.chosen
    where = f"against {result.cohort} photos ({result.cohort_from})"
    if chosen == base:
        return f"Score normalisation {where} is not better than none beyond chance."
    plain_rates, better = (
        next(row for row in result.normalised if row.normalisation == name) for name in (base.normalisation, chosen.normalisation)
    )
    return (
        f"Score normalisation ({chosen.normalisation}, {chosen.kind}) {where} is better beyond chance: log loss "
        f"{chosen.validated.log_loss:.4f} instead of {base.validated.log_loss:.4f} by cross-validation, {chosen.checked.log_loss:.4f} "
        f"instead of {base.checked.log_loss:.4f} on the part kept aside, where {percent(better.recognised)} instead of "
        f"{percent(plain_rates.recognised)} % of known garments would be called duplicates of the right article. The worker does not "
        "normalise: thresholds and curve above are of plain similarities."
    )


def of(rate: Rate) -> str:
    """A rate with its interval."""
    return f"{percent(rate.share)} % ({percent(rate.low)} - {percent(rate.high)})"


def shown_rows(result: CalibrationResult) -> list[RateRow]:
    """Those of the part kept aside, then those that were fitted."""
    return sorted(result.rates, key=lambda row: row.part != HELD_OUT)


def tables(result: CalibrationResult) -> list[Table]:
    """Variants; rates; what normalisation brings."""
    heads = ("log loss", "Brier", "ECE", "AUC")
    variants = Table(
        "normalisation",
        "curve",
        *(Column(f"{head}\n{part}", justify="right") for part in ("validated", "held out") for head in heads),
        "",
    )
    variants.title = f"{result.method}: similarity to probability (validated: on folds not fitted on)"
    for row in result.variants:
        figures = [f"{value:.4f}" for q in (row.validated, row.checked) for value in (q.log_loss, q.brier, q.ece, q.auc)]
        marks = ["chosen"] * (row == result.chosen) + ["the worker's"] * (row == result.chosen_raw)
        variants.add_row(row.normalisation, row.kind, *figures, ", ".join(marks))
    rates = Table("queries", "part", *(Column(head, justify="right") for head in ("number", *RATE_HEADS)))
    rates.title = (
        f"Duplicate from {result.thresholds.duplicate:.4f}, review from {result.thresholds.review:.4f} (percent, 95 % interval)"
    )
    for line in shown_rows(result):
        rates.add_row(line.name, line.part, str(line.queries), *rate_cells(line))
    made = [variants, rates]
    if len(result.normalised) > 1:
        made.append(_normalised_table(result))
    return made


RATE_HEADS = ("found first", "right, duplicate", "duplicate", "review or duplicate")


def rate_cells(row: RateRow) -> list[str]:
    """Cells under `RATE_HEADS`."""
    rates = (row.found_first, row.right_duplicate, row.duplicate, row.review)
    return ["" if rate is None else f"{percent(rate.share)} ({percent(rate.low)} - {percent(rate.high)})" for rate in rates]


NORMALISED_HEADS = (
    "duplicate from",
    "review from",
    "known: right, duplicate",
    "known: right, review or duplicate",
    "unseen: duplicate",
    "unseen: review or duplicate",
)


def normalised_cells(result: CalibrationResult) -> list[list[str]]:
    """Cells under the name of the normalisation and `NORMALISED_HEADS`."""
    return [
        [
            row.normalisation,
            f"{row.thresholds.duplicate:.4f}",
            f"{row.thresholds.review:.4f}",
            *(percent(share) for share in (row.recognised, row.looked_at, row.duplicates, row.reviews)),
        ]
        for row in result.normalised
    ]


def _normalised_table(result: CalibrationResult) -> Table:
    table = Table("normalisation", *(Column(head, justify="right") for head in NORMALISED_HEADS))
    table.title = f"What score normalisation brings, held out (percent; cohort of {result.cohort} photos: {result.cohort_from})"
    for cells in normalised_cells(result):
        table.add_row(*cells)
    return table
