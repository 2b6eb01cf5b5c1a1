"""What the demo shows in the terminal while it runs, and at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from worker.demo.traffic import Published
from worker.simulate.score import ScoreReport
from worker.simulate.truth import Truth

STYLES = {"duplicate": "green", "review": "yellow", "new": "blue", "dead-letter": "red"}
# Fits a terminal of 30 lines with the progress bars above.
LINES = 16


class LiveTable:
    """Decisions as they come: progress above, the newest decisions below."""

    def __init__(self, total: int, truths: Sequence[Truth]) -> None:
        self._truth = {truth.arrival_id: truth for truth in reversed(truths)}  # of a repeat, the first
        self._recent: list[Published] = []
        self._counts: Counter[str] = Counter()
        self.progress = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.sent = self.progress.add_task("sent", total=total, note="")
        self.decided = self.progress.add_task("decided", total=total, note="the worker is warming up")

    def add(self, published: Published) -> None:
        """One more outcome."""
        self._counts[published.outcome.got] += 1
        self._recent = [*self._recent[1 - LINES :], published]
        note = "  ".join(f"[{STYLES[got]}]{got} {count}[/]" for got, count in sorted(self._counts.items()))
        self.progress.update(self.decided, advance=1, note=note)

    def __rich__(self) -> RenderableType:
        """Progress and table."""
        table = Table(*(Column(name, no_wrap=True) for name in ("arrival", "decision", "nearest", "similarity", "expected")))
        for published in self._recent:
            outcome = published.outcome
            truth = self._truth.get(outcome.arrival_id)
            nearest = outcome.articles[0] if outcome.articles else (published.event.get("nearest") or {}).get("article_id", "")
            table.add_row(
                escape(outcome.arrival_id),
                f"[{STYLES[outcome.got]}]{outcome.got}[/]",
                escape(outcome.reason or nearest or ""),
                "" if outcome.similarity is None else f"{outcome.similarity:.3f}",
                "" if truth is None else escape(f"{truth.expected}: {truth.kind}"),
            )
        return Group(self.progress, table)


def score_table(report: ScoreReport) -> Table:
    """The score against the truth, a line for each kind of arrival."""
    counted = ("sent", "right", "near", "wrong", "lost", "dup.", "rev.", "new", "dead")
    table = Table(
        Column("arrival is", no_wrap=True), *(Column(name, justify="right", no_wrap=True) for name in counted), padding=(0, 0)
    )
    for line in report.kinds:
        cells = (
            line.count,
            line.right,
            line.near,
            line.wrong,
            line.lost,
            line.duplicate,
            line.review,
            line.new,
            line.dead_letter,
        )
        table.add_row(str(line.kind), *(str(cell) if cell else "·" for cell in cells))
    table.add_section()
    table.add_row("all", str(report.count), str(report.right), "", "", str(report.lost))
    return table
