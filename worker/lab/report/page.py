"""The HTML report: one file, nothing fetched, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from worker import __version__
from worker.lab.evaluation import ALL, Evaluated, KindResult, MethodResult
from worker.lab.files import writing
from worker.lab.metrics import TOPS
from worker.lab.report.data import kind_names, method_name, overviews, percent
from worker.lab.report.markdown import best_first
from worker.lab.report.pictures import Album, Confusion, QueryRow, Reader, Shower, shown_kinds
from worker.lab.report.svg import COLOURS, Line, chart, swatch

TEMPLATE = "template.html"
DEFAULT_ROWS = 5
CONFUSIONS = 8
MOST_DRAWN = 8  # lines that a chart can hold, and methods whose pictures somebody looks at
GREY = len(COLOURS) - 1  # the style that chance is drawn in


@dataclass(frozen=True, slots=True)
class KindSection:
    """Table and curves of one kind."""

    name: str
    queries: int
    chance: KindResult
    rows: tuple[tuple[MethodResult, KindResult], ...]
    charts: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class KindPictures:
    """Hits and misses of one method and kind."""

    kind: str
    misses: list[QueryRow]
    hits: list[QueryRow]


@dataclass(frozen=True, slots=True)
class MethodSection:
    """Pictures of one method."""

    result: MethodResult
    pictures: list[KindPictures]
    alerts: list[QueryRow]
    confusions: list[Confusion]


def write_page(evaluated: Sequence[Evaluated], manifest: Path, path: Path, read: Reader, rows: int = DEFAULT_ROWS) -> None:
    """Write the report, whole or not at all. `rows`: hits and misses shown of each method and kind."""
    results = [item.result for item in evaluated]
    album = Album(read)
    drawn = drawn_methods(results)
    methods = [_method_section(item, album, rows) for item in evaluated if item.result.method in drawn]
    text = (resources.files("worker.lab.report") / TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    page = environment.from_string(text).render(
        version=__version__,
        manifest=str(manifest),
        results=results,
        name=method_name,
        legend=[(method_name(result), swatch(drawn[result.method])) for result in results if result.method in drawn],
        kinds=[_kind_section(name, results, drawn) for name in kind_names(results)],
        overviews=overviews(results),
        categories=_categories(results),
        methods=methods,
        thumbnails=album.styles,
        tops=(1, 2, 3, 5, 10, 20, 50),
        all=ALL,
    )
    with writing(path) as part:
        part.write_text(page, encoding="utf-8")


def drawn_methods(results: Sequence[MethodResult]) -> dict[str, int]:
    """Methods that have lines and pictures, with the number of their line: all, or of more than `MOST_DRAWN` the best."""
    chosen = {result.method for result in best_first(results)[:MOST_DRAWN]}
    names = [result.method for result in results if result.method in chosen]
    return {name: number for number, name in enumerate(names)}


def _kind_section(name: str, results: Sequence[MethodResult], numbers: Mapping[str, int]) -> KindSection:
    rows = tuple((result, kind) for result in results for kind in result.kinds if kind.kind == name)
    first = rows[0][1]
    numbered = [(numbers[result.method], result.method, kind) for result, kind in rows if result.method in numbers]
    tops = [(n, Line(text, [(k, kind.top[k]) for k in TOPS])) for n, text, kind in numbered]
    chance = (GREY, Line("by chance", [(k, first.chance[k]) for k in TOPS]))
    roc = [(n, Line(text, kind.curves.roc)) for n, text, kind in numbered if kind.curves]
    pr = [(n, Line(text, kind.curves.pr)) for n, text, kind in numbered if kind.curves]
    charts = (
        chart("Found among the first k", [chance, *tops], "k", "share", (1, 50), x_ticks=(1, 10, 20, 30, 40, 50)),
        chart("Same or different: ROC", roc, "wrong pairs called the same", "right pairs called the same"),
        chart("Same or different: precision and recall", pr, "recall", "precision"),
    )
    return KindSection(name, first.queries, first, rows, charts)


def _categories(
    results: Sequence[MethodResult],
) -> list[tuple[str, list[tuple[MethodResult, dict[str, tuple[int, float]]]], list[str]]]:
    """For each kind with categories: its name, each method's (queries, top 1) by category, and the categories."""
    sections = []
    for name in kind_names(results):
        rows = []
        for result in results:
            kind = next((kind for kind in result.kinds if kind.kind == name), None)
            if kind is not None and kind.categories:
                rows.append((result, {row.category: (row.queries, row.top1) for row in kind.categories}))
        if rows:
            sections.append((name, rows, list(rows[0][1])))
    return sections


def _method_section(item: Evaluated, album: Album, rows: int) -> MethodSection:
    shower = Shower(item, album)
    pictures = [KindPictures(kind, shower.misses(kind, rows), shower.hits(kind, min(3, rows))) for kind in shown_kinds([item])]
    return MethodSection(item.result, pictures, shower.alerts(rows), shower.confusions(CONFUSIONS if rows else 0))
