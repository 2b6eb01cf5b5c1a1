"""How outcomes and scores look in a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from worker.simulate.outcomes import Outcome, read_outcome
from worker.simulate.score import ScoreReport

STYLES = {"duplicate": "bold magenta", "review": "bold yellow", "new": "bold green", "dead-letter": "bold red"}
# Misses beyond these are counted, not listed; --json holds all.
_MOST_MISSES = 25


def outcome_style(outcome: Outcome) -> str:
    """Colour of an outcome's decision."""
    return STYLES[outcome.got]


def summary(event: dict[str, Any], outcome: Outcome) -> str:
    """What matters of one outcome, in a line."""
    if outcome.got == "dead-letter":
        return f"{outcome.reason} at {event.get('stage')}: {event.get('message')}"
    if outcome.got == "new":
        near = f", nearest {event['nearest']['article_id']} at {outcome.similarity:.3f}" if event.get("nearest") else ""
        return f"becomes {outcome.article_id}{near}"
    if not outcome.articles:
        return str((event.get("explanation") or {}).get("reason", ""))
    return f"{outcome.articles[0]} at {outcome.similarity:.3f}"


def one_line(event: dict[str, Any]) -> Text | None:
    """An outcome as a coloured line; None if it is none."""
    outcome = read_outcome(event)
    if outcome is None:
        return None
    return Text.assemble(
        (f"{outcome.got:<12}", outcome_style(outcome)), f"{outcome.arrival_id or '?'}  ", summary(event, outcome)
    )


def candidates_table(event: dict[str, Any]) -> Table:
    """The candidates of a match alert."""
    table = Table(title=str((event.get("explanation") or {}).get("reason", "")), title_justify="left", title_style="")
    for column in ("rank", "article", "similarity", "probability", "margin", "photo that matched"):
        table.add_column(column, justify="right" if column in {"rank", "similarity", "probability", "margin"} else "left")
    for candidate in event.get("candidates", ()):
        margin = candidate.get("margin")
        matched = candidate.get("matched_photo") or {}
        table.add_row(
            str(candidate.get("rank")),
            Text(str(candidate.get("article_id")) + (" (in flight)" if candidate.get("pending") else "")),
            f"{candidate.get('similarity', 0.0):.4f}",
            f"{candidate.get('probability', 0.0):.3f}",
            "" if margin is None else f"{margin:.4f}",
            Text(f"{matched.get('article_location', '')} ({matched.get('article_view', '')})"),
        )
    return table


def score_table(report: ScoreReport) -> Table:
    """The score, a line for each kind."""
    table = Table(title=f"{report.right} of {report.count} right", title_justify="left")
    table.add_column("kind")
    for column in ("sent", "right", "near", "wrong", "lost", "duplicate", "review", "new", "dead letter"):
        table.add_column(column, justify="right")
    for line in report.kinds:
        table.add_row(
            line.kind.value, str(line.count), f"{line.right} ({line.share:.0%})", str(line.near), str(line.wrong), str(line.lost),
            str(line.duplicate), str(line.review), str(line.new), str(line.dead_letter),
        )  # fmt: skip
    return table


def misses_table(report: ScoreReport) -> Table | None:
    """What was not right; None if everything was."""
    if not report.misses:
        return None
    hidden = len(report.misses) - _MOST_MISSES
    table = Table(title="not right" + (f" ({hidden} more: --json)" if hidden > 0 else ""), title_justify="left")
    for column in ("arrival", "kind", "verdict", "expected", "got", "similarity"):
        table.add_column(column)
    for miss in report.misses[:_MOST_MISSES]:
        similarity = "" if miss.similarity is None else f"{miss.similarity:.3f}"
        table.add_row(miss.arrival_id, miss.kind.value, miss.verdict, Text(miss.expected), Text(miss.got), similarity)
    return table
