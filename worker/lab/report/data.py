"""Results as JSON, and as a table in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Column, Table

from worker import __version__
from worker.lab.evaluation import ALL, KindResult, MethodResult
from worker.lab.files import writing
from worker.lab.metrics import FALSE_ALERTS, RESAMPLES, SEED

DIGITS = 6
SHOWN_TOPS = (1, 5, 10)


def as_json(results: Sequence[MethodResult], manifest: Path) -> dict[str, Any]:
    """Everything measured. What differs from run to run is under `cost` alone."""
    return {
        "version": __version__,
        "manifest": str(manifest),
        "seed": SEED,
        "resamples": RESAMPLES,
        "false_alerts": FALSE_ALERTS,
        "methods": [plain(asdict(result)) for result in results],
    }


def write_json(results: Sequence[MethodResult], manifest: Path, path: Path) -> None:
    """Write `as_json`, whole or not at all."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    with writing(path) as part:
        part.write_bytes(orjson.dumps(as_json(results, manifest), option=options) + b"\n")


def plain(value: Any) -> Any:
    """Numbers rounded, NaN and infinity as null, keys as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def tables(results: Sequence[MethodResult]) -> list[Table]:
    """Method by kind; one for each kind; the unseen garments; what it costs."""
    made = [_overview_table(overview) for overview in overviews(results)]
    made += [_kind_table(kind, results) for kind in kind_names(results)]
    if any(result.unseen for result in results):
        made.append(_unseen_table(results))
    made.append(_cost_table(results))
    return made


def kind_names(results: Sequence[MethodResult]) -> list[str]:
    """Kinds in the order of the manifest."""
    return list(dict.fromkeys(kind.kind for result in results for kind in result.kinds))


def method_name(result: MethodResult) -> str:
    """The method, marked where its network was never trained."""
    return f"{result.method} (RANDOM WEIGHTS)" if result.random_weights else result.method


def percent(share: float | None) -> str:
    """A share for people."""
    return "" if share is None or not math.isfinite(share) else f"{share * 100:.1f}"


@dataclass(frozen=True, slots=True)
class Overview:
    """One figure of every method and kind: the table "method x data set". `rows`: the method's name and its shares, by kind."""

    title: str
    kinds: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


def overviews(results: Sequence[MethodResult]) -> list[Overview]:
    """Found first, and found at 1 % false alerts where there are unseen garments."""
    names = kind_names(results)
    by_kind = [{kind.kind: kind for kind in result.kinds} for result in results]
    counts = tuple((name, next(kinds[name].queries for kinds in by_kind if name in kinds)) for name in names)
    firsts = [tuple(kinds[name].top[1] if name in kinds else None for name in names) for kinds in by_kind]
    sures = [tuple(kinds[name].found_at_1_percent if name in kinds else None for name in names) for kinds in by_kind]
    texts = [method_name(result) for result in results]
    made = [Overview("Found first", counts, tuple(zip(texts, firsts, strict=True)))] if names else []
    if names and any(share is not None for row in sures for share in row):
        made.append(
            Overview(
                "Found first, at a similarity that 1 % of unseen garments reach", counts, tuple(zip(texts, sures, strict=True))
            )
        )
    return made


def _overview_table(overview: Overview) -> Table:
    heads = [f"{name or '(no kind)'} ({count})" for name, count in overview.kinds]
    table = Table(Column("method", no_wrap=True), *(Column(head, justify="right") for head in heads))
    table.title = f"{overview.title} (percent; number of queries)"
    for name, shares in overview.rows:
        table.add_row(name, *(percent(share) for share in shares))
    return table


def _kind_table(name: str, results: Sequence[MethodResult]) -> Table:
    rows = [(result, kind) for result in results for kind in result.kinds if kind.kind == name]
    first = rows[0][1]
    what = "all queries" if name == ALL else (name or "(no kind)")
    tops = [f"top {k}" for k in SHOWN_TOPS]
    numbers = [*tops, "95 % of top 1", "mAP", "AUC", "found at 1 % false", "at threshold"]
    table = Table(Column("method", no_wrap=True), *(Column(head, justify="right") for head in numbers))
    table.title = f"{what}: {first.queries} queries, {rows[0][0].articles} articles (percent)"
    for result, kind in rows:
        table.add_row(method_name(result), *_figures(kind))
    chance = [percent(first.chance[k]) for k in SHOWN_TOPS]
    table.add_row("by chance", *chance, "", percent(first.map_chance), "50.0", "", "", style="dim")
    return table


def _figures(kind: KindResult) -> list[str]:
    low, high = kind.top_interval
    return [
        *(percent(kind.top[k]) for k in SHOWN_TOPS),
        f"{percent(low)} - {percent(high)}",
        percent(kind.mean_average_precision),
        percent(kind.curves.auc) if kind.curves else "",
        percent(kind.found_at_1_percent),
        percent(kind.found_at_threshold),
    ]


def _unseen_table(results: Sequence[MethodResult]) -> Table:
    table = Table(
        Column("method", no_wrap=True), "kind", *(Column(h, justify="right") for h in ("queries", "false at 1 %", "at threshold"))
    )
    table.title = "Garments that are not in the catalogue: called found (percent)"
    for result in results:
        for row in result.unseen:
            shares = percent(row.alerts_at_1_percent), percent(row.alerts_at_threshold)
            table.add_row(method_name(result), row.kind, str(row.queries), *shares)
    return table


def _cost_table(results: Sequence[MethodResult]) -> Table:
    heads = ("cut out, ms", "describe, ms", "numbers", "vector, kB", "models, MB", "memory, MB", "not readable")
    table = Table(Column("method", no_wrap=True), *(Column(head, justify="right") for head in heads))
    table.title = "Cost of a photo (median, on this machine as loaded as it was)"
    for result in results:
        cost = result.cost
        table.add_row(
            method_name(result),
            f"{cost.segment_ms:.0f}",
            f"{cost.describe_ms:.1f}",
            str(cost.dimension),
            f"{cost.vector_mb * 1000:.1f}",
            f"{cost.model_mb:.1f}",
            "" if cost.memory_mb is None else f"{cost.memory_mb:.0f}",
            str(result.unreadable),
        )
    return table
