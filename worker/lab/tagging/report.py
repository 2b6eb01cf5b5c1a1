"""A tagger's score as JSON, as tables in the terminal, and as one self-contained page with curves and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import orjson
from markupsafe import Markup
from rich.table import Column, Table

from worker import __version__
from worker.lab.files import writing
from worker.lab.report.svg import Line, chart, swatch
from worker.lab.tagging.metrics import SURE_SHARE
from worker.lab.tagging.score import HeadScore, SplitScore, TaggerScore

TEMPLATE = "tagger.html"
DIGITS = 6
CELL = 22  # pixels of a matrix's cell
LETTER = 7.2  # width of a letter of its labels
TITLE = 26
BOLD = 7.6  # width of a letter of its title


@dataclass(frozen=True, slots=True)
class HeadSection:
    """What the page shows of one head. `swatches` are of the classes' lines, in their order."""

    head: HeadScore
    curves: Markup
    matrix: Markup
    swatches: tuple[Markup, ...]


def percent(share: float | None) -> str:
    """A share for people."""
    return "" if share is None or not math.isfinite(share) else f"{share * 100:.1f}"


def write_json(score: TaggerScore, path: Path) -> None:
    """Every figure, whole or not at all."""
    content = {"version": __version__, **_plain(asdict(score))}
    with writing(path) as part:
        part.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n")


def write_page(score: TaggerScore, path: Path) -> None:
    """The report, whole or not at all."""
    text = (resources.files("worker.lab.tagging") / TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    page = environment.from_string(text).render(
        version=__version__,
        score=score,
        sure_share=SURE_SHARE,
        sections=[(split, [_section(head) for head in split.heads]) for split in score.splits],
    )
    with writing(path) as part:
        part.write_text(page, encoding="utf-8")


def tables(score: TaggerScore) -> list[Table]:
    """The heads side by side, once for each limit of images; then what is most often taken for what."""
    made = [_overview(score, split) for split in score.splits]
    confusions = Table("head", "is", "taken for", Column("photos", justify="right"), Column("% of it", justify="right"))
    confusions.title = "Hardest confusions"
    for head in score.splits[0].heads:
        for item in head.confusions[:5]:
            confusions.add_row(head.name, item.truth, item.answer, str(item.photos), percent(item.share))
    return [*made, confusions]


def _overview(score: TaggerScore, split: SplitScore) -> Table:
    names = ["classes", "photos", "top 1", "top 3", "top 5", "always the commonest", "macro F1", "mAP", "sure of", "then right"]
    table = Table(Column("head", no_wrap=True), *(Column(name, justify="right") for name in names))
    table.title = f"{score.model} on the {score.part} part, classes with at least {split.min_images} images"
    known = any(head.reference is not None for head in split.heads)
    if known:
        table.add_column(score.reference_name or "reference", justify="right")
    for head in split.heads:
        shares = [*head.tops.values(), head.chance, head.macro_f1, head.mean_average_precision, head.sure_share, head.sure_right]
        cells = [head.name, str(len(head.classes)), str(head.photos), *(percent(share) for share in shares)]
        table.add_row(*cells, *([percent(head.reference)] if known else []))
    return table


def _section(head: HeadScore) -> HeadSection:
    lines = [(number, Line(item.label, item.curve)) for number, item in enumerate(head.classes)]
    return HeadSection(
        head=head,
        curves=chart(f"{head.name}: precision and recall of each class", lines, "recall", "precision"),
        matrix=matrix_picture([item.label for item in head.classes], head.matrix, head.name),
        swatches=tuple(swatch(number) for number in range(len(head.classes))),
    )


def matrix_picture(labels: Sequence[str], matrix: Sequence[Sequence[int]], name: str) -> Markup:
    """A confusion matrix: rows are truths, the darker the larger the share of the row; wrong ones are red."""
    left = max(len(label) for label in labels) * LETTER + 12
    size = CELL * len(labels)
    title = f"{name}: rows are truths, columns answers, percent"
    width, height = max(left + size + 12, len(title) * BOLD), left + size + TITLE
    top = TITLE + left - 12
    parts = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(name)}: confusion matrix">']
    parts.append(f'<text x="6" y="16" class="title">{escape(title)}</text>')
    for at, label in enumerate(labels):
        middle = CELL * at + CELL / 2
        parts.append(f'<text x="{left - 6:.1f}" y="{top + middle + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        x, y = left + middle + 4, top - 6
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" transform="rotate(-90 {x:.1f} {y:.1f})">{escape(label)}</text>')
    for row, counts in enumerate(matrix):
        whole = sum(counts)
        for column, count in enumerate(counts):
            share = count / whole if whole else 0.0
            x, y = left + CELL * column, top + CELL * row
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{CELL}" height="{CELL}" class="cell"/>')
            if not count:
                continue
            colour = "#0072b2" if row == column else "#b3261e"
            # Few wrong ones must be seen, too: the root lifts them.
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{CELL}" height="{CELL}" fill="{colour}" fill-opacity="{math.sqrt(share):.2f}">'
                f"<title>{escape(labels[row])} taken for {escape(labels[column])}: {count} of {whole}</title></rect>"
            )
            if share >= 0.005:
                white = ' style="fill:#fff"' if share > 0.3 else ""
                parts.append(
                    f'<text x="{x + CELL / 2:.1f}" y="{y + CELL / 2 + 3.5:.1f}" text-anchor="middle" class="share"{white}>'
                    f"{share * 100:.0f}</text>"
                )
    return Markup("".join(parts) + "</svg>")  # noqa: S704  every text in it was escaped  # nosec B704


def _plain(value: Any) -> Any:
    """Numbers rounded, NaN as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
