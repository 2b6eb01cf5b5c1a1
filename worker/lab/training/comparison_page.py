"""The comparison of training methods as one HTML file without scripts: what each finds, and how its loss fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from worker.lab.files import writing
from worker.lab.report.svg import Line, chart, swatch
from worker.lab.training.drawing import Curve, nice_range, thinned

PAGE = "comparison.html"
SMOOTH = 10  # batches whose mean loss is one point, and the unit of each curve
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#1c2430;margin:0 auto;max-width:1180px;padding:28px 24px 60px}
h1{font-size:25px;margin:0 0 6px}h2{font-size:19px;margin:34px 0 6px}p{color:#5d6878;max-width:95ch;margin:4px 0 12px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px;width:100%}
th,td{padding:5px 9px;text-align:right;border-bottom:1px solid #dde2e8}th:first-child,td:first-child{text-align:left}th:not(:first-child){width:9%}
th{color:#5d6878;font-weight:600;background:#f4f6f8;vertical-align:bottom}td small{color:#5d6878;display:block}
td.best{font-weight:700}td.share{background:linear-gradient(90deg,#cfe3f1 var(--share),transparent var(--share))}
.losses svg:not(.swatch){width:100%;max-width:760px;border:1px solid #dde2e8;border-radius:6px}
svg text{font:11px system-ui,sans-serif;fill:#5d6878}svg text.title{font-size:12px;font-weight:600;fill:#1c2430}.grid{stroke:#dde2e8}
.swatch{width:28px;height:10px;margin:0 5px 0 14px}"""


def loss_curve(losses: Sequence[tuple[float, float]]) -> Curve:
    """(seconds, loss) of every batch to means of `SMOOTH` batches, as shares of the first of them."""
    groups = [losses[start : start + SMOOTH] for start in range(0, len(losses), SMOOTH)]
    means = [(sum(at for at, _ in group) / len(group), sum(loss for _, loss in group) / len(group)) for group in groups]
    if not means or means[0][1] <= 0:
        return []
    return thinned([(round(at, 2), round(loss / means[0][1], 4)) for at, loss in means])


def write_page(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], note: str, folder: Path) -> None:
    """Write `comparison.html`.

    Args:
        rows: as `results.json` has them; `curve` is that of `loss_curve`.
        titles: of the figures, in the order they are shown.
        note: what the figures rest on.
        folder: where to.
    """
    best = {key: max((row["figures"].get(key, 0.0) for row in rows), default=0.0) for key in titles}
    lines = [
        f"<tr><td>{escape(row['name'])}<small>{escape(row['what'])}</small></td>"
        + "".join(_cell(row["figures"].get(key), best[key]) for key in titles)
        + f"<td>{row['batches']}</td></tr>"
        for row in rows
    ]
    head = "".join(f"<th>{escape(title)}</th>" for title in titles.values())
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Training methods side by side</title><style>{_STYLE}</style><h1>Training methods side by side</h1><p>{escape(note)}</p>"
        f"<table><thead><tr><th>method</th>{head}<th>batches</th></tr></thead><tbody>{''.join(lines)}</tbody></table>{_losses(rows)}</html>\n"
    )
    with writing(folder / PAGE) as part:
        part.write_text(text, encoding="utf-8")


def _cell(share: float | None, best: float) -> str:
    if share is None:
        return "<td></td>"
    kind = "share best" if share == best else "share"
    return f'<td class="{kind}" style="--share:{100 * share:.1f}%">{100 * share:.0f}</td>'


def _losses(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [(number, Line(row["name"], row["curve"])) for number, row in enumerate(row for row in rows if row.get("curve"))]
    if not lines:
        return ""
    values = [value for _, line in lines for _, value in line.points]
    x_range, ticks = nice_range(0.0, max(at for _, line in lines for at, _ in line.points))
    y_range, _ = nice_range(min(0.0, *values), max(1.0, *values))
    legend = "".join(f"{swatch(number)}{escape(line.name)}" for number, line in lines)
    drawn = chart("Loss while learning", lines, "seconds of processor time", "share of the first", x_range, y_range, ticks)
    return (
        f"<h2>Losses</h2><p>Means of {SMOOTH} batches, each method's as a share of its own first: how fast it learns what it is taught. Losses of "
        f'different methods are different things; what they are worth is in the table.</p><div class="losses"><p>{legend}</p>{drawn}</div>'
    )
