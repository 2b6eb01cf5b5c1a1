from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vision.conftest import SIDE, embedder_file, row_of, segmenter_file
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.adding import add_model_file, add_row_file
from worker.vision.load import load_models
from worker.vision.registry import Registry, registry_dir
from worker.vision.store import ModelStore, file_sha256


def test_an_embedder_is_described_by_its_graph(vision: VisionSettings, tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "Mine.onnx")
    row = add_model_file(path, vision)
    assert (row.id, row.task, row.opset, row.licence) == ("mine", "embed", 17, "unknown")
    assert row.input is not None
    assert row.output is not None
    assert (row.input.image, row.input.height, row.input.width, row.input.layout) == ("image", SIDE, SIDE, "nchw")
    assert row.output.dimension == 3
    assert row.sha256 == file_sha256(path)
    assert Registry(vision).row("mine", "embed") == row


def test_a_segmenter_is_described_by_its_graph(vision: VisionSettings, tmp_path: Path) -> None:
    row = add_model_file(segmenter_file(tmp_path / "red.onnx"), vision, changes={"output": {"activation": "sigmoid"}})
    assert row.task == "segment"
    assert row.output is not None
    assert (row.output.name, row.output.activation) == ("red", "sigmoid")


def test_a_model_with_a_mask_is_described_with_it(vision: VisionSettings, tmp_path: Path) -> None:
    row = add_model_file(embedder_file(tmp_path / "masked.onnx", masked=True), vision)
    assert row.input is not None
    assert row.input.mask == "mask"


def test_an_added_pair_is_what_the_worker_runs_even_when_the_original_is_gone(vision: VisionSettings, tmp_path: Path) -> None:
    for path in (embedder_file(tmp_path / "e.onnx"), segmenter_file(tmp_path / "s.onnx")):
        add_model_file(path, vision)
        path.unlink()
    models = load_models(vision.model_copy(update={"segmenter": "s", "embedder": "e"}))
    assert (models.segmenter_id, models.embedder_id, models.crop_side) == ("s", "e", SIDE)
    assert not models.calibration.calibrated


def test_the_registry_can_be_mounted_elsewhere(vision: VisionSettings, tmp_path: Path) -> None:
    row = add_model_file(embedder_file(tmp_path / "e.onnx"), vision)
    registry_dir(vision).rename(tmp_path / "moved")
    moved = vision.model_copy(update={"registry_dir": tmp_path / "moved"})
    registry = Registry(moved)
    assert ModelStore(moved, registry.user_dir).state(registry.get(row.id)) == "present"


def test_what_the_caller_knows_wins_over_the_graph(vision: VisionSettings, tmp_path: Path) -> None:
    changes = {"licence": "MIT", "input": {"range": "byte", "mean": (1, 2, 3), "std": (4, 5, 6)}}
    row = add_model_file(embedder_file(tmp_path / "e.onnx"), vision, model_id="other", changes=changes)
    assert row.input is not None
    assert (row.id, row.licence, row.input.range, row.input.std) == ("other", "MIT", "byte", (4, 5, 6))


def test_an_id_is_given_once(vision: VisionSettings, tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "e.onnx")
    add_model_file(path, vision)
    with pytest.raises(ModelError, match="already is a model e"):
        add_model_file(path, vision)
    with pytest.raises(ModelError, match="already is a model u2netp"):
        add_model_file(path, vision, model_id="u2netp")


def test_a_file_that_is_no_model_is_not_added(vision: VisionSettings, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match="no ONNX model"):
        add_model_file(tmp_path / "x.onnx", vision)
    assert not registry_dir(vision).exists()


def test_a_model_that_does_not_give_what_its_row_says_is_not_added(vision: VisionSettings, tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "e.onnx")
    with pytest.raises(ModelError, match=r"gives \(1, 3\); a segmenter gives"):
        add_model_file(path, vision, task="segment")
    assert [row.id for row in Registry(vision).rows if row.id == "e"] == []


def test_a_name_that_makes_no_id_is_refused_with_the_field(vision: VisionSettings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="id: String should match"):
        add_model_file(embedder_file(tmp_path / "é!.onnx"), vision)


def test_a_row_file_brings_its_model_along(vision: VisionSettings, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = embedder_file(folder / "e.onnx")
    row = row_of(path, source="file:e.onnx", card="a card")
    (folder / "row.json").write_text(row.model_dump_json(exclude_none=True))
    added = add_row_file(folder / "row.json", vision)
    assert added.card == "a card"
    path.unlink()
    assert ModelStore(vision, registry_dir(vision)).state(Registry(vision).get("e")) == "present"


def test_a_row_file_whose_model_was_changed_is_refused(vision: VisionSettings, tmp_path: Path) -> None:
    row = row_of(embedder_file(tmp_path / "e.onnx"), source="file:e.onnx", sha256="0" * 64)
    (tmp_path / "row.json").write_text(row.model_dump_json(exclude_none=True))
    with pytest.raises(ModelError, match="not the file with sha256 0000"):
        add_row_file(tmp_path / "row.json", vision)


def test_a_row_of_ones_own_is_no_default(vision: VisionSettings, tmp_path: Path) -> None:
    row = row_of(embedder_file(tmp_path / "e.onnx"), source="file:e.onnx", default=True)
    (tmp_path / "row.json").write_text(row.model_dump_json(exclude_none=True))
    with pytest.raises(ModelError, match="no default"):
        add_row_file(tmp_path / "row.json", vision)


def test_a_row_without_a_file_can_be_added(vision: VisionSettings, tmp_path: Path) -> None:
    (tmp_path / "row.toml").write_text('id = "whole"\ntask = "segment"\nkind = "none"\nlicence = "MIT"\n')
    assert add_row_file(tmp_path / "row.toml", vision).id == "whole"
    written = json.loads((registry_dir(vision) / "rows" / "whole.json").read_text())
    assert written["kind"] == "none"
