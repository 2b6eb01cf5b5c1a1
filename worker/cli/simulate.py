"""`intake simulate`: arrivals with known truth, into folders or through S3 and Kafka, and a score of what came out."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from worker.cli.following import OutcomeReader
from worker.cli.publishing import Destination
from worker.cli.sending import collect_outcomes, send_scenario, shown, unusable_photos_reported
from worker.cli.showing import misses_table, score_table
from worker.errors import ConfigurationError
from worker.settings import Settings, load_settings
from worker.simulate.arrivals import (
    DEFAULT_FAULTS,
    DEFAULT_MIX,
    FAULTY,
    HONEST,
    Scenario,
    ScenarioOptions,
    build_scenario,
)
from worker.simulate.folder import arrival_files, catalogue_files, write_attributes, write_files, write_scenario
from worker.simulate.outcomes import read_outcomes
from worker.simulate.score import ScoreReport, score
from worker.simulate.stock import SUFFIXES
from worker.simulate.truth import read_truth, write_truth

_SCENARIO = "Scenario"
_WHERE = "Where it goes"
_SCORE = "Score"


def command(
    *,
    count: Annotated[int, typer.Option(min=1, help="Events sent, faults and repeats included.", rich_help_panel=_SCENARIO)] = 100,
    rate: Annotated[float, typer.Option(help="Events a second.", rich_help_panel=_SCENARIO)] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.", rich_help_panel=_SCENARIO)] = 0,
    catalogue_size: Annotated[int, typer.Option(min=1, help="Articles in the catalogue.", rich_help_panel=_SCENARIO)] = 200,
    mix: Annotated[
        str | None,
        typer.Option(help=f"Weights of {', '.join(HONEST)}, as in new=3,re-photographed=2.", rich_help_panel=_SCENARIO),
    ] = None,
    faults: Annotated[
        str | None,
        typer.Option(help=f"Shares of {', '.join(FAULTY)}, as in corrupt=0.05,repeat=0.1; or all.", rich_help_panel=_SCENARIO),
    ] = None,
    burst: Annotated[
        float, typer.Option(min=0, max=1, help="Share that comes in bursts of ten.", rich_help_panel=_SCENARIO)
    ] = 0.0,
    shots: Annotated[str, typer.Option(help="Weights of mild, harsh, second.", rich_help_panel=_SCENARIO)] = "mild=1",
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real studio photos instead of drawings.", exists=True, file_okay=False, rich_help_panel=_SCENARIO
        ),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real phone photos: their margins become the floor.",
            exists=True,
            file_okay=False,
            rich_help_panel=_SCENARIO,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Begins every arrival id. Default: the time, so that runs do not collide.", rich_help_panel=_SCENARIO),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, help="That draw. Default: one a core.", rich_help_panel=_SCENARIO)
    ] = None,
    to_folder: Annotated[
        Path | None,
        typer.Option(help="Write catalogue/, arrivals/, manifest.csv, truth.jsonl; no Kafka, no S3.", rich_help_panel=_WHERE),
    ] = None,
    articles: Annotated[
        Path | None, typer.Option(help="Write the catalogue here, for `intake catalogue load`.", rich_help_panel=_WHERE)
    ] = None,
    articles_only: Annotated[
        bool, typer.Option("--articles-only", help="With --articles: send nothing.", rich_help_panel=_WHERE)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent; draw and send nothing.", rich_help_panel=_WHERE)
    ] = False,
    bucket: Annotated[str | None, typer.Option(help="Default: the first allowed one.", rich_help_panel=_WHERE)] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Of the photos' keys. Default: the allowed one.", rich_help_panel=_WHERE)
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Write the truth here; with --score-only read it.", rich_help_panel=_SCORE)
    ] = None,
    with_score: Annotated[
        bool, typer.Option("--score", help="Wait for the outcomes and score them.", rich_help_panel=_SCORE)
    ] = False,
    score_only: Annotated[
        bool,
        typer.Option("--score-only", help="Send nothing: score outcomes that are there against --truth.", rich_help_panel=_SCORE),
    ] = False,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            help="With --score-only: a file of outcomes (JSON lines) instead of the topics.",
            exists=True,
            dir_okay=False,
            rich_help_panel=_SCORE,
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds without a new outcome after which waiting ends.", rich_help_panel=_SCORE)
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="The score as JSON.", rich_help_panel=_SCORE)] = False,
) -> None:
    """Draw garments, photograph them, send them as arrivals, and score what the worker made of them.

    With --score the exit code is 1 if an arrival has no outcome, or several.
    """
    if score_only:
        _score_only(truth, outcomes, wait, as_json=as_json)
        return
    if articles_only and articles is None:
        raise ConfigurationError("--articles-only needs --articles FOLDER")
    options = scenario_options(
        count=count, rate=rate, seed=seed, catalogue_size=catalogue_size, mix=mix, faults=faults, burst=burst, shots=shots,
        photos=photos, backgrounds=backgrounds, run=run,
    )  # fmt: skip
    drawing = os.cpu_count() or 1 if processes is None else processes
    scenario = _built(options)
    if dry_run:
        typer.echo(described(scenario))
        return
    if to_folder is not None:
        _into_folder(to_folder, scenario, drawing)
        return
    if articles is not None:
        _catalogue_into(articles, scenario, drawing)
    if not articles_only:
        if truth is not None:
            write_truth(truth, scenario.truths)
        settings = load_settings()
        _send_and_score(
            settings, scenario, Destination.of(settings, bucket, prefix), drawing, wait if with_score else None, as_json
        )


def scenario_options(
    *,
    count: int,
    rate: float,
    seed: int,
    catalogue_size: int,
    mix: str | None,
    faults: str | None,
    burst: float,
    shots: str,
    photos: Path | None,
    backgrounds: Path | None,
    run: str | None,
) -> ScenarioOptions:
    """The command line as options.

    Raises:
        ConfigurationError: a value is not what it should be.
    """
    floors: tuple[str, ...] = ()
    if backgrounds is not None:
        floors = tuple(str(path) for path in sorted(backgrounds.rglob("*")) if path.suffix.lower() in SUFFIXES)
        if not floors:
            raise ConfigurationError(f"--backgrounds {backgrounds}: no photo in it")
    try:
        return ScenarioOptions.model_validate(
            {
                "count": count,
                "rate": rate,
                "seed": seed,
                "catalogue_size": catalogue_size,
                "mix": weights("--mix", mix) if mix else dict(DEFAULT_MIX),
                "faults": dict(DEFAULT_FAULTS) if faults == "all" else weights("--faults", faults) if faults else {},
                "burst": burst,
                "shots": weights("--shots", shots),
                "folder": photos,
                "backgrounds": floors,
                "run": run or f"sim-{datetime.now(UTC):%Y%m%dT%H%M%S}",
            }
        )
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(f"no such scenario: {lines}") from None


def weights(option: str, text: str) -> dict[str, float]:
    """``a=1,b=2`` as a dictionary.

    Raises:
        ConfigurationError: it is not of that form.
    """
    parsed = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        try:
            parsed[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigurationError(f"{option}: {part.strip()!r} is not name=number")
    return parsed


def described(scenario: Scenario) -> str:
    """What a scenario holds, in a few words."""
    counts: dict[str, int] = {}
    for line in scenario.truths:
        counts[line.kind.value] = counts.get(line.kind.value, 0) + 1
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    seconds = scenario.arrivals[-1].due_s if scenario.arrivals else 0.0
    return f"{len(scenario.catalogue)} articles; {len(scenario.arrivals)} events over {seconds:.0f} s: {kinds}"


def _into_folder(folder: Path, scenario: Scenario, processes: int) -> None:
    total = len(catalogue_files(scenario)) + len(arrival_files(scenario))
    with unusable_photos_reported():
        for _ in shown("drawing", total, write_scenario(folder, scenario, processes)):
            pass
    typer.echo(f"{described(scenario)}\nwritten to {folder}")


def _catalogue_into(folder: Path, scenario: Scenario, processes: int) -> None:
    files = catalogue_files(scenario)
    with unusable_photos_reported():
        for _ in shown("drawing the catalogue", len(files), write_files(folder, files, processes)):
            pass
    listing = write_attributes(folder, scenario)
    typer.echo(f"{len(scenario.catalogue)} articles in {folder}; load them with `intake catalogue load {listing or folder}`")


def _built(options: ScenarioOptions) -> Scenario:
    try:
        return build_scenario(options)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _send_and_score(
    settings: Settings, scenario: Scenario, place: Destination, processes: int, wait_s: float | None, as_json: bool
) -> None:
    found = send_scenario(settings, scenario, place, processes, wait_s)
    typer.echo(f"{described(scenario)}\nsent", err=True)
    if found is not None:
        _show_score(score(scenario.truths, found), as_json=as_json)


def _score_only(truth: Path | None, outcomes: Path | None, wait_s: float, *, as_json: bool) -> None:
    if truth is None:
        raise ConfigurationError("--score-only needs --truth FILE, as `intake simulate --truth FILE` wrote it")
    try:
        truths = read_truth(truth)
        if outcomes is not None:
            found = list(read_outcomes(outcomes))
        else:
            with OutcomeReader(load_settings(), from_beginning=True) as reader:
                found = collect_outcomes(reader, truths, wait_s)
    except (ValueError, OSError) as error:
        raise ConfigurationError(str(error)) from error
    _show_score(score(truths, found), as_json=as_json)


def _show_score(report: ScoreReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console = Console()
        console.print(score_table(report))
        misses = misses_table(report)
        if misses is not None:
            console.print(misses)
        console.print(
            f"{report.arrivals} arrivals: {report.lost} without an outcome, {report.contradicted} with several; "
            f"{report.strangers} outcomes of other runs"
        )
    if not report.complete:
        raise typer.Exit(1)
