"""`intake watch`: the outcomes, live."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from worker.cli.following import Followed, OutcomeReader
from worker.cli.publishing import as_json
from worker.cli.showing import one_line, outcome_style, summary
from worker.ops.deadline import Deadline
from worker.settings import load_settings
from worker.simulate.outcomes import read_outcome

_ROWS = 20


def command(
    *,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Everything that is in the topics, not from now on.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One output event a line, as published.")] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="One line an outcome instead of a live table (also when piped).")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many outcomes.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds.")] = None,
) -> None:
    """Follow match alerts, catalogue inserts and dead letters as they are committed. Ctrl-C ends it."""
    settings = load_settings()
    console = Console()
    with OutcomeReader(settings, from_beginning=from_beginning) as reader:
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            if json:
                for followed in _limited(reader, deadline, limit):
                    typer.echo(as_json(followed.event))
                    sys.stdout.flush()
            elif lines or not console.is_terminal:
                for followed in _limited(reader, deadline, limit):
                    line = one_line(followed.event)
                    if line is not None:
                        console.print(line, soft_wrap=True)
            else:
                _table(reader, deadline, limit, console)
        except KeyboardInterrupt:
            return


def _limited(reader: OutcomeReader, deadline: Deadline | None, limit: int | None) -> Iterator[Followed]:
    for number, followed in enumerate(reader.read(deadline), start=1):
        yield followed
        if number == limit:
            return


def _table(reader: OutcomeReader, deadline: Deadline | None, limit: int | None, console: Console) -> None:
    recent: deque[Followed] = deque(maxlen=_ROWS)
    counts: Counter[str] = Counter()
    seen = 0
    with Live(live_table(recent, counts), console=console, refresh_per_second=4) as live:
        while (deadline is None or not deadline.passed) and (limit is None or seen < limit):
            for followed in reader.poll():
                outcome = read_outcome(followed.event)
                if outcome is None:
                    continue
                recent.append(followed)
                counts[outcome.got] += 1
                seen += 1
            live.update(live_table(recent, counts))


def live_table(recent: deque[Followed], counts: Counter[str]) -> Table:
    """The latest outcomes, and how many there were of each."""
    total = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "waiting for outcomes"
    table = Table("time", "outcome", "arrival", "what", title=total, title_justify="left", expand=True)
    for followed in recent:
        outcome = read_outcome(followed.event)
        if outcome is None:
            continue
        at = datetime.fromtimestamp((followed.timestamp_ms or 0) / 1000, UTC).strftime("%H:%M:%S")
        table.add_row(
            at, Text(outcome.got, outcome_style(outcome)), Text(outcome.arrival_id), Text(summary(followed.event, outcome))
        )
    return table
