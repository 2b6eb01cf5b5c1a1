"""The HTML report of `intake lab calibrate`: one file, nothing fetched, no script."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2

from worker import __version__
from worker.lab.calibration.measure import CalibrationResult
from worker.lab.files import writing
from worker.lab.report.calibration_data import (
    NORMALISED_HEADS,
    RATE_HEADS,
    normalised_cells,
    rate_cells,
    sentences,
    shown_rows,
)
from worker.lab.report.calibration_drawings import curve_chart, distribution_chart, legend, reliability_chart
from worker.lab.report.svg import swatch

TEMPLATE = "calibration.html"


def write_page(results: Sequence[CalibrationResult], manifest: Path, path: Path) -> None:
    """Write the report, whole or not at all."""
    text = (resources.files("worker.lab.report") / TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    sections = [
        {
            "result": result,
            "sentences": sentences(result),
            "charts": [
                distribution_chart(result),
                reliability_chart(result),
                *([curve_chart(result, result.curve)] if result.curve is not None else []),
            ],
            "legend": [(name, swatch(number)) for name, number in legend(result)],
            "rates": [(row, rate_cells(row)) for row in shown_rows(result)],
            "normalised": normalised_cells(result),
        }
        for result in results
    ]
    page = environment.from_string(text).render(
        version=__version__, manifest=str(manifest), sections=sections, rate_heads=RATE_HEADS, normalised_heads=NORMALISED_HEADS
    )
    with writing(path) as part:
        part.write_text(page, encoding="utf-8")
