"""`intake lab segment`: where the garments are, as pictures of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.lab_parts import progress_bar


def command(
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Segmenter of the registry.")] = "default",
    source: Annotated[Path, typer.Option("--input", "-i", help="Folder with photos.", file_okay=False, exists=True)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets the labels.", file_okay=False)],
    overlays: Annotated[bool, typer.Option("--overlays", help="The photo with its labels in colour beside each label.")] = False,
) -> None:
    """Write one label PNG a photo, its values class numbers (0 and 255 for models without classes), of the photo's own size.

    Photos that cannot be read are named, and the command ends with code 1.
    """
    from worker.lab.cache import LabCache  # noqa: PLC0415
    from worker.lab.embedding import open_bench  # noqa: PLC0415
    from worker.lab.models import one_at_a_time  # noqa: PLC0415
    from worker.lab.segmenting import legend, open_segmenter, segment_folder  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    segmenter = open_segmenter(model, one_at_a_time(settings.vision))
    with open_bench(settings, LabCache(None)) as bench, progress_bar() as starter:
        done = segment_folder(segmenter, bench, source, output, overlays=overlays, starter=starter)
    for name, why in done.refused.items():
        typer.echo(f"{name}: {why}", err=True)
    typer.echo(f"{len(done.written)} pictures in {output} by {segmenter.model_id} ({legend(segmenter)})")
    if done.refused:
        typer.echo(f"{len(done.refused)} photos could not be read", err=True)
        raise typer.Exit(1)
