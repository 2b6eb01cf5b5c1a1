"""The table "method x data set" as Markdown, ready for a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from worker.lab.evaluation import ALL, KindResult, MethodResult
from worker.lab.files import writing
from worker.lab.report.data import kind_names, method_name

TOGETHER = (ALL, f"({ALL})")


def markdown_table(results: Sequence[MethodResult]) -> str:
    """One row a method: found first / found first at 1 % false alerts for each kind, in percent, and what it costs.

    The best of all queries first; networks that were never trained last, and marked.
    """
    names = kind_names(results)
    kinds = [{kind.kind: kind for kind in result.kinds} for result in results]
    counts = {name: next(of[name] for of in kinds if name in of) for name in names}
    memory = any(result.cost.memory_mb is not None for result in results)
    costs = ["numbers", "cut out, ms", "describe, ms", "models, MB", *(["memory, MB"] if memory else [])]
    heads = ["method", *(f"{_cell(name or '(no kind)')} ({counts[name].queries})" for name in names), *costs]
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for result in best_first(results):
        of = {kind.kind: kind for kind in result.kinds}
        cost = result.cost
        cells = [f"`{result.method}`{method_name(result).removeprefix(result.method)}"]
        cells += [_shares(of[name]) if name in of else "" for name in names]
        cells += [str(cost.dimension), f"{cost.segment_ms:.0f}", f"{cost.describe_ms:.0f}", f"{cost.model_mb:.1f}"]
        if memory:
            cells.append("" if cost.memory_mb is None else f"{cost.memory_mb:.0f}")
        lines.append(_line(cells))
    chance = [f"{counts[name].chance[1] * 100:.1f}" for name in names]
    lines.append(_line(["by chance", *chance, *([""] * len(costs))]))
    return "\n".join(lines) + "\n"


def write_markdown(results: Sequence[MethodResult], path: Path) -> None:
    """Write `markdown_table`, whole or not at all."""
    with writing(path) as part:
        part.write_text(markdown_table(results), encoding="utf-8")


def best_first(results: Sequence[MethodResult]) -> list[MethodResult]:
    """By the share found first of all queries, those that were never trained last; equal ones as they were given."""
    return sorted(results, key=_order)


def _order(result: MethodResult) -> tuple[bool, float]:
    together = next((kind for kind in result.kinds if kind.kind in TOGETHER), result.kinds[0] if result.kinds else None)
    return result.random_weights, -(together.top[1] if together is not None else 0.0)


def _shares(kind: KindResult) -> str:
    first = f"{kind.top[1] * 100:.0f}"
    return first if kind.found_at_1_percent is None else f"{first} / {kind.found_at_1_percent * 100:.0f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
