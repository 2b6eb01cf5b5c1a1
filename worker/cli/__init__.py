"""The command `intake`. One module a group of commands; each is a `typer.Typer` mounted here."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

import typer
from rich.console import Console

from worker import __version__
from worker.errors import IntakeError, StopError

app = typer.Typer(
    name="intake",
    help="Is an arriving garment already in the catalogue? Kafka in, photos from S3, ONNX models, Qdrant, alerts or inserts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback with local variables could show secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Groups (a sub-command each) and single commands, by module of this package.
GROUPS = ("topics", "models", "catalogue", "dead-letters", "lab")
COMMANDS = ("run", "demo", "doctor", "submit", "watch", "simulate", "serve")


@app.callback(invoke_without_command=True)
def root(*, show_version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    """Options of every command."""
    if show_version:
        typer.echo(__version__)
        raise typer.Exit


def _mount() -> None:
    for name in (*GROUPS, *COMMANDS):
        module_name = f"{__name__}.{name.replace('-', '_')}"
        if find_spec(module_name) is None:
            continue
        module = import_module(module_name)
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(module.command)


_mount()


def main() -> NoReturn:
    """Entry point: every expected error is one line on stderr and its own exit code."""
    try:
        app()
    except IntakeError as error:
        Console(stderr=True, highlight=False).print(f"intake: {error}", style="bold red", markup=False)
        sys.exit(error.exit_code if isinstance(error, StopError) else 1)
    sys.exit(0)
