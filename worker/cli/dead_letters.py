"""`intake dead-letters`: look at refused events, send them again, delete them."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from worker.errors import Reason
from worker.settings import load_settings
from worker.stream.letters import Selection, StoredLetter, read_letters
from worker.stream.redrive import purge as purge_records
from worker.stream.redrive import purgeable
from worker.stream.redrive import redrive as redrive_letters

app = typer.Typer(no_args_is_help=True, help="Refused events: look at them, send them again, delete them.")

_ReasonOption = Annotated[Reason | None, typer.Option(help="Only dead letters with this reason.")]


def _out() -> Console:
    return Console(highlight=False, soft_wrap=True)


@app.command(name="list")
def list_letters(
    reason: _ReasonOption = None,
    last: Annotated[int, typer.Option(min=1, help="Show at most so many, the newest.")] = 50,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, without the originals.")] = False,
) -> None:
    """Show the dead letters, oldest first."""
    letters = Selection(reason=reason).of(read_letters(load_settings()))
    shown = letters[-last:]
    if as_json:
        for stored in shown:
            typer.echo(orjson.dumps(_summary(stored)))
        return
    table = Table("id", "failed at", "reason", "stage", "tries", "arrival", "from", "redriven")
    for stored in shown:
        letter = stored.letter
        table.add_row(
            stored.letter_id,
            letter.failed_at.strftime("%Y-%m-%d %H:%M:%S"),
            letter.reason.value,
            letter.stage,
            str(letter.attempts),
            letter.arrival_id or "-",
            f"{letter.source.topic}/{letter.source.partition}/{letter.source.offset}",
            "yes" if stored.redriven else "no",
        )
    console = _out()
    console.print(table)
    console.print(
        f"{len(letters)} dead letters, {sum(each.redriven for each in letters)} of them redriven"
        + _hidden(len(letters) - len(shown))
    )


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID", help="An id, or an unambiguous beginning of one.")]) -> None:
    """Show one dead letter with its original event."""
    (stored,) = Selection(ids=(letter_id,)).of(read_letters(load_settings()))
    console = _out()
    for name, value in _summary(stored).items():
        console.print(f"{name}: {value}", markup=False)
    letter = stored.letter
    console.print(f"original key: {_readable(letter.original_key_base64)}", markup=False)
    for header in letter.original_headers:
        console.print(f"original header {header.name}: {_readable(header.value_base64)}", markup=False)
    console.print("original value:")
    console.print(_readable(letter.original_value_base64), markup=False)


@app.command()
def redrive(
    reason: _ReasonOption = None,
    letter_id: Annotated[list[str] | None, typer.Option("--id", help="This one; may be given several times.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that were not redriven yet.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Publish original events again, byte for byte, to the topic they came from. Each dead letter is redriven once."""
    if not (reason or letter_id or everything):
        raise typer.BadParameter("say which: --reason, --id or --all")
    report = redrive_letters(load_settings(), Selection(reason=reason, ids=tuple(letter_id or ())), dry_run=dry_run)
    console = _out()
    for stored in report.redriven:
        source = stored.letter.source
        console.print(
            f"{'would redrive' if dry_run else 'redriven'}: {stored.letter_id} ({stored.letter.reason}) to {source.topic}",
            markup=False,
        )
    for stored in report.gone:
        console.print(f"cannot be redriven, its original is not kept any more: {stored.letter_id}", markup=False)
    verb = "would be redriven" if dry_run else "redriven"
    console.print(f"{len(report.redriven)} {verb}, {len(report.already)} were redriven before, {len(report.gone)} are gone")
    if report.gone:
        raise typer.Exit(1)


@app.command()
def purge(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what was not redriven.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters: from the oldest up to the first that was not redriven, or all."""
    settings = load_settings()
    letters = read_letters(settings)
    offsets = purgeable(settings, letters, everything=everything)
    doomed = [each for each in letters if each.offset < offsets.get(each.partition, 0)]
    console = _out()
    lost = sum(not each.redriven for each in doomed)
    console.print(f"{len(doomed)} of {len(letters)} dead letters would be deleted, {lost} of them were never redriven")
    if not doomed:
        return
    if not yes:
        typer.confirm("Delete them?", abort=True)
    purge_records(settings, offsets)
    console.print(f"{len(doomed)} deleted")


def _summary(stored: StoredLetter) -> dict[str, object]:
    letter = stored.letter
    return {
        "id": stored.letter_id,
        "reason": letter.reason.value,
        "message": letter.message,
        "stage": letter.stage,
        "attempts": letter.attempts,
        "arrival_id": letter.arrival_id,
        "failed_at": letter.failed_at.isoformat(),
        "worker": letter.worker,
        "traceparent": letter.traceparent,
        "source": f"{letter.source.topic}/{letter.source.partition}/{letter.source.offset}",
        "redriven": stored.redriven,
    }


def _hidden(count: int) -> str:
    return f"; {count} older ones are not shown (--last)" if count > 0 else ""


def _readable(encoded: str | None) -> str:
    """Original bytes for people: JSON indented, other text as it is, anything else as base64."""
    if encoded is None:
        return "(none)"
    content = b64decode(encoded)
    try:
        return orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        pass
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return f"base64:{encoded}"
    # Control characters of hostile input must not reach the terminal.
    return text if text.isprintable() else ascii(text)
