"""A run as a table for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.run import Result

COLUMNS = ("fault", "injected", "arrivals in flight", "lost", "repeated", "missed")


def as_json(result: Result) -> str:
    """Everything that was counted."""
    verdict = result.verdict
    content = {
        "passed": result.passed,
        "seed": result.plan.seed,
        "arrivals": verdict.arrivals,
        "kills": result.kills,
        "worker_lives": result.lives,
        "assignments": result.rebalances,
        "chaos_s": round(result.chaos_s, 1),
        "calm_s": round(result.calm_s, 1),
        "outcomes": {"alerts": verdict.alerts, "inserts": verdict.inserts, "dead_letters": verdict.dead_letters},
        "alerts_naming_a_twin_in_flight": verdict.twin_alerts,
        "garments_all_alerted_and_none_inserted": verdict.without_article,
        "ends_of_lives": dict(sorted(result.codes.items())),
        "offsets_committed_to_the_end": result.commits,
        "not_injected": result.not_injected,
        "broken_promises": verdict.problems(),
        "problems": result.problems,
        "faults": [asdict(row) for row in result.table if row.injected],
    }
    return json.dumps(content, indent=2) + "\n"


def as_markdown(result: Result) -> str:
    """The table, with totals."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    lines += [
        f"| {row.fault} | {row.injected} | {row.arrivals} | {row.lost} | {row.repeated} | {row.missed} |"
        for row in result.table
        if row.injected
    ]
    verdict = result.verdict
    total = sum(row.injected for row in result.table)
    lines.append(
        f"| **all** | **{total}** | **{verdict.arrivals}** | **{len(verdict.lost)}** | **{len(verdict.repeated)}** "
        f"| **{len(verdict.missed)}** |"
    )
    return "\n".join(lines) + "\n"


def show(result: Result, console: Console) -> None:
    """On the terminal."""
    table = Table(*COLUMNS, title=f"chaos, seed {result.plan.seed}")
    for row in result.table:
        if row.injected:
            values = (row.injected, row.arrivals, row.lost, row.repeated, row.missed)
            table.add_row(row.fault, *(str(value) for value in values))
    console.print(table)
    verdict = result.verdict
    console.print(
        f"{verdict.arrivals} arrivals: {verdict.inserts} inserts, {verdict.alerts} alerts ({verdict.twin_alerts} name a twin in "
        f"flight), {verdict.dead_letters} dead letters. {result.kills} kills, {result.lives} worker lives, {result.rebalances} "
        f"assignments, {result.chaos_s:.0f} s of chaos, {result.calm_s:.0f} s until all was decided.",
        highlight=False,
    )
    console.print(f"how lives ended: {dict(result.codes)}", highlight=False)
    for problem in [*verdict.problems(), *result.problems, *(f"never injected: {fault}" for fault in result.not_injected)]:
        console.print(problem, style="red", markup=False)
    console.print("every promise was kept" if result.passed else "FAILED", style="bold green" if result.passed else "bold red")


def write(result: Result, folder: Path) -> None:
    """`chaos.json` and `chaos.md` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chaos.json").write_text(as_json(result))
    (folder / "chaos.md").write_text(as_markdown(result))
