"""`intake lab tag`: what photos show, as a tagger of the registry says; or how often it is right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console

if TYPE_CHECKING:
    from worker.settings import Settings
    from worker.vision.types import Tagger


def command(
    *,
    model: Annotated[
        str | None, typer.Option("--model", help="Registry id of a tagger; none: the one the settings name.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option("--manifest", "-m", help="Manifest that names photos.", dir_okay=False)] = None,
    photos: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="A photo, a folder of photos, or s3://; several times.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV; none: standard output.", dir_okay=False)] = None,
    segmenter: Annotated[
        str, typer.Option(help="How garments are cut out; default: as the worker does; none: not at all.")
    ] = "default",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Cut garments out anew and keep nothing.")] = False,
    score: Annotated[
        Path | None,
        typer.Option(
            "--score", help="Configuration the tagger was trained with: judge it on the labelled photos.", dir_okay=False
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="Of --score: train, validation or test.")] = "test",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Of --score: PART.NAME=VALUE over the configuration, as recipe.data=DIR.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Of --score: file that gets every figure.", dir_okay=False)
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Of --score: file that gets the report.", dir_okay=False)
    ] = None,
) -> None:
    """Say what photos show, with probabilities; or (--score) judge a tagger: top 1, 3, 5, F1, confusions, precision and recall."""
    from worker.errors import ConfigurationError  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    wanted = model or settings.vision.tagger
    if wanted is None:
        raise ConfigurationError(
            "no tagger is named: give --model (`intake models list` shows them) or set INTAKE_VISION__TAGGER"
        )
    if score is None and not manifest and not photos:
        raise typer.BadParameter("give --manifest or --input, or --score", param_hint="--input")
    tagger = _load(wanted, settings)
    if score is not None:
        _score(tagger, score, part, changes or [], json_file, html_file)
        return
    _tag(tagger, manifest, photos or [], output, segmenter, no_cache=no_cache)


def _load(model: str, settings: Settings) -> Tagger:
    from worker.lab.models import one_at_a_time  # noqa: PLC0415
    from worker.vision.load import load_tagger  # noqa: PLC0415
    from worker.vision.registry import Registry  # noqa: PLC0415
    from worker.vision.store import ModelStore  # noqa: PLC0415

    vision = one_at_a_time(settings.vision)
    registry = Registry(vision)
    return load_tagger(registry.row(model, "tag"), ModelStore(vision, registry.user_dir), vision)


def _tag(
    tagger: Tagger, manifest: Path | None, photos: list[str], output: Path | None, segmenter: str, *, no_cache: bool
) -> None:
    from worker.cli.lab_parts import open_lab, progress_bar  # noqa: PLC0415
    from worker.lab.files import writing  # noqa: PLC0415
    from worker.lab.manifest import read_manifest  # noqa: PLC0415
    from worker.lab.method import parse_method  # noqa: PLC0415
    from worker.lab.tagging.photos import photo_files, tag_photos, write_csv  # noqa: PLC0415

    locations = photo_files(photos) if photos else []
    read = read_manifest(manifest) if manifest is not None else None
    if read is not None:
        locations += read.locations
    with open_lab(None, no_cache=no_cache, manifests=(read,)) as (workbench, bench), progress_bar() as starter:
        loaded = workbench.load(parse_method(f"{segmenter}+default"))
        tagged = tag_photos(locations, tagger, bench, loaded, starter(tagger.model_id, len(dict.fromkeys(locations))))
    if output is None:
        write_csv(tagged, tagger.heads, sys.stdout)
    else:
        with writing(output) as part, part.open("w", encoding="utf-8", newline="") as file:
            write_csv(tagged, tagger.heads, file)
    unread = [photo for photo in tagged if photo.fault]
    for photo in unread:
        typer.echo(f"{photo.location}: {photo.fault}", err=True)
    typer.echo(f"{output or 'standard output'}: {len(tagged)} photos, {len(unread)} not readable ({tagger.model_id})", err=True)


def _score(tagger: Tagger, source: Path, part: str, changes: list[str], json_file: Path | None, html_file: Path | None) -> None:
    from worker.cli.lab_parts import progress_bar  # noqa: PLC0415
    from worker.lab.tagging.config import read_tagger_config  # noqa: PLC0415
    from worker.lab.tagging.data import MIN_IMAGES, PartName, read_labelled  # noqa: PLC0415
    from worker.lab.tagging.report import tables, write_json, write_page  # noqa: PLC0415
    from worker.lab.tagging.score import score_tagger  # noqa: PLC0415

    chosen: PartName | None = next((name for name in get_args(PartName) if name == part), None)
    if chosen is None:
        raise typer.BadParameter(f"one of {', '.join(get_args(PartName))}", param_hint="--part")
    config = read_tagger_config(source, changes)
    data = read_labelled(config, source.parent)
    limits = [config.min_images, *([MIN_IMAGES] if config.min_images < MIN_IMAGES else [])]
    with progress_bar() as starter:
        tell = starter(tagger.model_id, len(data.of_part(chosen)))
        scored = score_tagger(tagger, data, chosen, limits, config.reference_name, tell)
    if json_file is not None:
        write_json(scored, json_file)
    if html_file is not None:
        write_page(scored, html_file)
    console = Console(width=None if sys.stdout.isatty() else 170)
    for table in tables(scored):
        console.print(table)
