from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tests.vision.conftest import embedder_file, row_of
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision import store as store_module
from worker.vision.rows import ModelRow
from worker.vision.store import ModelStore, cache_dir, file_sha256

REMOTE = "https://models.invalid/means.onnx"


@pytest.fixture
def remote_row(embedder_row: ModelRow) -> ModelRow:
    return embedder_row.model_copy(update={"source": REMOTE})


def fetched_from(file: Path, calls: list[str]) -> object:
    def fetch(source: str, target: Path) -> None:
        calls.append(source)
        target.write_bytes(file.read_bytes())

    return fetch


def test_a_remote_file_is_fetched_once(
    vision: VisionSettings, remote_row: ModelRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(store_module, "fetch", fetched_from(tmp_path / "means.onnx", calls))
    store = ModelStore(vision)
    assert store.state(remote_row) == "absent"
    first = store.ensure(remote_row)
    assert store.ensure(remote_row) == first
    assert file_sha256(first) == remote_row.sha256
    assert store.state(remote_row) == "present"
    assert calls == [REMOTE]


def test_a_file_with_another_hash_is_thrown_away(
    vision: VisionSettings, remote_row: ModelRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.onnx").write_bytes(b"something else")
    monkeypatch.setattr(store_module, "fetch", fetched_from(tmp_path / "evil.onnx", []))
    with pytest.raises(ModelError, match="thrown away"):
        ModelStore(vision).ensure(remote_row)
    assert [path.name for path in cache_dir(vision).iterdir() if path.suffix != ".lock"] == []


def test_an_interrupted_download_leaves_nothing_behind(
    vision: VisionSettings, remote_row: ModelRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_source: str, target: Path) -> None:
        target.write_bytes(b"the first half")
        raise ModelError("the connection was lost")

    monkeypatch.setattr(store_module, "fetch", breaks)
    store = ModelStore(vision)
    with pytest.raises(ModelError, match="connection was lost"):
        store.ensure(remote_row)
    assert store.state(remote_row) == "absent"
    assert list(cache_dir(vision).glob(".*part")) == []


def test_a_file_damaged_in_the_cache_is_fetched_again(
    vision: VisionSettings, remote_row: ModelRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(store_module, "fetch", fetched_from(tmp_path / "means.onnx", calls))
    store = ModelStore(vision)
    path = store.ensure(remote_row)
    path.write_bytes(path.read_bytes()[:-1])
    assert store.state(remote_row) == "corrupt"
    assert file_sha256(store.ensure(remote_row)) == remote_row.sha256
    assert len(calls) == 2


def test_offline_never_fetches_and_says_what_to_do(
    vision: VisionSettings, remote_row: ModelRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(store_module, "fetch", fetched_from(Path("nowhere"), calls))
    with pytest.raises(ModelError, match=r"OFFLINE forbids fetching it: run `intake models pull means`"):
        ModelStore(vision.model_copy(update={"offline": True})).ensure(remote_row)
    assert calls == []


def test_offline_uses_what_is_cached(
    vision: VisionSettings, remote_row: ModelRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "fetch", fetched_from(tmp_path / "means.onnx", []))
    path = ModelStore(vision).ensure(remote_row)
    assert ModelStore(vision.model_copy(update={"offline": True})).ensure(remote_row) == path


def test_a_local_file_that_was_changed_is_refused(vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path) -> None:
    (tmp_path / "means.onnx").write_bytes(b"changed")
    with pytest.raises(ModelError, match="its row says"):
        ModelStore(vision).ensure(embedder_row)


def test_a_local_file_that_is_gone_is_named(vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path) -> None:
    (tmp_path / "means.onnx").unlink()
    with pytest.raises(ModelError, match=r"means\.onnx is not there"):
        ModelStore(vision).ensure(embedder_row)


def test_a_model_made_of_code_has_no_file(vision: VisionSettings) -> None:
    row = ModelRow(id="plain", task="segment", kind="none", licence="MIT")
    assert ModelStore(vision).state(row) == "built in"
    with pytest.raises(ModelError, match="code alone"):
        ModelStore(vision).ensure(row)


def _ensure_in_process(settings: VisionSettings, row: ModelRow, file: Path, log: Path, gate: object) -> None:
    def fetch(_source: str, target: Path) -> None:
        with log.open("a") as out:
            out.write("fetched\n")
        target.write_bytes(file.read_bytes())

    setattr(store_module, "fetch", fetch)  # noqa: B010  this process has no monkeypatch
    gate.wait(120)  # type: ignore[attr-defined]
    assert file_sha256(ModelStore(settings).ensure(row)) == row.sha256


def test_processes_that_start_together_fetch_a_file_once_and_all_get_it(
    vision: VisionSettings, remote_row: ModelRow, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    gate, log = context.Barrier(3), tmp_path / "log"
    arguments = (vision, remote_row, tmp_path / "means.onnx", log, gate)
    workers = [context.Process(target=_ensure_in_process, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert log.read_text() == "fetched\n"


def test_a_row_that_changes_its_file_never_meets_the_old_one(
    vision: VisionSettings, remote_row: ModelRow, tmp_path: Path
) -> None:
    other = row_of(embedder_file(tmp_path / "other.onnx", masked=True), output={"name": "vector", "dimension": 4})
    store = ModelStore(vision)
    assert store.path(remote_row) != store.path(other.model_copy(update={"source": REMOTE}))
