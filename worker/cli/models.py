"""`intake models`: which models there are, fetching and checking them, and adding one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from worker.errors import ModelError
from worker.settings import load_settings
from worker.vision.adding import add_model_file, add_row_file, check_output
from worker.vision.registry import SUFFIXES, Registry
from worker.vision.rows import ModelRow, Task
from worker.vision.session import OnnxSession
from worker.vision.store import ModelStore

app = typer.Typer(no_args_is_help=True, help="The model registry: list, fetch, check, add.")
TASKS = ("segment", "embed")


@app.command("list")
def list_models() -> None:
    """Every model of the registry, and whether its file is there."""
    vision = load_settings().vision
    registry = Registry(vision)
    store = ModelStore(vision, registry.user_dir)
    table = Table("id", "task", "file", "MB", "input", "vector", "licence", "from")
    for row in registry.rows:
        size = f"{row.size / 1e6:.1f}" if row.size else ""
        side = f"{row.input.width} x {row.input.height}" if row.input else "any"
        vector = str(row.output.dimension or "") if row.output else ""
        mark = " (default)" if row.default else ""
        table.add_row(row.id + mark, row.task, store.state(row), size, side, vector, row.licence, row.source or "code")
    Console().print(table)
    chosen = (registry.row(vision.segmenter, "segment").id, registry.row(vision.embedder, "embed").id)
    pair = registry.calibration(*chosen)
    about = f"measured {pair.measured}" if pair.calibrated else "a guess: nobody measured this pair"
    typer.echo(
        f"in use: {chosen[0]} + {chosen[1]}; duplicate from {pair.duplicate_threshold:.3f}, "
        f"review from {pair.review_threshold:.3f} ({about})"
    )


@app.command()
def pull(
    ids: Annotated[list[str] | None, typer.Argument(help="Registry ids; none: the models the settings name.")] = None,
) -> None:
    """Fetch models into the cache and check their hashes."""
    vision = load_settings().vision
    registry = Registry(vision)
    store = ModelStore(vision, registry.user_dir)
    chosen = _chosen(registry, ids, vision.segmenter, vision.embedder)
    if vision.tagger is not None and not ids:
        chosen.append(registry.row(vision.tagger, "tag"))
    for row in chosen:
        if row.kind == "onnx":
            typer.echo(f"{row.id}: {store.ensure(row)}")
        else:
            typer.echo(f"{row.id}: built in")


@app.command()
def verify(ids: Annotated[list[str] | None, typer.Argument(help="Registry ids; none: all whose file is there.")] = None) -> None:
    """Check hashes, load the models where the settings say, and run each once. Fetches nothing."""
    vision = load_settings().vision
    registry = Registry(vision)
    store = ModelStore(vision.model_copy(update={"offline": True}), registry.user_dir)
    rows = [registry.get(name) for name in ids] if ids else list(registry.rows)
    failed = []
    for row in rows:
        if row.kind != "onnx" or (not ids and store.state(row) == "absent"):
            typer.echo(f"{row.id}: {store.state(row)}")
            continue
        try:
            session = OnnxSession(store.ensure(row), row, vision)
            check_output(row, session)
        except ModelError as error:
            failed.append(row.id)
            typer.echo(f"{row.id}: FAILED: {error}")
        else:
            typer.echo(f"{row.id}: hash and output are right, runs on {session.providers[0]}")
    if failed:
        raise ModelError(f"not usable: {', '.join(failed)}; `intake models pull {' '.join(failed)}` fetches them again")


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="An ONNX file, or a row file (.toml, .json).", exists=True, dir_okay=False)],
    task: Annotated[str | None, typer.Option(help="segment or embed; guessed from the graph if not given.")] = None,
    model_id: Annotated[str | None, typer.Option("--id", help="Registry id; the file's name if not given.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX expression.")] = None,
    side: Annotated[int | None, typer.Option(help="Input height and width, where the graph leaves them open.")] = None,
    value_range: Annotated[str | None, typer.Option("--range", help="unit (0..1), byte (0..255) or photo-max.")] = None,
    mean: Annotated[str | None, typer.Option(help="Three numbers r,g,b; ImageNet's if not given.")] = None,
    std: Annotated[str | None, typer.Option(help="Three numbers r,g,b; ImageNet's if not given.")] = None,
    activation: Annotated[str | None, typer.Option(help="Of a segmenter's output: none, sigmoid or softmax.")] = None,
    channels: Annotated[str | None, typer.Option(help="Channels of a segmenter's output that are garment, as in 1,2.")] = None,
) -> None:
    """Add a model of one's own: looks into the graph, checks that it runs, copies it into the registry and writes its row."""
    vision = load_settings().vision
    if file.suffix in SUFFIXES:
        row = add_row_file(file, vision)
    else:
        if task is not None and task not in TASKS:
            raise typer.BadParameter(f"one of {', '.join(TASKS)}", param_hint="--task")
        inputs: dict[str, Any] = {
            "range": value_range, "height": side, "width": side, "mean": _numbers(mean), "std": _numbers(std)
        }  # fmt: skip
        outputs: dict[str, Any] = {"activation": activation, "channels": _numbers(channels)}
        changes: dict[str, Any] = {"input": _given(inputs), "output": _given(outputs), **_given({"licence": licence})}
        row = add_model_file(file, vision, task=cast("Task | None", task), model_id=model_id, changes=changes)
    variable = {"segment": "SEGMENTER", "embed": "EMBEDDER", "tag": "TAGGER"}[row.task]
    typer.echo(f"added {row.id} ({row.task}); use it with INTAKE_VISION__{variable}={row.id}")


def _chosen(registry: Registry, ids: list[str] | None, segmenter: str, embedder: str) -> list[ModelRow]:
    if ids:
        return [registry.get(name) for name in ids]
    return [registry.row(segmenter, "segment"), registry.row(embedder, "embed")]


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a list of numbers") from error


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
