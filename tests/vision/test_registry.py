from __future__ import annotations

from pathlib import Path

import pytest

from tests.vision.conftest import embedder_file, row_of
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.registry import Registry, load_part, package_dir, registry_dir
from worker.vision.rows import ModelRow
from worker.vision.store import file_sha256


def add_row(vision: VisionSettings, row: ModelRow, name: str | None = None) -> Path:
    folder = registry_dir(vision) / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or row.id}.json"
    path.write_text(row.model_dump_json(exclude_none=True))
    return path


def test_there_is_one_default_for_each_task(vision: VisionSettings) -> None:
    registry = Registry(vision)
    for task in ("segment", "embed"):
        assert [row.id for row in registry.rows if row.default and row.task == task] == [registry.row("default", task).id]


def test_built_in_segmenters_are_u2netp_grabcut_and_none(vision: VisionSettings) -> None:
    ids = {row.id for row in Registry(vision).rows if row.task == "segment"}
    assert {"u2netp", "grabcut", "none"} <= ids


def test_every_built_in_row_with_a_file_names_licence_notice_opset_and_card(vision: VisionSettings) -> None:
    rows = [row for row in Registry(vision).rows if row.kind == "onnx"]
    assert rows
    for row in rows:
        assert row.licence != "unknown"
        assert row.notice
        assert row.card
        assert row.opset


def test_files_in_the_package_are_small_and_are_what_their_rows_say(vision: VisionSettings) -> None:
    rows = [row for row in Registry(vision).rows if row.source and row.source.startswith("package:")]
    assert rows
    for row in rows:
        path = package_dir() / "models" / (row.source or "").removeprefix("package:")
        assert path.stat().st_size == row.size
        assert path.stat().st_size < 20_000_000
        assert file_sha256(path) == row.sha256


def test_no_file_in_the_package_is_without_a_row(vision: VisionSettings) -> None:
    named = {row.source for row in Registry(vision).rows}
    assert {f"package:{path.name}" for path in (package_dir() / "models").glob("*.onnx")} <= named


def test_an_unknown_model_is_named_with_those_there_are(vision: VisionSettings) -> None:
    with pytest.raises(
        ModelError, match=r"'nope' is in no registry; there are: garment-light, grabcut, none, tiramisu56, u2netp, u2netp-224"
    ):
        Registry(vision).row("nope", "segment")


def test_a_model_for_another_task_is_refused(vision: VisionSettings) -> None:
    with pytest.raises(ModelError, match="'u2netp' is no model for embed"):
        Registry(vision).row("u2netp", "embed")


def test_rows_of_the_user_are_read_as_json_and_toml(vision: VisionSettings, embedder_row: ModelRow) -> None:
    add_row(vision, embedder_row)
    (registry_dir(vision) / "rows" / "plain.toml").write_text('id = "plain"\ntask = "segment"\nkind = "none"\nlicence = "MIT"\n')
    registry = Registry(vision)
    assert registry.row("means", "embed") == embedder_row
    assert registry.is_own("means")
    assert registry.is_own("plain")
    assert not registry.is_own("u2netp")


def test_a_user_cannot_change_what_a_built_in_id_means(vision: VisionSettings, tmp_path: Path) -> None:
    add_row(vision, row_of(embedder_file(tmp_path / "u2netp.onnx")))
    with pytest.raises(ModelError, match="there already is a model u2netp"):
        Registry(vision)


def test_a_user_cannot_take_over_the_default(vision: VisionSettings, embedder_row: ModelRow) -> None:
    add_row(vision, embedder_row.model_copy(update={"default": True, "id": "aaa"}))
    assert Registry(vision).row("default", "embed").id != "aaa"


def test_a_wrong_row_file_is_refused_with_its_path_and_field(vision: VisionSettings, embedder_row: ModelRow) -> None:
    path = add_row(vision, embedder_row)
    path.write_text(path.read_text().replace('"embed"', '"embedd"'))
    with pytest.raises(ModelError, match=rf"{path}.*task"):
        Registry(vision)


@pytest.mark.parametrize(("name", "content"), [("a.toml", b"id = "), ("a.json", b"{"), ("a.json", b"\xff\xfe\x00")])
def test_a_file_that_is_neither_toml_nor_json_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        load_part(tmp_path / name, ModelRow)


def test_half_written_files_are_left_alone(vision: VisionSettings, embedder_row: ModelRow) -> None:
    add_row(vision, embedder_row)
    (registry_dir(vision) / "rows" / ".x.json").write_text("{")
    (registry_dir(vision) / "rows" / "notes.txt").write_text("mine")
    assert Registry(vision).is_own("means")


def test_a_pair_nobody_measured_gets_a_cautious_guess(vision: VisionSettings) -> None:
    pair = Registry(vision).calibration("none", "lite0-gem-lab")
    assert not pair.calibrated
    assert pair.duplicate_threshold >= 0.9


def test_the_users_measurement_of_a_pair_wins(vision: VisionSettings) -> None:
    folder = registry_dir(vision) / "pairs"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        'segmenter = "u2netp"\nembedder = "lite0-gem-lab"\nmeasured = 2026-11-01\nduplicate_threshold = 0.91\n'
        'review_threshold = 0.81\ncurve = {kind = "logistic", slope = 20.0, intercept = -16.0}\n'
    )
    pair = Registry(vision).calibration("u2netp", "lite0-gem-lab")
    assert pair.calibrated
    assert pair.duplicate_threshold == pytest.approx(0.91)


def test_xdg_folders_are_used_unless_settings_name_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert registry_dir(VisionSettings()) == tmp_path / "intake" / "registry"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert registry_dir(VisionSettings()) == Path.home() / ".local/share/intake/registry"
