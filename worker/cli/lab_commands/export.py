"""`intake lab export`: a trained checkpoint to a model of the registry."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class CheckpointChoice(StrEnum):
    """Which weights."""

    BEST = "best"
    LAST = "last"


def command(
    *,
    run: Annotated[Path, typer.Argument(help="Folder that `intake lab train` wrote.", metavar="RUN", file_okay=False)],
    model_id: Annotated[str, typer.Option("--id", help="Id of the new model; variants get -fp16 and -int8 after it.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder that gets models/ and rows/; none: your registry.", file_okay=False),
    ] = None,
    checkpoint: Annotated[
        CheckpointChoice, typer.Option(help="The best by the held-out score, or the last.")
    ] = CheckpointChoice.BEST,
    fp16: Annotated[bool, typer.Option("--fp16", help="A variant in half precision, too (for GPUs).")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="A variant in eight bits, too; needs --calibrate.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Manifest or folder of photos: int8 learns from half of them, what variants lose is measured on the others."
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over models of this id in the folder.")] = False,
    default: Annotated[bool, typer.Option("--default", help="Mark it as the default (this package's own models).")] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="PART.NAME=VALUE over the run's configuration, as where its photos are now.")
    ] = None,
) -> None:
    """Write a trained model as ONNX, check it against torch, measure its variants, and make registry rows of them."""
    from worker.lab.training.catalogue import missing_part  # noqa: PLC0415
    from worker.lab.training.config import parse_overrides  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415

    try:
        from worker.lab.training.export import ExportOptions, export_run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_part(error) from error
    options = ExportOptions(
        model_id=model_id,
        output=output,
        checkpoint=checkpoint.value,
        half=fp16,
        int8=int8,
        calibrate=calibrate,
        replace=replace,
        default=default,
        overrides=parse_overrides(changes or ()),
    )
    rows = export_run(run, options, load_settings(), typer.echo)
    task = {"segment": "SEGMENTER", "embed": "EMBEDDER", "tag": "TAGGER"}[rows[0].task]
    typer.echo(f"use it: INTAKE_VISION__{task}={rows[0].id}")
