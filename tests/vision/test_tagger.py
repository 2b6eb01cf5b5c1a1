from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.vision.conftest import embedder_file, row_of, save
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.adding import add_row_file
from worker.vision.load import load_models, load_tagger
from worker.vision.registry import Registry
from worker.vision.rows import HeadSpec, InputSpec, ModelRow, OutputSpec
from worker.vision.store import ModelStore, file_sha256
from worker.vision.taggers import OnnxTagger

HEADS = (
    HeadSpec(name="colour", labels=("red", "green", "blue")),
    HeadSpec(name="tone", labels=("warm", "cold"), attribute="category", sure=0.9),
)


def tagger_file(path: Path, *, normalised: bool = True) -> Path:
    """A graph from an image (floats, 0..1) to softmax of its channel means times 50, and a half for each of two tones."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 32, 32])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Constant", [], ["factor"], value=helper.make_tensor("f", TensorProto.FLOAT, [], [50.0])),
        helper.make_node("Mul", ["means", "factor"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["colours"], axis=1)
        if normalised
        else helper.make_node("Identity", ["logits"], ["colours"]),
        helper.make_node("Constant", [], ["none"], value=helper.make_tensor("z", TensorProto.FLOAT, [1, 2], [0.0, 0.0])),
        helper.make_node("Constant", [], ["starts"], value=helper.make_tensor("s", TensorProto.INT64, [1], [0])),
        helper.make_node("Constant", [], ["ends"], value=helper.make_tensor("e", TensorProto.INT64, [1], [2])),
        helper.make_node("Constant", [], ["axes"], value=helper.make_tensor("a", TensorProto.INT64, [1], [1])),
        helper.make_node("Slice", ["colours", "starts", "ends", "axes"], ["two"]),
        helper.make_node("Mul", ["two", "none"], ["zeros"]),
        helper.make_node("Softmax", ["zeros"], ["tones"], axis=1),
        helper.make_node("Concat", ["colours", "tones"], ["probabilities"], axis=1),
    ]
    return save(nodes, [image], helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 5]), path)


def tagger_row(path: Path, **more: Any) -> ModelRow:
    """The row of the file above."""
    return ModelRow.model_validate(
        {
            "id": path.stem,
            "task": "tag",
            "source": f"file:{path}",
            "sha256": file_sha256(path),
            "size": path.stat().st_size,
            "licence": "CC0-1.0",
            "input": InputSpec(image="image", height=32, width=32, resize="letterbox"),
            "output": OutputSpec(name="probabilities", dimension=5),
            "heads": HEADS,
        }
        | more
    )


def loaded(row: ModelRow, settings: VisionSettings) -> OnnxTagger:
    """The row's tagger."""
    tagger = load_tagger(row, ModelStore(settings, Registry(settings).user_dir), settings)
    assert isinstance(tagger, OnnxTagger)
    return tagger


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 40) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((height, width, 3), colour, np.uint8)


def test_a_tagger_gives_probabilities_of_every_head_in_the_order_of_the_photos(tmp_path: Path, vision: VisionSettings) -> None:
    tagger = loaded(tagger_row(tagger_file(tmp_path / "toy.onnx")), vision)
    found = tagger.tag([plain((200, 0, 0)), plain((0, 0, 90)), plain((0, 150, 0), height=64, width=64)])
    assert found.dtype == np.float32
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found[:, :3].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found[:, 3:], 0.5)
    assert found[:, :3].argmax(1).tolist() == [0, 2, 1]


def test_a_tagger_pads_a_photo_of_another_shape_with_white(tmp_path: Path, vision: VisionSettings) -> None:
    tagger = loaded(tagger_row(tagger_file(tmp_path / "toy.onnx")), vision)
    square, wide = tagger.tag([plain((255, 230, 230)), plain((255, 230, 230), height=20, width=40)])
    assert wide[0] < square[0]


def test_no_photos_give_no_rows(tmp_path: Path, vision: VisionSettings) -> None:
    assert loaded(tagger_row(tagger_file(tmp_path / "toy.onnx")), vision).tag([]).shape == (0, 5)


