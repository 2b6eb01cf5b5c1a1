from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from worker.catalogue.entries import CatalogueEntry
from worker.catalogue.sources import read_source
from worker.simulate.arrivals import Scenario, ScenarioOptions, build_scenario
from worker.simulate.folder import MANIFEST_COLUMNS, arrival_files, catalogue_files, write_scenario
from worker.simulate.sheet import contact_sheet
from worker.simulate.truth import Kind, read_truth

FAULTS = {"corrupt": 0.15, "missing": 0.1, "repeat": 0.15, "twin": 0.2}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scenario]:
    folder = tmp_path_factory.mktemp("scenario")
    scenario = build_scenario(ScenarioOptions.model_validate({"catalogue_size": 8, "count": 20, "faults": FAULTS}))
    paths = list(write_scenario(folder, scenario, processes=0))
    assert len(paths) == len(catalogue_files(scenario)) + len(arrival_files(scenario))
    return folder, scenario


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_manifest_names_photos_that_are_there(written: tuple[Path, Scenario]) -> None:
    folder, _ = written
    lines = rows(folder)
    assert tuple(lines[0]) == MANIFEST_COLUMNS
    for line in lines:
        assert cv2.imread(str(folder / line["path"])) is not None


def test_the_manifest_says_which_queries_are_unseen(written: tuple[Path, Scenario]) -> None:
    folder, scenario = written
    articles = {article.article_id for article in scenario.catalogue}
    truths = {truth.arrival_id: truth for truth in scenario.truths if truth.kind is not Kind.REPEAT}
    queries = [line for line in rows(folder) if line["role"] == "query"]
    assert queries
    for line in queries:
        truth = truths[Path(line["path"]).parent.name]
        assert line["item_id"] == (truth.article_id or "")
        assert line["kind"] == f"{truth.kind}/mild"
        assert (line["item_id"] in articles) == (truth.expected == "found")


def test_faults_are_no_queries_and_missing_photos_are_not_written(written: tuple[Path, Scenario]) -> None:
    folder, scenario = written
    kinds = {line["kind"].split("/")[0] for line in rows(folder)}
    assert not kinds & {"corrupt", "missing", "repeat"}
    missing = [arrival for arrival in scenario.arrivals if arrival.truth.kind is Kind.MISSING]
    assert missing
    for arrival in missing:
        assert not (folder / "arrivals" / arrival.arrival_id).exists()
    corrupt = [arrival for arrival in scenario.arrivals if arrival.truth.kind is Kind.CORRUPT]
    assert all((folder / "arrivals" / arrival.arrival_id / "front.jpg").exists() for arrival in corrupt)


def test_the_truth_lies_beside(written: tuple[Path, Scenario]) -> None:
    folder, scenario = written
    assert read_truth(folder / "truth.jsonl") == scenario.truths


@pytest.mark.parametrize("source", ["", "articles.jsonl"])
def test_the_catalogue_can_be_loaded_as_folder_and_as_list(written: tuple[Path, Scenario], source: str) -> None:
    folder, scenario = written
    entries = [entry for entry in read_source(folder / "catalogue" / source) if isinstance(entry, CatalogueEntry)]
    found = {(entry.article_id, entry.view) for entry in entries}
    assert found == {(article.article_id, photo.view) for article in scenario.catalogue for photo in article.photos}
    assert all(Path(entry.location).is_file() for entry in entries)


def test_the_list_holds_the_attributes(written: tuple[Path, Scenario]) -> None:
    folder, scenario = written
    lines = [json.loads(line) for line in (folder / "catalogue" / "articles.jsonl").read_text().splitlines()]
    assert [line["attributes"] for line in lines] == [dict(article.attributes) for article in scenario.catalogue]


# --- contact sheets


def test_a_contact_sheet_holds_every_picture_in_its_cell() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    images = [np.full((60, 40, 3), colour, dtype=np.uint8) for colour in colours]
    sheet = cv2.imdecode(np.frombuffer(contact_sheet(images, columns=2, cell=60, form="png"), np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    assert sheet.shape[:2] == (138, 138)
    centres = [(36, 36), (36, 102), (102, 36)]
    assert [tuple(int(v) for v in sheet[y, x][::-1]) for y, x in centres] == colours


def test_labels_and_masks_are_shown() -> None:
    mask = np.zeros((30, 30), dtype=np.uint8)
    data = contact_sheet([mask, np.zeros((10, 50, 3), dtype=np.uint8)], ["näh", "a very long label that is cut"], cell=80)
    assert data.startswith(b"\xff\xd8")


def test_a_sheet_of_nothing_and_wrong_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
    with pytest.raises(ValueError, match="1 pictures but 2 labels"):
        contact_sheet([np.zeros((5, 5, 3), dtype=np.uint8)], ["a", "b"])
