from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from tests.vision.conftest import embedder_file, row_of, segmenter_file
from worker.errors import ModelError
from worker.vision.graph import opset_of, prepare, read_graph
from worker.vision.rows import InputSpec, ModelRow

Array = npt.NDArray[Any]


def run(graph: bytes, feed: dict[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, feed)
    return outputs


def test_a_graph_of_one_fixed_size_runs_in_batches_at_another_size(tmp_path: Path) -> None:
    path = segmenter_file(tmp_path / "red.onnx")
    row = row_of(path, "segment", input=InputSpec(image="image", height=48, width=64))
    batch = np.random.default_rng(1).random((3, 3, 48, 64), np.float32)
    outputs = run(prepare(path, row, half=False), {"image": batch})
    assert len(outputs) == 1, "outputs that nobody reads are cut off"
    np.testing.assert_array_equal(outputs[0], batch[:, :1])


def test_an_output_that_is_not_there_is_named(segmenter_row: ModelRow, tmp_path: Path) -> None:
    row = segmenter_row.model_copy(update={"output": segmenter_row.output.model_copy(update={"name": "mask"})})  # type: ignore[union-attr]
    with pytest.raises(ModelError, match="no output 'mask'; it has: red, green"):
        prepare(tmp_path / "red.onnx", row, half=False)


def test_inputs_that_are_not_those_of_the_row_are_named(tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "masked.onnx", masked=True)
    with pytest.raises(ModelError, match=r"inputs are \['image', 'mask'\], the row names \['image'\]"):
        prepare(path, row_of(path), half=False)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="no ONNX model"):
        read_graph(tmp_path / "x.onnx")


def test_the_opset_is_read(tmp_path: Path) -> None:
    assert opset_of(read_graph(embedder_file(tmp_path / "a.onnx"))) == 17


def weighted_file(path: Path) -> Path:
    """Two products: nodes named /small/... and /large/..., the latter beyond what half precision holds."""
    helper = onnx.helper
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], name="/small/mean", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weight"], ["small"], name="/small/product"),
        helper.make_node("Mul", ["small", "huge"], ["large"], name="/large/product"),
        helper.make_node("Div", ["large", "huge"], ["vector"], name="/large/back"),
    ]
    weight = onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), "weight")
    huge = onnx.numpy_helper.from_array(np.array([1e6], np.float32), "huge")
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 3, 32, 32])
    output = helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "weighted", [image], [output], [weight, huge])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def test_half_precision_keeps_inputs_outputs_and_the_nodes_a_row_names(tmp_path: Path) -> None:
    path = weighted_file(tmp_path / "weighted.onnx")
    batch = np.random.default_rng(2).random((2, 3, 32, 32), np.float32)
    exact = run(prepare(path, row_of(path), half=False), {"image": batch})[0]
    kept = run(prepare(path, row_of(path, fp16_keep=["/large/"]), half=True), {"image": batch})[0]
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, exact, atol=2e-3)
    assert not np.array_equal(kept, exact), "it did run in half precision"
    assert large_weight(prepare(path, row_of(path, fp16_keep=["/large/"]), half=True)) == (np.float32, 1e6)
    element, value = large_weight(prepare(path, row_of(path), half=True))
    assert element == np.float16, "what is not named is converted"
    assert value < 1e6, "and half precision cannot hold it"


def large_weight(graph: bytes) -> tuple[object, float]:
    """Type and value of the weight `huge` of `weighted_file`."""
    model = onnx.load_model_from_string(graph)
    array = onnx.numpy_helper.to_array(next(weight for weight in model.graph.initializer if weight.name == "huge"))
    return array.dtype.type, float(array[0])


def test_a_row_that_does_not_bear_half_precision_says_so(tmp_path: Path) -> None:
    path = weighted_file(tmp_path / "weighted.onnx")
    with pytest.raises(ModelError, match="unset INTAKE_VISION__FP16"):
        prepare(path, row_of(path, fp16=False), half=True)
