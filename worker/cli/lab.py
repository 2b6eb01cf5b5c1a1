"""`intake lab`: every method of the papers on one's own photos, measured side by side."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from worker.cli.lab_commands import mount
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
    unread_count,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


app = typer.Typer(no_args_is_help=True, help="The lab: embed, compare and judge methods on photos a manifest names.")


@app.command()
def embed(
    *,
    manifest: ManifestOption,
    method: Annotated[str, typer.Option("--method", help="SEGMENTER+DESCRIPTOR[+REDUCTION][:DISTANCE], or default.")] = "default",
    output: Annotated[Path, typer.Option("--output", "-o", help=".npy that gets the vectors.", dir_okay=False)],
    fit: FitOption = None,
    attributes: AttributesOption = None,
    weights: WeightsOption = None,
    no_cache: NoCacheOption = False,
) -> None:
    """Vectors of a manifest's photos: float32, one row a line, in order; NaN where a photo cannot be read (reported on stderr)."""
    from worker.lab.embed import embed_manifest, save_vectors  # noqa: PLC0415
    from worker.lab.manifest import read_manifest  # noqa: PLC0415
    from worker.lab.method import parse_method  # noqa: PLC0415

    parsed, named = read_manifest(manifest), parse_method(method)
    options = fit_options(fit, attributes)
    with open_lab(weights, no_cache=no_cache, manifests=(parsed, options.manifest)) as (workbench, bench):
        loaded = workbench.load(named)
        say_random(loaded.method.text, loaded.descriptor.card.weights)
        with progress_bar() as starter:
            embedded = embed_manifest(parsed, loaded, bench, options, starter)
    save_vectors(embedded.vectors, output)
    report_unread(embedded)
    unread = unread_count(embedded)
    typer.echo(f"{output}: {len(embedded.vectors)} x {embedded.dimension} float32, {unread} not readable ({loaded.method.text})")


@app.command()
def evaluate(
    *,
    manifest: ManifestOption,
    method: Annotated[list[str] | None, typer.Option("--method", help="As of embed; several times. None: default.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File that gets every figure.", dir_okay=False)] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="File that gets the report.", dir_okay=False)] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="File that gets the table for a README.", dir_okay=False)
    ] = None,
    methods_file: Annotated[
        Path | None,
        typer.Option("--methods-file", help="File of further methods, one a line; # begins a comment.", dir_okay=False),
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Measure each method's memory, in a process of its own (Linux; seconds each).")
    ] = False,
    threshold: Annotated[
        list[str] | None,
        typer.Option("--threshold", help="METHOD=SIMILARITY from which it is a duplicate; without: the calibrated one, if any."),
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=0, help="Hits and misses shown of each method and kind (of the best eight methods).")
    ] = 5,
    fit: FitOption = None,
    attributes: AttributesOption = None,
    weights: WeightsOption = None,
    no_cache: NoCacheOption = False,
) -> None:
    """Search every query in the catalogue by each method; what is found, what it costs, and what it looks like."""
    from worker.lab.comparing import compare  # noqa: PLC0415
    from worker.lab.manifest import read_manifest  # noqa: PLC0415
    from worker.lab.method import parse_methods, read_methods  # noqa: PLC0415
    from worker.lab.report.data import tables, write_json  # noqa: PLC0415
    from worker.lab.report.markdown import write_markdown  # noqa: PLC0415
    from worker.lab.report.page import write_page  # noqa: PLC0415

    texts = [*(method or ()), *(read_methods(methods_file) if methods_file is not None else ())]
    parsed, named = read_manifest(manifest), parse_methods(texts or ["default"])
    thresholds = _thresholds(threshold or (), [item.text for item in named])
    options = fit_options(fit, attributes)
    with open_lab(weights, no_cache=no_cache, manifests=(parsed, options.manifest)) as (workbench, bench):
        with progress_bar() as starter:
            evaluated = compare(parsed, named, workbench, bench, options, thresholds, starter, memory=memory)
        for item in evaluated:
            say_random(item.result.method, item.result.weights)
        report_unread(evaluated[0].embedded)
        results = [item.result for item in evaluated]
        if json_file is not None:
            write_json(results, manifest, json_file)
        if markdown_file is not None:
            write_markdown(results, markdown_file)
        if html_file is not None:
            write_page(evaluated, manifest, html_file, bench.shown, pictures)
    console = Console(width=None if sys.stdout.isatty() else 160)
    for table in tables(results):
        console.print(table)


