"""Take a user's own model into the registry: look into the graph, run it once, write the row."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from pydantic import ValidationError

from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.graph import opset_of, read_graph
from worker.vision.registry import ROWS, Registry, load_part
from worker.vision.rows import ModelRow, Task
from worker.vision.session import OnnxSession
from worker.vision.store import ModelStore, file_sha256

FILES = "files"  # folder of the registry with the users' model files
DEFAULT_SIDE = 224  # where a graph leaves its input size open
# What most published models were trained with (ImageNet's channel means and deviations).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FLOAT, UINT8 = 1, 2  # onnx.TensorProto's numbers


def add_row_file(path: Path, settings: VisionSettings) -> ModelRow:
    """Take in a row file (TOML or JSON). A relative ``file:`` source is relative to the row file; its model file is copied in.

    Raises:
        ModelError: it is no valid row, its id is taken, or its model does not run.
    """
    row = load_part(path, ModelRow)
    if row.source is not None and row.source.startswith("file:"):
        file = Path(row.source.removeprefix("file:")).expanduser()
        return _add(row, file if file.is_absolute() else path.parent / file, settings)
    return _add(row, None, settings)


def add_model_file(
    path: Path,
    settings: VisionSettings,
    *,
    task: Task | None = None,
    model_id: str | None = None,
    changes: dict[str, Any] | None = None,
) -> ModelRow:
    """Take in an ONNX file: its row is made from its graph.

    Args:
        path: the file; it is copied into the registry.
        settings: where the registry is, and where the model is tried out.
        task: guessed from the output's shape if not given: (batch, n) embeds, (batch, ..., h, w) segments.
        model_id: the file's name if not given.
        changes: fields of the row, or of its `input` and `output`, that win over what the graph suggests.

    Raises:
        ModelError: the graph is not one that takes a photo, or the row that comes of it does not run.
    """
    model = read_graph(path)
    described = describe(model, task)
    described |= {
        "id": model_id or path.stem.lower().replace(" ", "-"),
        "source": f"file:{path}",
        "sha256": file_sha256(path),
        "size": path.stat().st_size,
        "licence": "unknown",
    }
    for name, value in (changes or {}).items():
        described[name] = {**described[name], **value} if isinstance(value, dict) else value
    try:
        row = ModelRow.model_validate(described)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise ModelError(f"{path} does not make a row: {'; '.join(lines)}; write a row file and add that") from error
    return _add(row, path, settings)


def describe(model: onnx.ModelProto, task: Task | None) -> dict[str, Any]:
    """What a graph says of itself, as fields of a row: inputs, output, opset; normalisation is assumed to be ImageNet's."""
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    images = [value for value in inputs if len(value.type.tensor_type.shape.dim) == 4]
    masks = [value for value in inputs if len(value.type.tensor_type.shape.dim) == 3]
    if len(images) != 1 or len(images) + len(masks) != len(inputs) or len(masks) > 1:
        names = ", ".join(f"{value.name}{_shape(value)}" for value in inputs)
        raise ModelError(
            f"a model takes one image (4 dimensions) and at most one mask (3); this graph takes {names or 'nothing'}"
        )
    element = images[0].type.tensor_type.elem_type
    if element not in {FLOAT, UINT8}:
        raise ModelError(f"input {images[0].name!r} is neither float32 nor uint8; export the model with such an input")
    shape = _shape(images[0])
    layout = "nhwc" if shape[3] == 3 and shape[1] != 3 else "nchw"
    height, width = shape[1:3] if layout == "nhwc" else shape[2:4]
    spec: dict[str, Any] = {
        "image": images[0].name,
        "height": height or DEFAULT_SIDE,
        "width": width or DEFAULT_SIDE,
        "layout": layout,
    }
    spec |= {"dtype": "uint8", "range": "byte"} if element == UINT8 else {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    if masks:
        spec["mask"] = masks[0].name
    output = model.graph.output[0]
    task = task or ("embed" if len(_shape(output)) == 2 else "segment")
    described: dict[str, Any] = {"task": task, "opset": opset_of(model), "input": spec, "output": {"name": output.name}}
    if task == "embed":
        described["output"]["dimension"] = _shape(output)[-1] or None
    return described


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes of the dimensions; 0 where open."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def _add(row: ModelRow, file: Path | None, settings: VisionSettings) -> ModelRow:
    registry = Registry(settings)
    if row.id in {known.id for known in registry.rows}:
        raise ModelError(f"there already is a model {row.id}; give it another id (--id)")
    if row.default:
        raise ModelError(
            "a row of one's own is no default: name it in INTAKE_VISION__SEGMENTER, INTAKE_VISION__EMBEDDER or INTAKE_VISION__TAGGER"
        )
    rows = registry.user_dir / ROWS
    rows.mkdir(parents=True, exist_ok=True)
    if file is not None and row.sha256 is not None:
        if not file.is_file() or file_sha256(file) != row.sha256:
            raise ModelError(f"{file} is not the file with sha256 {row.sha256} that its row means")
        target = registry.user_dir / FILES / f"{row.sha256}.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        _atomically(target, lambda part: shutil.copyfile(file, part))
        # Relative to the registry: the folder can be mounted elsewhere.
        row = row.model_copy(update={"source": f"file:{FILES}/{target.name}"})
    if row.kind == "onnx":
        session = OnnxSession(ModelStore(settings, registry.user_dir).ensure(row), row, settings)
        check_output(row, session)
    content = row.model_dump_json(indent=2, exclude_none=True) + "\n"
    _atomically(rows / f"{row.id}.json", lambda part: part.write_text(content, encoding="utf-8"))
    return row


def check_output(row: ModelRow, session: OnnxSession) -> None:
    """Run the model once and compare what comes out with what its row says; raises `ModelError`."""
    output = session.run(session.blank(1))
    if row.task in {"embed", "tag"}:
        wanted = (1, row.output.dimension if row.output else None)
        if output.shape != wanted:
            what = "an embedder" if row.task == "embed" else "a tagger"
            raise ModelError(f"model {row.id} gives {output.shape}, {what} of its row gives {wanted}")
    elif output.ndim not in {3, 4}:
        raise ModelError(f"model {row.id} gives {output.shape}; a segmenter gives (batch, channels, h, w) or (batch, h, w)")


def _atomically(target: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        part.chmod(0o644)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
