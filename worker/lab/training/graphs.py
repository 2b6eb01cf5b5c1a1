"""A trained network as an ONNX file, and its variants: weights stored as halves, half precision, eight bits."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from worker.errors import ModelError
from worker.lab.export_lite0 import store_weights_as_half
from worker.lab.training.recipe import Exportable
from worker.settings.vision import VisionSettings
from worker.vision.graph import BATCH, prepare
from worker.vision.rows import ModelRow
from worker.vision.session import Feed, OnnxSession

OPSET = 17  # the first with everything torch needs here that every ONNX Runtime >= 1.20 runs on CPU, CUDA and TensorRT
TOLERANCE = 1e-4  # of any number of the output, as a share of the largest where that is above 1 (a segmenter's planes)
BATCHES = (1, 2, 5)  # sizes at which the graph is checked: one, the one it was traced with, another
# What a CPU multiplies in eight bits; everything between (pooling, normalising, histograms) stays as it is.
QUANTIZED = ("Conv", "Gemm", "MatMul")


def write_graph(exportable: Exportable, path: Path) -> None:
    """Write the network in float32 with a free batch.

    Raises:
        ModelError: its inputs are not those its row names, or torch cannot write it.
    """
    names = [exportable.input.image, *([exportable.input.mask] if exportable.input.mask else [])]
    if sorted(names) != sorted(exportable.inputs):
        raise ModelError(f"the recipe gives examples of the inputs {sorted(exportable.inputs)}, its row names {sorted(names)}")
    output = exportable.output.name
    try:
        torch.onnx.export(
            exportable.module.eval(),
            tuple(exportable.inputs[name][:2] for name in names),
            str(path),
            input_names=names,
            output_names=[output],
            dynamic_axes={name: {0: BATCH} for name in (*names, output)},
            opset_version=OPSET,
            dynamo=False,  # names nodes by module, which is how a row says what stays in full precision
        )
    except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"torch cannot write the network as ONNX: {error}") from error


def batch_of(inputs: Mapping[str, torch.Tensor], size: int) -> dict[str, torch.Tensor]:
    """A batch of any size from the recipe's examples: beyond their number they come again, upside down."""
    count = len(next(iter(inputs.values())))
    parts = {}
    for name, tensor in inputs.items():
        # The rows of the picture: of (batch, 3, h, w) the last but one, of (batch, h, w[, 3]) the second.
        axis = 1 if tensor.ndim == 3 or tensor.shape[-1] == 3 else 2
        parts[name] = torch.stack(
            [tensor[number % count] if number < count else tensor[number % count].flip(axis - 1) for number in range(size)]
        )
    return parts


def check_graph(exportable: Exportable, path: Path, row: ModelRow, settings: VisionSettings) -> float:
    """Run torch and the file, as the worker runs it, on the same photos.

    Returns:
        the largest difference, as `TOLERANCE` means it.

    Raises:
        ModelError: it is above `TOLERANCE`, or the shapes differ.
    """
    session = OnnxSession(path, row, settings)
    worst = 0.0
    for size in BATCHES:
        batch = batch_of(exportable.inputs, size)
        with torch.inference_mode():
            wanted = exportable.module(*(batch[name] for name in ordered(exportable))).float().numpy()
        found = session.run({name: tensor.numpy() for name, tensor in batch.items()})
        if found.shape != wanted.shape:
            raise ModelError(f"at batch {size} the exported graph gives {found.shape}, torch {wanted.shape}")
        difference = float(np.abs(wanted - found).max()) / max(1.0, float(np.abs(wanted).max()))
        if not difference <= TOLERANCE:  # a NaN is no success
            raise ModelError(f"at batch {size} the exported graph differs from torch by {difference:.1e}, above {TOLERANCE}")
        worst = max(worst, difference)
    return worst


def ordered(exportable: Exportable) -> list[str]:
    """Names of the inputs in the order the network takes them: image, then mask."""
    return [exportable.input.image, *([exportable.input.mask] if exportable.input.mask else [])]


def write_stored_as_half(base: Path, path: Path) -> None:
    """`base` with its large weights kept as float16: half the file, the same arithmetic."""
    path.write_bytes(base.read_bytes())
    store_weights_as_half(path)


def write_half(base: Path, path: Path, row: ModelRow) -> None:
    """`base` with weights and arithmetic in float16, but for the nodes the row keeps; inputs and outputs stay as they are."""
    path.write_bytes(prepare(base, row, half=True))


def write_int8(base: Path, path: Path, keep: Sequence[str], photos: Sequence[Feed]) -> None:
    """`base` with the weights and activations of its multiplications in eight bits (static, QDQ, a scale for each channel).

    Args:
        base: float32.
        path: to write.
        keep: prefixes of names of nodes that stay as they are.
        photos: inputs the ranges of activations are learned from.

    Raises:
        ModelError: nothing of it can be quantised.
    """
    graph = onnx.load(str(base)).graph
    chosen = [node.name for node in graph.node if node.op_type in QUANTIZED and not node.name.startswith(tuple(keep) or ("\0",))]
    if not chosen or not photos:
        raise ModelError("int8 needs a network with convolutions or matrix products, and photos to learn their ranges from")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns that graphs should be pre-processed: the exporter has folded what that would
    try:
        quantize_static(
            str(base),
            str(path),
            _Photos(photos),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the graph cannot be quantised: {error}") from error
    finally:
        root.setLevel(level)
    store_weights_as_half(path)


class _Photos(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, photos: Sequence[Feed]) -> None:
        self._rest = iter(photos)

    def get_next(self) -> Feed | None:
        return next(self._rest, None)