@app.command("manifest")
def make_manifest(
    reader: Annotated[str, typer.Argument(help="Name of a reader; `intake lab readers` lists them.")],
    folder: Annotated[Path, typer.Argument(help="The data set, unpacked as its authors lay it out.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write.", dir_okay=False)],
    split: Annotated[str | None, typer.Option(help="Official split; none: the reader's first.")] = None,
) -> None:
    """Write the manifest of a data set."""
    from worker.lab.manifest import relative, write_manifest  # noqa: PLC0415
    from worker.lab.readers import read_dataset  # noqa: PLC0415

    lines = [
        replace(line, path=line.path if line.path.startswith("s3://") else relative(Path(line.path), output.parent))
        for line in read_dataset(reader, folder, split)
    ]
    write_manifest(output, lines)
    catalogue = [line for line in lines if line.role == "catalogue"]
    articles = len({line.item_id for line in catalogue})
    typer.echo(f"{output}: {len(catalogue)} catalogue photos of {articles} articles, {len(lines) - len(catalogue)} queries")


@app.command()
def readers() -> None:
    """The data sets that `manifest` reads, and their splits."""
    from worker.lab.readers import READERS  # noqa: PLC0415

    table = Table(Column("reader", no_wrap=True), "splits", "what")
    for row in READERS:
        table.add_row(row.name, ", ".join(row.splits), row.what)
    Console().print(table)


@app.command("bench-data")
def bench_data(
    *,
    datasets: Annotated[Path, typer.Option(help="Folder with luma/, venia/ and clothing/.", envvar="INTAKE_DATASETS")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets photos and manifest.csv.", file_okay=False)],
    part: Annotated[str, typer.Option(help="all, or the styles that are for development or held-out.")] = "all",
    styles: Annotated[int | None, typer.Option(min=1, help="Styles of each shop; none: all.")] = None,
    unseen: Annotated[int, typer.Option(min=0, help="Real phone photos of garments that are not in the catalogue.")] = 700,
    queries: Annotated[
        str, typer.Option(help="all, or the part of the styles that queries come from; the catalogue stays whole.")
    ] = "all",
) -> None:
    """Photos and manifest of the table "method x data set": real other views, simulated phone shots, unseen garments."""
    from worker.lab.bench_data import BenchOptions, make_bench_data  # noqa: PLC0415

    with progress_bar() as starter:
        count = make_bench_data(datasets, output, BenchOptions(part, styles, unseen, queries), starter)
    typer.echo(f"{output / 'manifest.csv'}: {count} photos")


@app.command()
def methods() -> None:
    """What a method can be made of: segmenters, descriptors, reductions, distances."""
    from worker.lab.descriptors.table import listed  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415
    from worker.vision.registry import Registry  # noqa: PLC0415

    registry = Registry(load_settings().vision)
    table = Table("part", Column("name", no_wrap=True), "numbers", "distance", "needs", "what")
    for row in registry.rows:
        if row.task == "segment":
            table.add_row("segmenter", row.id, "", "", "", "default" if row.default else "")
    for row in registry.rows:
        if row.task == "embed":
            size = str(row.output.dimension or "") if row.output else ""
            table.add_row("descriptor", row.id, size, "cosine", "", "registry" + (", default" if row.default else ""))
    for item in listed():
        table.add_row("descriptor", item.name, str(item.dimension), item.distance, item.needs, item.source)
    for name, what in (("pca99", "99 % of the variance"), ("pca128d", "128 numbers"), ("svm", "attribute scores (--attributes)")):
        table.add_row("reduction", name, "", "", "scikit-learn" if name == "svm" else "", what)
    for name in ("cosine", "l1", "l2"):
        table.add_row("distance", name, "", "", "", "")
    Console().print(table)


def _thresholds(texts: Sequence[str], named: Sequence[str]) -> dict[str, float]:
    chosen = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        try:
            chosen[name] = float(value)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r} is not METHOD=NUMBER", param_hint="--threshold") from error
        if not sign or name not in named:
            raise typer.BadParameter(f"{name!r} is none of the methods: {', '.join(named)}", param_hint="--threshold")
    return chosen


mount(app)
