"""Commands of `intake lab` that have a file of their own: each module holds `command`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

COMMANDS = ("train", "export", "segment", "calibrate", "tag", "look")


def mount(app: typer.Typer) -> None:
    """Mount every command that is there."""
    for name in COMMANDS:
        module = f"{__name__}.{name}"
        if find_spec(module) is not None:
            app.command(name)(import_module(module).command)
