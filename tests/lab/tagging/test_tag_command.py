"""`intake lab tag` from its command line, with a tagger drawn in the test."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from tests.lab.tagging.toys import KINDS, encoded, make_table, picture
from tests.vision.conftest import embedder_file, row_of
from tests.vision.test_tagger import tagger_file, tagger_row
from worker.cli import app
from worker.settings.vision import VisionSettings
from worker.vision.adding import add_row_file
from worker.vision.rows import HeadSpec

HEADS = (HeadSpec(name="kind", labels=KINDS, sure=0.6), HeadSpec(name="tone", labels=("warm", "cold"), sure=0.9))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with a tagger that takes red for a dress, green for a shirt, blue for a shoe, and an embedder of colours."""
    folder = tmp_path / "registry"
    settings = VisionSettings(registry_dir=folder, cache_dir=tmp_path / "cache", threads=1)
    for row in (tagger_row(tagger_file(tmp_path / "toy.onnx"), heads=HEADS), row_of(embedder_file(tmp_path / "means.onnx"))):
        (tmp_path / f"{row.id}.json").write_text(row.model_dump_json(exclude_none=True), encoding="utf-8")
        add_row_file(tmp_path / f"{row.id}.json", settings)
    variables = {
        "INTAKE_VISION__REGISTRY_DIR": str(folder),
        "INTAKE_VISION__CACHE_DIR": str(tmp_path / "cache"),
        "INTAKE_VISION__EMBEDDER": "means",
        "INTAKE_VISION__SEGMENTER": "none",
        "INTAKE_VISION__THREADS": "1",
        "XDG_CACHE_HOME": str(tmp_path / "xdg"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return folder


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["lab", "tag", *(str(argument) for argument in arguments)])


def photo(path: Path, colour: tuple[int, int, int]) -> Path:
    """A large photo of one colour with a stripe (a photo of nothing at all would be refused by nobody, but looks odd)."""
    rgb = np.full((120, 120, 3), colour, np.uint8)
    rgb[50:60] = 90
    cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]))
    return path


def test_photos_get_labels_and_probabilities_in_order(registry: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    photo(photos / "a.png", (200, 10, 10))
    photo(photos / "b.png", (10, 10, 200))
    (photos / "broken.jpg").write_bytes(b"nothing")
    (photos / "notes.txt").write_text("no photo")
    result = run("--model", "toy", "--input", photos, "--output", tmp_path / "tags.csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "tags.csv").open()))
    assert [Path(row["path"]).name for row in rows] == ["a.png", "b.png", "broken.jpg"]
    assert [row["kind"] for row in rows] == ["Dresses", "Shoes", ""]
    assert float(rows[0]["kind_probability"]) > 0.6
    assert [row["kind_sure"] for row in rows] == ["yes", "yes", ""]
    assert rows[0]["tone_sure"] == "no"
    assert rows[2]["fault"].startswith("photo")
    assert "1 not readable" in result.output
    assert registry.is_dir()


@pytest.mark.usefixtures("registry")
def test_a_manifest_is_tagged_line_by_line_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_VISION__TAGGER", "toy")
    photo(tmp_path / "a.png", (10, 190, 10))
    (tmp_path / "m.csv").write_text("path,item_id,role,kind\na.png,1,query,phone\na.png,2,query,phone\n")
    result = run("--manifest", tmp_path / "m.csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["kind"] for row in rows] == ["Shirts", "Shirts"]


@pytest.mark.usefixtures("registry")
def test_a_tagger_is_scored_with_the_configuration_it_was_trained_with(tmp_path: Path) -> None:
    folder = make_table(tmp_path / "photos", 80)
    for n in range(80):
        (folder / "images" / f"{1000 + n}.png").write_bytes(encoded(picture("Women", "Shoes", n)))
    config = tmp_path / "tagger.toml"
    config.write_text(
        '[recipe]\nkind = "tagger"\ndata = "elsewhere"\ntable = "styles.csv"\nphotos = "images"\nphoto = "{id}.png"\n'
        'min_images = 5\nreference_name = "Somebody"\n'
        '[[recipe.heads]]\nname = "kind"\ncolumns = ["kind"]\nreference = 0.25\n'
        '[[recipe.heads]]\nname = "tone"\ncolumns = ["tone"]\n'
    )
    table = (folder / "styles.csv").read_text().splitlines()
    lines = ["id,gender,kind,name,tone"] + [f"{line},{('warm', 'cold')[n % 2]}" for n, line in enumerate(table[1:-1])]
    (folder / "styles.csv").write_text("\n".join(lines) + "\n")
    files = ("--json", tmp_path / "score.json", "--html", tmp_path / "score.html")
    result = run("--model", "toy", "--score", config, "--set", f"recipe.data={folder}", *files)
    assert result.exit_code == 0, result.output
    assert "Somebody" in result.stdout
    assert "25.0" in result.stdout
    read = orjson.loads((tmp_path / "score.json").read_bytes())
    assert read["part"] == "test"
    kind = read["splits"][0]["heads"][0]
    # Every picture is red: the toy calls each a dress.
    assert kind["tops"]["1"] == pytest.approx(
        next(c["photos"] for c in kind["classes"] if c["label"] == "Dresses") / kind["photos"]
    )
    assert (tmp_path / "score.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no tagger is named"),
        (("--model", "toy"), "--manifest"),
        (("--model", "means", "--input", "."), "no model for tag"),
        (("--model", "toy", "--input", "nowhere.jpg"), "neither a photo nor a folder"),
        (("--model", "toy", "--score", "nowhere.toml"), "cannot be read"),
        (("--model", "toy", "--score", "nowhere.toml", "--part", "all"), "train"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception or "")
