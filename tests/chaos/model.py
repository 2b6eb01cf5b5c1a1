"""A very small embedder, so that thousands of arrivals go through two cores in minutes: the faults do not concern the models.

Photos are patterns of coloured squares. The graph leaves the white margin of the crop out, averages cells and subtracts grey: photos of
one pattern are closer than 0.97, photos of two patterns are never closer than 0.6 (the components are independent, of mean zero).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from worker.settings.vision import VisionSettings
from worker.vision.adding import add_row_file
from worker.vision.rows import InputSpec, ModelRow, OutputSpec
from worker.vision.store import file_sha256

MODEL_ID = "chaos-squares"
SIDE = 64
MARGIN = 8  # of the crop's white border
CELL = 6
CELLS = (SIDE - 2 * MARGIN) // CELL
DIMENSION = 3 * CELLS * CELLS
# Far from both kinds of pairs.
DUPLICATE, REVIEW = 0.9, 0.75


def _graph() -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", DIMENSION])
    constants = {"from": [MARGIN, MARGIN], "to": [SIDE - MARGIN, SIDE - MARGIN], "axes": [2, 3]}
    weights = [helper.make_tensor(name, TensorProto.INT64, [2], values) for name, values in constants.items()]
    nodes = [
        helper.make_node("Slice", ["image", *constants], ["middle"]),
        helper.make_node("AveragePool", ["middle"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Flatten", ["cells"], ["vector"]),
    ]
    graph = helper.make_graph(nodes, "squares", [image], [vector], initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def register(folder: Path) -> dict[str, str]:
    """Put the model into a registry in `folder`; the settings of a worker that runs it."""
    file = folder / "squares.onnx"
    onnx.save(_graph(), str(file))
    row = ModelRow(
        id=MODEL_ID,
        task="embed",
        source=f"file:{file}",
        sha256=file_sha256(file),
        size=file.stat().st_size,
        licence="Apache-2.0",
        opset=17,
        input=InputSpec(image="image", height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        output=OutputSpec(name="vector", dimension=DIMENSION),
    )
    description = folder / "squares.json"
    description.write_text(row.model_dump_json(exclude_none=True))
    registry = folder / "registry"
    add_row_file(description, VisionSettings(registry_dir=registry, cache_dir=folder / "cache", threads=1))
    return {
        "INTAKE_VISION__SEGMENTER": "none",
        "INTAKE_VISION__EMBEDDER": MODEL_ID,
        "INTAKE_VISION__REGISTRY_DIR": str(registry),
        "INTAKE_VISION__CACHE_DIR": str(folder / "cache"),
        "INTAKE_VISION__THREADS": "1",
        "INTAKE_MATCHING__DUPLICATE_THRESHOLD": str(DUPLICATE),
        "INTAKE_MATCHING__REVIEW_THRESHOLD": str(REVIEW),
        # Decoding in processes has its own tests; here a worker's life lasts seconds.
        "INTAKE_IMAGING__ISOLATION": "none",
        "INTAKE_IMAGING__TARGET_SIDE": "64",
    }
