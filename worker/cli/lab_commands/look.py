"""`intake lab look`: what a method sees, as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

AUTO = "auto"


def command(
    *,
    manifest: ManifestOption,
    method: Annotated[str, typer.Option("--method", help="SEGMENTER+DESCRIPTOR[+REDUCTION][:DISTANCE], or default.")] = "default",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets pictures and index.html.", file_okay=False)],
    projection: Annotated[str, typer.Option(help="tsne, umap (needs umap-learn) or both.")] = "tsne",
    clusters: Annotated[
        str, typer.Option(help="How many clusters of the catalogue; auto: the largest silhouette decides.")
    ] = AUTO,
    sheets: Annotated[int, typer.Option(min=0, help="Rows of each nearest-neighbour sheet.")] = 12,
    fit: FitOption = None,
    attributes: AttributesOption = None,
    weights: WeightsOption = None,
    no_cache: NoCacheOption = False,
) -> None:
    """Maps with thumbnails, clusters of the catalogue, and sheets of what was found: PNG files, and one page that holds them."""
    from worker.lab.embed import embed_manifest  # noqa: PLC0415
    from worker.lab.looking.look import LookOptions, describe, look  # noqa: PLC0415
    from worker.lab.looking.projection import projections  # noqa: PLC0415
    from worker.lab.manifest import read_manifest  # noqa: PLC0415
    from worker.lab.method import parse_method  # noqa: PLC0415

    options = LookOptions(projections(projection), _count(clusters), sheets)
    parsed, named = read_manifest(manifest), parse_method(method)
    learned = fit_options(fit, attributes)
    with open_lab(weights, no_cache=no_cache, manifests=(parsed, learned.manifest)) as (workbench, bench):
        loaded = workbench.load(named)
        say_random(loaded.method.text, loaded.descriptor.card.weights)
        with progress_bar() as starter:
            embedded = embed_manifest(parsed, loaded, bench, learned, starter)
            files = look(embedded, manifest.name, output, bench, options, starter)
    report_unread(embedded)
    typer.echo(describe(files))


def _count(text: str) -> int | None:
    if text == AUTO:
        return None
    if not text.isdecimal() or int(text) < 2:
        raise typer.BadParameter(f"{text!r} is neither {AUTO} nor a whole number from 2", param_hint="--clusters")
    return int(text)
