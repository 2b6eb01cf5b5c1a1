from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.events.building import SCHEMAS
from worker.events import generate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


def change(folder: Path, name: str, edit: Callable[[Any], object]) -> None:
    path = folder / name
    schema = json.loads(path.read_text("utf-8"))
    edit(schema)
    path.write_text(json.dumps(schema), "utf-8")


def test_the_committed_schemas_are_current() -> None:
    assert generate.main(["--check"]) == 0


def test_the_command_runs_as_a_module(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "worker.events.generate", "--check", "--folder", str(folder)], check=False)
    assert done.returncode == 0


def test_generation_is_deterministic() -> None:
    assert generate.generated(SCHEMAS) == generate.generated(SCHEMAS)


def test_a_stale_file_fails_the_check_and_writing_makes_it_current(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "match-alert.v1.json", lambda schema: schema.update(description="An older text."))
    assert generate.main(["--check", "--folder", str(folder)]) == 1
    assert "match-alert.v1.json" in capsys.readouterr().err
    assert generate.main(["--folder", str(folder)]) == 0
    assert capsys.readouterr().out == "wrote schemas/match-alert.v1.json\n"
    assert generate.main(["--check", "--folder", str(folder)]) == 0


def test_a_missing_file_fails_the_check_and_is_written(folder: Path) -> None:
    (folder / "asyncapi.yaml").unlink()
    assert generate.main(["--check", "--folder", str(folder)]) == 1
    assert generate.main(["--folder", str(folder)]) == 0
    assert (folder / "asyncapi.yaml").read_bytes() == (SCHEMAS / "asyncapi.yaml").read_bytes()


def test_an_example_that_changed_makes_asyncapi_stale(folder: Path) -> None:
    change(folder, "examples/match-decision.v1.json", lambda value: value.update(decided_by="reviewer-13"))
    assert generate.main(["--check", "--folder", str(folder)]) == 1


def test_a_change_that_breaks_readers_is_refused_and_leaves_the_last_version_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The last version of an output had a field more, which readers may use.
    change(folder, "match-alert.v1.json", lambda schema: schema["properties"].update(score={"type": "number"}))
    before = (folder / "match-alert.v1.json").read_bytes()
    assert generate.main(["--folder", str(folder)]) == 1
    assert "match-alert.v1.json: event.score: removed" in capsys.readouterr().err
    assert (folder / "match-alert.v1.json").read_bytes() == before
    assert generate.main(["--check", "--folder", str(folder)]) == 1


def test_a_change_that_breaks_writers_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The last version of the input did not ask for the time.
    change(folder, "item-photographed.v1.json", lambda schema: schema["required"].remove("photographed_at"))
    assert generate.main(["--folder", str(folder)]) == 1
    assert "photographed_at" in capsys.readouterr().err


def test_force_writes_what_breaks(folder: Path) -> None:
    change(folder, "match-alert.v1.json", lambda schema: schema["properties"].update(score={"type": "number"}))
    assert generate.main(["--folder", str(folder), "--force"]) == 0
    assert (folder / "match-alert.v1.json").read_bytes() == (SCHEMAS / "match-alert.v1.json").read_bytes()


def test_another_last_version_can_be_compared_with(folder: Path, tmp_path: Path) -> None:
    release = Path(shutil.copytree(folder, tmp_path / "release"))
    assert generate.main(["--check", "--folder", str(folder), "--against", str(release)]) == 0
    change(release, "match-alert.v1.json", lambda schema: schema["properties"].update(score={"type": "number"}))
    assert generate.main(["--check", "--folder", str(folder), "--against", str(release)]) == 1


def test_files_of_earlier_versions_stay(folder: Path) -> None:
    (folder / "match-alert.v0.json").write_text("{}", "utf-8")
    assert generate.main(["--folder", str(folder)]) == 0
    assert (folder / "match-alert.v0.json").read_text("utf-8") == "{}"


def test_a_new_version_is_written_beside_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.events import MatchDecision

    monkeypatch.setattr(MatchDecision, "EVENT_VERSION", 2)
    example = folder / "examples" / "match-decision.v1.json"
    shutil.copy(example, folder / "examples" / "match-decision.v2.json")
    assert generate.main(["--folder", str(folder)]) == 0
    assert json.loads((folder / "match-decision.v2.json").read_text("utf-8"))["$id"] == "urn:intake:schema:match-decision:v2"
    assert (folder / "match-decision.v1.json").read_bytes() == (SCHEMAS / "match-decision.v1.json").read_bytes()


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generate.main(["--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--check", "--force", "--against", "--folder"))
