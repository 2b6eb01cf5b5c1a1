"""Fit a model's graph to how it will be run: any batch, the row's input size, only the outputs that are read, half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from worker.errors import ModelError
from worker.vision.rows import InputSpec, ModelRow, OutputSpec

BATCH = "batch"


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph in a file; raises `ModelError` if it is none."""
    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError, ValueError) as error:
        raise ModelError(f"{path} is no ONNX model: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{path} is no ONNX model: it has no nodes")
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operators the graph was written in."""
    return max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)


def prepare(path: Path, row: ModelRow, *, half: bool) -> bytes:
    """The graph of a row, ready for a session.

    Its batch is free and its height and width are the row's (a graph exported at one size runs at others if its operators do:
    U²-Net's do), and outputs that nobody reads are cut off. `half`: weights and arithmetic in float16, inputs and outputs stay
    as they are; nodes the row names by prefix stay in float32.
    """
    model = read_graph(path)
    if row.input is None or row.output is None:
        raise ModelError(f"model {row.id} has no graph")
    _keep_output(model, row.id, row.output)
    _shape_inputs(model, row.id, row.input)
    if half:
        model = _to_half(model, row)
    return bytes(model.SerializeToString())


def _keep_output(model: onnx.ModelProto, model_id: str, output: OutputSpec) -> None:
    kept = [value for value in model.graph.output if value.name == output.name]
    if not kept:
        names = ", ".join(value.name for value in model.graph.output)
        raise ModelError(f"model {model_id}: the graph has no output {output.name!r}; it has: {names}")
    del model.graph.output[:]
    model.graph.output.extend(kept)
    for dimension in kept[0].type.tensor_type.shape.dim:
        dimension.Clear()  # inferred anew from the input's
    del model.graph.value_info[:]


def _shape_inputs(model: onnx.ModelProto, model_id: str, spec: InputSpec) -> None:
    shape = [3, spec.height, spec.width] if spec.layout == "nchw" else [spec.height, spec.width, 3]
    wanted = {spec.image: shape}
    if spec.mask:
        wanted[spec.mask] = [spec.height, spec.width]
    # Old exporters list the weights among the inputs too.
    weights = {weight.name for weight in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    if set(inputs) != set(wanted):
        raise ModelError(f"model {model_id}: the graph's inputs are {sorted(inputs)}, the row names {sorted(wanted)}")
    for name, sizes in wanted.items():
        dimensions = inputs[name].type.tensor_type.shape.dim
        if len(dimensions) != len(sizes) + 1:
            raise ModelError(f"model {model_id}: input {name!r} has {len(dimensions)} dimensions, the row means {len(sizes) + 1}")
        dimensions[0].Clear()
        dimensions[0].dim_param = BATCH
        for dimension, size in zip(list(dimensions)[1:], sizes, strict=True):
            dimension.Clear()
            dimension.dim_value = size


def _to_half(model: onnx.ModelProto, row: ModelRow) -> onnx.ModelProto:
    if not row.fp16:
        raise ModelError(f"model {row.id} does not keep its results in half precision: unset INTAKE_VISION__FP16")
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415  slow to import, for GPUs only

    _unpack_weights(model)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    keep = [node.name for node in model.graph.node if row.fp16_keep and node.name.startswith(row.fp16_keep)]
    converted: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True, node_block_list=keep)
    _drop_repeated_casts(converted)
    _join_kept_nodes(converted)
    return converted


def _unpack_weights(model: onnx.ModelProto) -> None:
    """Weights that are stored as halves and cast up become plain float32 ones: the converter would cast them down for kept nodes, too."""
    stored = {weight.name: weight for weight in model.graph.initializer if weight.data_type == onnx.TensorProto.FLOAT16}
    casts = [
        node
        for node in model.graph.node
        if node.op_type == "Cast" and node.input[0] in stored and _casts_to(node, onnx.TensorProto.FLOAT)
    ]
    for node in casts:
        values = onnx.numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
        model.graph.node.remove(node)
    read = {name for node in model.graph.node for name in node.input}
    for name, weight in stored.items():
        if name not in read:
            model.graph.initializer.remove(weight)


def _drop_repeated_casts(model: onnx.ModelProto) -> None:
    """The converter casts a value once for each node that reads it, under one name: one such cast is enough and valid."""
    seen: set[str] = set()
    kept = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.output[0] in seen:
            continue
        seen.update(node.output)
        kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _join_kept_nodes(model: onnx.ModelProto) -> None:
    """Undo casts down and up again between two nodes that both stay in float32: large values would not survive the way."""
    casts = {node.output[0]: node for node in model.graph.node if node.op_type == "Cast"}
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            up = casts.get(name)
            down = casts.get(up.input[0]) if up is not None and _casts_to(up, onnx.TensorProto.FLOAT) else None
            if down is not None and _casts_to(down, onnx.TensorProto.FLOAT16):
                node.input[position] = down.input[0]


def _casts_to(node: onnx.NodeProto, element: int) -> bool:
    return any(attribute.name == "to" and attribute.i == element for attribute in node.attribute)
