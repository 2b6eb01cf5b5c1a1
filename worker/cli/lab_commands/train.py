"""`intake lab train`: a configuration to a trained checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from worker.lab.training.run import Outcome

# What a shell reports of a process that a signal ended.
SIGNAL_EXIT = 128


def command(
    *,
    config: Annotated[Path, typer.Argument(help="TOML or YAML with [run] and [recipe].", metavar="CONFIG")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; a run in it goes on.", file_okay=False)],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="PART.NAME=VALUE over what CONFIG says, as in run.batch=64; several times."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this time, to be gone on with; as run.minutes.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda; as run.device.")] = None,
) -> None:
    """Train a model. Stop it as you like (Ctrl-C, kill): the same command goes on from the last checkpoint."""
    from worker.lab.training.catalogue import missing_part  # noqa: PLC0415
    from worker.lab.training.config import parse_overrides, read_config  # noqa: PLC0415
    from worker.lab.training.showing import show_training  # noqa: PLC0415

    overrides = parse_overrides(changes or ())
    overrides |= {} if minutes is None else {"run.minutes": str(minutes)}
    overrides |= {} if device is None else {"run.device": device}
    read = read_config(config, overrides)
    try:
        from worker.lab.training.run import train  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_part(error) from error
    with show_training(sys.stderr) as tell:
        outcome = train(read, config, output, tell)
    _say(outcome, output)
    if outcome.signal is not None:
        raise typer.Exit(SIGNAL_EXIT + outcome.signal)


def _say(outcome: Outcome, output: Path) -> None:
    from worker.lab.training.showing import figures_text  # noqa: PLC0415

    went_on = f", went on from step {outcome.resumed}" if outcome.resumed else ""
    typer.echo(
        f"{output}: {outcome.ending}; {outcome.epoch} of {outcome.epochs} epochs, {outcome.step} steps, "
        f"{outcome.seconds / 60:.1f} minutes of training{went_on}"
    )
    if outcome.figures:
        typer.echo(f"best held out (judged by {outcome.score}): {figures_text(outcome.figures)}")
        typer.echo(f"next: intake lab export {output} --id NAME")
    else:
        typer.echo("nothing was held out and judged yet")
    if outcome.page is not None:
        typer.echo(f"curves: {outcome.page}")
    if outcome.ending.name in {"STOPPED", "TIME"}:
        typer.echo("give the same command again to go on")
