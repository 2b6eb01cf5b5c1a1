"""Learning curves as one HTML file without scripts, drawn from `curves.csv`. Needs no torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from worker.errors import ConfigurationError
from worker.lab.files import writing
from worker.lab.report.svg import Line, chart, swatch

CSV, PAGE = "curves.csv", "curves.html"
POINTS = 400  # of a line: more are not seen at a chart's width
PARTS = ("train", "held-out")
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_STYLE = """body{font:14px/1.5 sans-serif;margin:2em auto;max-width:1340px;padding:0 1em;color:#222}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(400px,1fr));gap:1em}svg{width:100%;font:11px sans-serif}
.title{font-weight:bold;font-size:13px}.grid{stroke:#ddd}.swatch{width:28px;height:10px}table{border-collapse:collapse}
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"""

Curve = list[tuple[float, float]]


def read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    """Figure to part to its points (epoch with its fraction is not known to the file: step, value); what is no number is left out.

    Raises:
        ConfigurationError: there is no such file, or it is none of a run.
    """
    curves: dict[str, dict[str, Curve]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                value = float(row["value"])
                if math.isfinite(value):
                    curves.setdefault(row["figure"], {}).setdefault(row["part"], []).append((float(row["step"]), value))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} holds no curves of a run: {error}") from error
    return curves


def draw_curves(folder: Path, title: str, notes: Sequence[str] = ()) -> Path:
    """Write `curves.html` into a run's folder.

    Raises:
        ConfigurationError: there are no curves, or it cannot be written.
    """
    curves = read_curves(folder / CSV)
    charts = [_chart(figure, parts) for figure, parts in curves.items()]
    legend = " &nbsp; ".join(f"{swatch(number)} {escape(part)}" for number, part in enumerate(PARTS))
    rows = [
        f"<tr><td>{escape(figure)}</td>"
        + "".join(f"<td>{_last(parts.get(part))}</td><td>{_span(parts.get(part))}</td>" for part in PARTS)
        + "</tr>"
        for figure, parts in curves.items()
    ]
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{''.join(f'<p>{escape(note)}</p>' for note in notes)}<p>{legend}</p><main>{''.join(charts)}</main>"
        "<h2>Figures</h2><table><tr><th>figure</th><th>train, last</th><th>lowest to highest</th><th>held-out, last</th>"
        f"<th>lowest to highest</th></tr>{''.join(rows)}</table></html>\n"
    )
    page = folder / PAGE
    with writing(page) as part:
        part.write_text(text, encoding="utf-8")
    return page


def _last(curve: Curve | None) -> str:
    return f"{curve[-1][1]:.4g}" if curve else ""


def _span(curve: Curve | None) -> str:
    values = [value for _, value in curve or ()]
    return f"{min(values):.4g} to {max(values):.4g}" if values else ""


def _chart(figure: str, parts: dict[str, Curve]) -> str:
    points = [point for curve in parts.values() for point in curve]
    steps, values = [point[0] for point in points], [point[1] for point in points]
    y_range, _ = nice_range(min(values), max(values))
    x_range, ticks = nice_range(0.0, max(1.0, *steps))
    lines = [(PARTS.index(part), Line(part, thinned(curve))) for part, curve in parts.items() if part in PARTS]
    return str(chart(figure, lines, "step", figure, x_range, y_range, ticks))


def nice_range(lowest: float, highest: float) -> tuple[tuple[float, float], tuple[float, ...]]:
    """A range around both whose four equal parts have round ends, and these ends."""
    if highest <= lowest:
        highest = lowest + max(abs(lowest), 1.0) * 0.1
    rough = (highest - lowest) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    for step in (*(power * each for each in _STEPS), power * 20, power * 25):
        start = math.floor(lowest / step + 1e-9) * step
        if start + 4 * step >= highest - 1e-9 * step:
            break
    ends = tuple(float(f"{start + step * number:.10g}") for number in range(5))
    return (ends[0], ends[-1]), ends


def thinned(curve: Curve) -> Curve:
    """At most `POINTS` points, each the mean of its neighbours."""
    if len(curve) <= POINTS:
        return curve
    result = []
    for number in range(POINTS):
        part = curve[number * len(curve) // POINTS : (number + 1) * len(curve) // POINTS]
        result.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return result
