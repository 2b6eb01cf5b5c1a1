"""`intake catalogue` as an operator types it, on the embedded engine and real photo files; only the models are stand-ins."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner, Result

from tests.catalogue.fakes import Thumbnail, draw, opener
from tests.infra.needs import require
from worker.catalogue import collection_name
from worker.cli.catalogue import app
from worker.errors import ConfigurationError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    try:
        import qdrant_edge  # noqa: F401
    except ModuleNotFoundError:
        require(False, "Qdrant Edge (the embedded extra)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTAKE_CATALOGUE__ENGINE", "edge")
    monkeypatch.setenv("INTAKE_CATALOGUE__PATH", str(tmp_path / "index"))
    monkeypatch.setenv("INTAKE_IMAGING__ISOLATION", "none")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr("worker.loading.open_embedder", opener(Thumbnail(), "first"))

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """Twelve articles, three of them with a back."""
    for seed in range(12):
        draw(tmp_path / "studio" / f"a{seed}_main.png", seed)
    for seed in range(3):
        draw(tmp_path / "studio" / f"a{seed}_back.png", 100 + seed)
    return tmp_path / "studio"


def test_load_then_stats_then_search_finds_the_article_first(run: Run, studio: Path) -> None:
    loaded = run("load", studio, "--names", "<article>_<view>")
    assert "15 photos loaded" in loaded.output
    assert "15 were there already" in run("load", studio, "--names", "<article>_<view>").output

    counted = run("stats").output
    assert collection_name("first") in counted
    assert re.search(r"yes\s+│\s+15\s+│\s+0\s+│\s+48", counted)

    found = run("search", studio / "a2_back.png", "--limit", 3).output
    rows = [line for line in found.splitlines() if re.search(r"│\s+\d+\s+│|│ \d ", line)]
    assert "a2" in rows[0]
    assert "1.0000" in rows[0]
    assert "back" in rows[0]
    assert len(rows) == 3


def test_a_bad_photo_is_told_and_only_strict_fails(run: Run, studio: Path) -> None:
    (studio / "broken.png").write_bytes(b"no photo")

    told = run("load", studio)
    assert "15 photos loaded" in told.output
    assert "1 refused" in told.output
    assert "broken.png" in told.output
    run("load", studio, "--strict", code=1)


def test_a_csv_with_attributes_is_loaded_and_searched_by_them(run: Run, studio: Path, tmp_path: Path) -> None:
    lines = [
        "article_id,photo,colour",
        *(f"a{n},studio/a{n}_main.png,{'red' if n % 2 else 'blue'}" for n in range(12)),
        "bad id,x,",
    ]
    (tmp_path / "articles.csv").write_text("\n".join(lines))

    assert "12 photos loaded" in run("load", "articles.csv").output
    found = run("search", studio / "a2_main.png", "--where", "colour=red").output

    assert {f"a{n}" for n in range(1, 12, 2)} <= set(re.findall(r"\ba\d+\b", found.replace("_main", " ")))
    assert "a2 " not in found
    with pytest.raises(ConfigurationError, match="ATTRIBUTE=VALUE"):
        run("search", studio / "a2_main.png", "--where", "colour")


def test_a_search_draws_a_picture_that_needs_no_other_file(run: Run, studio: Path, tmp_path: Path) -> None:
    run("load", studio)
    (studio / "a7_main.png").unlink()

    run("search", studio / "a1_main.png", "--picture", tmp_path / "found.html", "--limit", 15)
    run("search", studio / "a1_main.png", "--picture", tmp_path / "found.png")

    page = (tmp_path / "found.html").read_text()
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 15  # 15 found and the photo itself, less the one that is gone
    assert "photo cannot be read" in page
    assert all(base64.b64decode(picture).startswith(b"\xff\xd8") for picture in pictures)
    assert "http" not in page
    drawn = cv2.imread(str(tmp_path / "found.png"))
    assert drawn is not None
    assert drawn.shape[0] > 600
    with pytest.raises(ConfigurationError, match=r"\.html or a \.png"):
        run("search", studio / "a1_main.png", "--picture", tmp_path / "found.gif")


def test_reindex_switches_to_new_models_and_back_and_the_old_is_dropped(
    run: Run, studio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("load", studio)
    monkeypatch.setattr("worker.loading.open_embedder", opener(Thumbnail(turn=5), "second"))
    with pytest.raises(ConfigurationError, match="intake catalogue reindex"):
        run("search", studio / "a1_main.png")

    assert "15 photos loaded" in run("reindex").output
    assert "a1_main" in run("search", studio / "a1_main.png", "--limit", 1).output
    with pytest.raises(ConfigurationError, match="already of the configured models"):
        run("reindex")
    assert "0 photos loaded" in run("reindex", "--from", collection_name("first")).output

    assert collection_name("first") in run("reindex", "--back").output
    with pytest.raises(ConfigurationError, match="live"):
        run("drop", collection_name("first"))
    run("drop", collection_name("second"))
    assert collection_name("second") not in run("stats").output
    with pytest.raises(ConfigurationError, match="there is no collection"):
        run("drop", collection_name("second"))


def test_a_reindex_without_all_photos_does_not_switch(run: Run, studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("load", studio)
    (studio / "a3_main.png").unlink()
    monkeypatch.setattr("worker.loading.open_embedder", opener(Thumbnail(turn=5), "second"))

    refused = run("reindex", code=1)
    assert "NOT switched" in refused.output
    assert "a3_main.png" in refused.output
    run("reindex", "--allow-missing")


def test_an_empty_place_is_told_what_to_do(run: Run, tmp_path: Path) -> None:
    assert "intake catalogue load" in run("stats").output
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="holds no photo"):
        run("load", tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="intake catalogue load"):
        run("reindex")
    with pytest.raises(ConfigurationError, match="intake catalogue load"):
        run("optimise")
    with pytest.raises(ConfigurationError, match="there is no file"):
        run("search", tmp_path / "nothing.jpg")


def test_optimise_says_what_it_did(run: Run, studio: Path) -> None:
    run("load", studio)
    assert "nothing to do" in run("optimise").output
