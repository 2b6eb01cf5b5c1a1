"""From a checkpoint to a model that the worker runs: the same numbers, the card, the variants and what they lose."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.conftest import PhotoWriter
from tests.lab.training.conftest import ConfigWriter
from worker.errors import ConfigurationError, ModelError
from worker.settings import Settings, load_settings
from worker.vision.registry import Registry
from worker.vision.session import OnnxSession
from worker.vision.store import ModelStore

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.lab


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("INTAKE_IMAGING__ISOLATION", "none")
    monkeypatch.setenv("INTAKE_VISION__SEGMENTER", "none")
    loaded = load_settings()
    return loaded.model_copy(
        update={"vision": loaded.vision.model_copy(update={"max_batch": 4, "batch_buckets": (1, 4), "threads": 1})}
    )


@pytest.fixture
def trained(tmp_path: Path, toy_config: ConfigWriter) -> Any:
    from worker.lab.training.run import train

    def run(task: str = "embed", **recipe: Any) -> Path:
        from worker.lab.training.config import read_config

        config = toy_config(
            run={"epochs": 2, "batch": 8, "optimizer": {"lr": 0.01}}, recipe={"task": task, "batches": 4, **recipe}
        )
        train(read_config(config), config, tmp_path / "run", lambda *_: None)
        return tmp_path / "run"

    return run


def exported(run: Path, folder: Path, settings: Settings, **options: Any) -> tuple[list[Any], list[str]]:
    from worker.lab.training.export import ExportOptions, export_run

    said: list[str] = []
    return export_run(run, ExportOptions(model_id="toy", output=folder, **options), settings, said.append), said


def session_of(name: str, task: Any, folder: Path, settings: Settings) -> tuple[Any, OnnxSession]:
    vision = settings.vision.model_copy(update={"registry_dir": folder})
    row = Registry(vision).row(name, task)
    return row, OnnxSession(ModelStore(vision, folder).ensure(row), row, vision)


@pytest.mark.parametrize("task", ["embed", "segment"])
def test_what_is_exported_runs_as_the_worker_runs_it_and_gives_torch_s_numbers(
    tmp_path: Path, trained: Any, settings: Settings, task: str
) -> None:
    from worker.lab.training.export import read_run
    from worker.lab.training.graphs import batch_of, ordered

    run = trained(task)
    [row], _ = exported(run, tmp_path / "registry", settings)
    found_row, session = session_of("toy", task, tmp_path / "registry", settings)
    assert found_row == row
    assert row.cpu_max_batch == (4 if task == "embed" else 16)
    exportable, _ = read_run(run, "best", {})
    trained_weights = torch.load(run / "best.pt", weights_only=True)["model"]
    assert all(torch.equal(value, trained_weights[f"net.{name}"]) for name, value in exportable.module.state_dict().items())
    for size in (1, 5):
        batch = batch_of(exportable.inputs, size)
        with torch.inference_mode():
            wanted = exportable.module(*(batch[name] for name in ordered(exportable))).numpy()
        found = session.run({name: tensor.numpy() for name, tensor in batch.items()})
        assert found.shape == wanted.shape
        # The weights are stored as halves: this close, and not closer.
        assert np.abs(found - wanted).max() < (1e-3 if task == "embed" else 1e-2)


def test_the_float32_graph_is_within_the_tolerance_and_a_graph_that_is_not_is_refused(
    tmp_path: Path, trained: Any, settings: Settings
) -> None:
    import onnx

    from worker.lab.training.export import read_run
    from worker.lab.training.graphs import TOLERANCE, check_graph, write_graph
    from worker.vision.rows import ModelRow
    from worker.vision.store import file_sha256

    exportable, _ = read_run(trained(), "best", {})
    path = tmp_path / "base.onnx"
    write_graph(exportable, path)

    def row() -> ModelRow:
        return ModelRow(
            id="toy", task="embed", source="file:x", sha256=file_sha256(path), size=1, licence="CC0-1.0", input=exportable.input,
            output=exportable.output,
        )  # fmt: skip

    assert 0 <= check_graph(exportable, path, row(), settings.vision) <= TOLERANCE
    model = onnx.load(str(path))
    assert model.opset_import[0].version == 17
    weight = next(each for each in model.graph.initializer if each.name.endswith("head.bias"))
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) + np.float32(0.5), weight.name))
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match="differs from torch"):
        check_graph(exportable, path, row(), settings.vision)


def test_the_card_says_recipe_figures_licence_and_how_it_was_made(tmp_path: Path, trained: Any, settings: Settings) -> None:
    run = trained()
    [row], said = exported(run, tmp_path / "registry", settings)
    figures = torch.load(run / "best.pt", weights_only=True)["figures"]
    assert row.licence == "CC0-1.0"
    assert row.notice.startswith("Nobody")
    assert row.fp16_keep == ("/head/",)
    assert row.opset == 17
    for text in (
        "Boxes of four colours",
        f"score {figures['score']:.4g}",
        "intake lab train toy.toml",
        "intake lab export run --id toy",
    ):
        assert text in row.card
    assert re.search(r"differs from torch by at most \d\.\de-\d\d", row.card)
    assert re.search(r"[\d.]+ MB, [\d.]+ ms a photo on 1 CPU threads", row.card)
    assert str(tmp_path) not in row.card
    assert said[0].startswith("toy: ")


def test_weights_that_halves_cannot_hold_stay_in_float32_and_the_card_says_so(
    tmp_path: Path, trained: Any, settings: Settings
) -> None:
    import onnx

    [row], _ = exported(trained(coarse=True), tmp_path / "coarse", settings)
    assert "stored in float32" in row.card
    types = {weight.data_type for weight in onnx.load(str(tmp_path / "coarse" / "models" / "toy.onnx")).graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in types


def test_weights_that_halves_can_hold_are_stored_so_and_the_card_says_so(
    tmp_path: Path, trained: Any, settings: Settings
) -> None:
    import onnx

    [row], _ = exported(trained(), tmp_path / "registry", settings)
    assert re.search(r"stored as halves .*cosine to float32 (1\.0|0\.9999)", row.card)
    types = {weight.data_type for weight in onnx.load(str(tmp_path / "registry" / "models" / "toy.onnx")).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types


@pytest.mark.parametrize("task", ["embed", "segment"])
def test_variants_are_rows_of_their_own_that_run_and_say_what_they_lose(
    tmp_path: Path, trained: Any, settings: Settings, write_photo: PhotoWriter, task: str
) -> None:
    import onnx

    for number in range(12):
        write_photo(tmp_path / "photos" / f"{number}.png", number, 64)
    folder = tmp_path / "registry"
    rows, said = exported(trained(task), folder, settings, half=True, int8=True, calibrate=tmp_path / "photos")
    assert [row.id for row in rows] == ["toy", "toy-fp16", "toy-int8"]
    assert len(said) == 3
    measure = "cosine" if task == "embed" else "mask IoU"
    for row in rows[1:]:
        match = re.search(rf"{measure} to float32 ([\d.]+) on average, ([\d.]+) at worst, over 6 photos", row.card)
        assert match is not None
        assert 0.5 < float(match[2]) <= float(match[1]) <= 1.0
        assert re.search(r"[\d.]+ MB, [\d.]+ ms a photo", row.card)
        _, session = session_of(row.id, task, folder, settings)
        assert session.run(session.blank(5)).shape[0] == 5
    kinds = {node.op_type for node in onnx.load(str(folder / "models" / "toy-int8.onnx")).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    if task == "embed":  # what the recipe keeps is not quantised
        nodes = onnx.load(str(folder / "models" / "toy-int8.onnx")).graph.node
        [head] = [node for node in nodes if node.name.startswith("/head/") and node.op_type in {"Gemm", "MatMul"}]
        made = {name: node.op_type for node in nodes for name in node.output}
        assert made[head.input[0]] != "DequantizeLinear"


def test_a_manifest_tells_how_much_a_variant_finds_less(
    tmp_path: Path, trained: Any, settings: Settings, write_photo: PhotoWriter
) -> None:
    lines = ["path,item_id,role,kind"]
    for number in range(4):
        for role, side in (("catalogue", 64), ("query", 72)):
            write_photo(tmp_path / f"{role}{number}.png", number, side)
            lines.append(f"{role}{number}.png,article{number},{role},phone")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows, _ = exported(trained(), tmp_path / "registry", settings, int8=True, calibrate=manifest)
    assert re.search(r"Finds [\d.]+% of 4 queries of manifest\.csv first\.", rows[0].card)
    assert re.search(r"Finds [\d.]+% of 4 queries of manifest\.csv first, float32 [\d.]+%\.", rows[1].card)
    stored = json.loads((tmp_path / "registry" / "rows" / "toy-int8.json").read_text(encoding="utf-8"))
    assert stored["card"] == rows[1].card


def test_an_id_that_is_taken_is_refused_unless_it_is_to_be_replaced(tmp_path: Path, trained: Any, settings: Settings) -> None:
    run, folder = trained(), tmp_path / "registry"
    exported(run, folder, settings)
    with pytest.raises(ModelError, match="already is a model toy"):
        exported(run, folder, settings)
    [row], _ = exported(run, folder, settings, replace=True)
    assert Registry(settings.vision.model_copy(update={"registry_dir": folder})).row("toy", "embed") == row


def test_the_last_checkpoint_is_exported_where_it_is_asked_for(tmp_path: Path, trained: Any, settings: Settings) -> None:
    from worker.lab.training.export import read_run

    run = trained(scores=[0.9, 0.1])
    best, best_facts = read_run(run, "best", {})
    last, last_facts = read_run(run, "last", {})
    assert (best_facts.epoch, last_facts.epoch) == (1, 2)
    averaged = torch.load(run / "last.pt", weights_only=True)["averaged"]
    assert torch.equal(last.module.state_dict()["head.weight"], averaged["net.head.weight"])
    assert not torch.equal(best.module.state_dict()["head.weight"], averaged["net.head.weight"])
    (run / "best.pt").unlink()
    with pytest.raises(ConfigurationError, match="--checkpoint last"):
        read_run(run, "best", {})


def test_what_is_no_run_is_refused(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="no folder that"):
        exported(tmp_path, tmp_path / "registry", settings)


def test_int8_without_photos_is_refused_before_anything_is_done(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="--calibrate"):
        exported(tmp_path / "absent", tmp_path / "registry", settings, int8=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="names 0 photos"):
        exported(tmp_path / "absent", tmp_path / "registry", settings, int8=True, calibrate=tmp_path / "empty")
