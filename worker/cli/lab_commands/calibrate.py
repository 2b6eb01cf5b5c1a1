"""`intake lab calibrate`: what a similarity means, measured and stored for the worker."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from worker.cli.lab_parts import (
    AttributesOption,
    FitOption,
    ManifestOption,
    NoCacheOption,
    WeightsOption,
    fit_options,
    open_lab,
    progress_bar,
    report_unread,
    say_random,
)

if TYPE_CHECKING:
    from worker.lab.calibration.measure import Calibrated


def command(
    *,
    manifest: ManifestOption,
    method: Annotated[list[str] | None, typer.Option("--method", help="As of evaluate; several times. None: default.")] = None,
    background: Annotated[
        Path | None,
        typer.Option(
            help="Manifest of photos that scores are normalised against; none: one in four of the unseen garments.",
            dir_okay=False,
        ),
    ] = None,
    wanted_duplicates: Annotated[
        float, typer.Option(help="Share of garments not in the catalogue that may be called duplicates.")
    ] = 0.01,
    wanted_reviews: Annotated[float, typer.Option(help="Share of them that may be called review or duplicate.")] = 0.3,
    known: Annotated[float, typer.Option(help="Share of arrivals that are in the catalogue: probabilities hold for it.")] = 0.5,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Kind of queries that stand for arrivals; several times. None: all.")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Most queries, drawn evenly from every kind; none: all.")] = None,
    part: Annotated[
        str,
        typer.Option(help="Styles that known queries come from: all, development, or held-out for models trained on the others."),
    ] = "all",
    style: Annotated[str, typer.Option(help="hyphen: item ids are STYLE-COLOUR; article: they tell no style.")] = "hyphen",
    write: Annotated[bool, typer.Option("--write/--no-write", help="Store the result for the worker.")] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder that gets the pair's file; none: the registry's own.", file_okay=False),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File that gets every figure.", dir_okay=False)] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="File that gets the report.", dir_okay=False)] = None,
    fit: FitOption = None,
    attributes: AttributesOption = None,
    weights: WeightsOption = None,
    no_cache: NoCacheOption = False,
) -> None:
    """Turn similarity into probability, find thresholds for wanted error rates, check them on a part kept aside, store them."""
    from worker.lab.calibration.measure import calibrate_methods  # noqa: PLC0415
    from worker.lab.calibration.plan import CalibrateOptions  # noqa: PLC0415
    from worker.lab.manifest import read_manifest  # noqa: PLC0415
    from worker.lab.method import parse_methods  # noqa: PLC0415
    from worker.lab.report.calibration_data import sentences, tables, write_json  # noqa: PLC0415
    from worker.lab.report.calibration_page import write_page  # noqa: PLC0415

    parsed, named = read_manifest(manifest), parse_methods(method or ["default"])
    against = read_manifest(background) if background is not None else None
    options = CalibrateOptions(wanted_duplicates, wanted_reviews, known, tuple(kind or ()), queries, part, style)
    learned = fit_options(fit, attributes)
    manifests = (parsed, against, learned.manifest)
    with open_lab(weights, no_cache=no_cache, manifests=manifests) as (workbench, bench), progress_bar() as starter:
        calibrated = calibrate_methods(parsed, against, named, workbench, bench, learned, options, starter)
    report_unread(calibrated[0].embedded)
    results = [item.result for item in calibrated]
    if json_file is not None:
        write_json(results, manifest, json_file)
    if html_file is not None:
        write_page(results, manifest, html_file)
    console = Console(width=None if sys.stdout.isatty() else 160)
    for item in calibrated:
        say_random(item.result.method, item.embedded.loaded.descriptor.card.weights)
        for table in tables(item.result):
            console.print(table)
        for sentence in sentences(item.result):
            console.print(sentence, highlight=False, markup=False)
        if write:
            _store(item, manifest, output)


def _store(item: Calibrated, manifest: Path, output: Path | None) -> None:
    from worker.lab.calibration.pair_file import described, pair_of, write_pair  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415
    from worker.vision.registry import PAIRS, Registry, registry_dir  # noqa: PLC0415

    result = item.result
    if not item.registered:
        typer.echo(
            f"{result.method}: nothing is stored; the worker runs models of the registry (`intake models add`), unreduced, by cosine",
            err=True,
        )
        return
    vision = load_settings().vision
    before = Registry(vision).calibration(result.segmenter, result.descriptor)
    was = f"duplicate {before.duplicate_threshold:g}, review {before.review_threshold:g}" if before.calibrated else "a guess"
    pair = pair_of(result, described(result, manifest), datetime.now(UTC).date())
    path = write_pair(pair, output or registry_dir(vision) / PAIRS)
    typer.echo(f"{path}: duplicate from {pair.duplicate_threshold:g}, review from {pair.review_threshold:g} (before: {was})")
