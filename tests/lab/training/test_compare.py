"""The comparison: the same for all, once each, and a table that says what it rests on."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("pytorch_metric_learning")

from tests.lab.training.garment_toys import SIDE, ToyJudge, toy_garments, toy_trunk  # noqa: E402
from worker.lab.training import compare as module  # noqa: E402
from worker.lab.training.compare import METHODS, Budget, Shared, compare, main, table  # noqa: E402

pytestmark = pytest.mark.lab
TOY = [method for method in METHODS if method.name not in {"attributes", "instance"}]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shared:
    """Toy garments, and a toy network where the methods begin with the published one."""
    monkeypatch.setattr(module, "trunk", lambda frozen_stages=2: toy_trunk(frozen_stages, frozen_norms=True))
    garments = toy_garments()
    return Shared(tmp_path, garments, ToyJudge(garments.crops), Budget(0.3, SIDE, 16, 0), SIDE)


def test_every_method_gets_the_budget_and_is_judged_once(shared: Shared, tmp_path: Path) -> None:
    told: list[str] = []
    rows = compare(shared, TOY, tmp_path / "out", told.append)
    assert [row["name"] for row in rows] == ["untrained", *(method.name for method in TOY)]
    for row in rows[1:]:
        assert row["batches"] > 0
        assert 0.3 <= row["seconds"] < 5
        assert {"phone", "found", "score"} <= set(row["figures"])
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["methods"] == json.loads(json.dumps(rows))
    assert written["budget"]["seconds"] == 0.3
    assert len([text for text in told if "batches in" in text]) == len(TOY)


def test_what_is_done_stays_done_and_another_budget_begins_anew(shared: Shared, tmp_path: Path) -> None:
    method = [each for each in METHODS if each.name == "autoencoder"]
    first = compare(shared, method, tmp_path / "out", lambda _: None)
    told: list[str] = []
    again = compare(shared, method, tmp_path / "out", told.append)
    assert again == json.loads(json.dumps(first))
    assert not any("batches in" in text for text in told)
    other = Shared(shared.data, shared.garments, shared.judge, Budget(0.2, SIDE, 8, 0), SIDE)
    assert compare(other, method, tmp_path / "out", told.append)[1]["seconds"] != first[1]["seconds"]


def test_the_table_says_what_it_rests_on(shared: Shared) -> None:
    shared.judge.provenance.update(catalogue=200, phone=100, phone_back=25, unseen=30)
    row: dict[str, Any] = {
        "name": "OC",
        "what": "categories",
        "batches": 7,
        "figures": {"phone": 0.5, "found": 0.25, "score": 0.126},
    }
    lines = table([row], shared).splitlines()
    assert lines[0].startswith("| method | phone (100) | found at 1 % false alerts | phone, back (25) |")
    assert lines[2] == "| `OC`: categories | 50 | 25 |  |  |  |  | 13 | 7 |"
    said = lines[-1]
    assert "200 articles, 30 unseen" in said
    assert "by chance 0.5" in said
    assert "10 points with 100 queries and to 20 with 25" in said


def test_all_of_the_papers_methods_are_compared() -> None:
    names = [method.name for method in METHODS]
    assert names == ["OC", "OC+OS", "OC+IS", "siamese", "autoencoder", "denoising", "attributes", "instance"]


def test_a_method_that_is_not_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--output", str(tmp_path), "--methods", "magic"])
    assert "no method magic; there are OC" in capsys.readouterr().err