def test_numbers_that_are_no_probabilities_are_refused(tmp_path: Path, vision: VisionSettings) -> None:
    tagger = loaded(tagger_row(tagger_file(tmp_path / "raw.onnx", normalised=False)), vision)
    with pytest.raises(ModelError, match="no probabilities"):
        tagger.tag([plain((200, 0, 0))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": ()}, "needs heads"),
        ({"output": OutputSpec(name="probabilities", dimension=4)}, "number of their labels"),
        ({"input": InputSpec(image="image", mask="mask", height=32, width=32)}, "takes no mask"),
        ({"kind": "grabcut"}, "not a tagger"),
    ],
)
def test_a_row_of_a_tagger_must_be_complete(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tagger_row(tagger_file(tmp_path / "toy.onnx"), **change)


def test_only_taggers_have_heads(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only a tagger"):
        row_of(embedder_file(tmp_path / "means.onnx"), heads=HEADS)


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": ("a", "a")},
        {"labels": ("a",)},
        {"labels": ("a", "b"), "values": ("x",)},
        {"labels": ("a", "b"), "words": {"c": ("d",)}},
        {"labels": ("a", "b"), "sure": 0},
    ],
)
def test_a_head_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        HeadSpec.model_validate({"name": "head", **fields})


def test_words_may_mean_values_as_well_as_labels() -> None:
    head = HeadSpec(name="h", labels=("Men Shirts", "Women Shirts"), values=("Men", "Women"), words={"gents": ("Men",)})
    assert head.words == {"gents": ("Men",)}


def test_a_row_file_of_a_tagger_can_be_added_and_named_in_the_settings(tmp_path: Path, vision: VisionSettings) -> None:
    row = tagger_row(tagger_file(tmp_path / "toy.onnx"))
    file = tmp_path / "row.json"
    file.write_text(row.model_dump_json(exclude_none=True), encoding="utf-8")
    added = add_row_file(file, vision)
    assert added.heads == HEADS
    assert Registry(vision).row("toy", "tag").heads == HEADS
    with pytest.raises(ModelError, match="no model for embed"):
        Registry(vision).row("toy", "embed")


def test_a_graph_that_does_not_fit_its_row_is_not_added(tmp_path: Path, vision: VisionSettings) -> None:
    path = tagger_file(tmp_path / "toy.onnx")
    model = onnx.load(str(path))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, str(path))
    six = (*HEADS, HeadSpec(name="more", labels=("a", "b")))
    row = tagger_row(path, heads=six, output=OutputSpec(name="probabilities", dimension=7))
    file = tmp_path / "row.json"
    file.write_text(row.model_dump_json(exclude_none=True), encoding="utf-8")
    with pytest.raises(ModelError, match="a tagger of its row gives"):
        add_row_file(file, vision)


def test_a_worker_loads_a_tagger_only_where_one_is_set(tmp_path: Path, vision: VisionSettings) -> None:
    embedder = row_of(embedder_file(tmp_path / "means.onnx"))
    tagger = tagger_row(tagger_file(tmp_path / "toy.onnx"))
    for row in (embedder, tagger):
        file = tmp_path / f"{row.id}.json"
        file.write_text(row.model_dump_json(exclude_none=True), encoding="utf-8")
        add_row_file(file, vision)
    chosen = vision.model_copy(update={"segmenter": "none", "embedder": "means"})
    without = load_models(chosen)
    assert without.tagger is None
    with_one = load_models(chosen.model_copy(update={"tagger": "toy"}))
    assert with_one.tagger is not None
    assert with_one.tagger.model_id == "toy"
    assert with_one.fingerprint == without.fingerprint, "a tagger changes no vector"


def test_a_tagger_that_is_in_no_registry_stops_the_worker_with_its_name(vision: VisionSettings) -> None:
    chosen = vision.model_copy(update={"segmenter": "none", "tagger": "nowhere"})
    with pytest.raises(ModelError, match="nowhere"):
        load_models(chosen)


def test_there_is_a_default_tagger_or_a_message_that_there_is_none(vision: VisionSettings) -> None:
    registry = Registry(vision)
    if any(row.task == "tag" and row.default for row in registry.rows):
        assert registry.row("default", "tag").task == "tag"
    else:
        with pytest.raises(ModelError, match="no default model for tag"):
            registry.row("default", "tag")
