"""`intake demo`: the whole system on this machine, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from worker.demo.run import DemoOptions, run_demo


def command(
    catalogue: Annotated[
        Path | None, typer.Option(help="Your own catalogue photos: a file, or a sub-folder of views, is one article.")
    ] = None,
    arrivals: Annotated[
        Path | None, typer.Option(help="Your own arrivals: a file, or a sub-folder of views, is one arrival.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where page, outcomes.jsonl and data go.")] = Path("demo-output"),
    articles: Annotated[int, typer.Option(min=1, help="Articles drawn for the catalogue.")] = 40,
    count: Annotated[int, typer.Option(min=1, help="Arrivals drawn.")] = 40,
    rate: Annotated[float, typer.Option(min=0.1, help="Arrivals sent a second.")] = 8.0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 1,
) -> None:
    """Start Kafka, S3, index and worker here, load a catalogue, send arrivals, score the decisions, make a page."""
    run_demo(
        DemoOptions(output=output, catalogue=catalogue, arrivals=arrivals, articles=articles, count=count, rate=rate, seed=seed),
        Console(),
    )
