"""Writes a scenario into folders: a catalogue to load, arrivals to submit, the truth, and a manifest for the lab."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.simulate.arrivals import Scenario
from worker.simulate.photos import SimulatedPhoto, draw_photos
from worker.simulate.truth import Kind, write_truth

MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("path", "item_id", "role", "kind")
# Kinds that make no query: there is no photo of a garment in them, or the same one again.
_NOT_QUERIES = frozenset({Kind.CORRUPT, Kind.MISSING, Kind.REPEAT})


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A photo and where it goes, relative to the folder."""

    path: Path
    photo: SimulatedPhoto


def catalogue_files(scenario: Scenario) -> list[PlannedFile]:
    """``<article_id>/<view>.jpg`` for each photo of the catalogue."""
    return [
        PlannedFile(Path(article.article_id) / f"{photo.view}{photo.suffix}", photo)
        for article in scenario.catalogue
        for photo in article.photos
    ]


def arrival_files(scenario: Scenario) -> list[PlannedFile]:
    """``<arrival_id>/<view>.jpg`` for each photo that is to be there."""
    return [
        PlannedFile(Path(arrival.arrival_id) / f"{photo.view}{photo.suffix}", photo)
        for arrival in scenario.arrivals
        if arrival.uploaded and not arrival.repeated
        for photo in arrival.photos
    ]


def write_files(
    folder: Path, files: Iterable[PlannedFile], processes: int, on_file: Callable[[Path], None] = lambda _path: None
) -> Iterator[Path]:
    """Draw and write photos below `folder`; yields each path as it is written. What is already there is written again."""
    planned = list(files)
    for item, data in zip(planned, draw_photos((item.photo for item in planned), processes), strict=True):
        path = folder / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        on_file(path)
        yield path


def write_attributes(folder: Path, scenario: Scenario) -> Path | None:
    """``articles.jsonl`` in the catalogue folder: article_id, attributes and photos, one article a line; None without attributes."""
    if not any(article.attributes for article in scenario.catalogue):
        return None
    path = folder / "articles.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            {
                "article_id": article.article_id,
                "photos": [
                    {"location": f"{article.article_id}/{photo.view}{photo.suffix}", "view": photo.view}
                    for photo in article.photos
                ],
                "attributes": dict(article.attributes),
            }
        )
        for article in scenario.catalogue
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_manifest(folder: Path, scenario: Scenario) -> Path:
    """``manifest.csv`` for the lab: catalogue photos, and arrivals as queries; an unseen garment has no item_id.

    The kind of a query is its kind and how it was photographed, as in ``back-view/harsh``.
    """
    path = folder / MANIFEST
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(MANIFEST_COLUMNS)
        for article in scenario.catalogue:
            for photo in article.photos:
                writer.writerow(
                    (f"catalogue/{article.article_id}/{photo.view}{photo.suffix}", article.article_id, "catalogue", "studio")
                )
        for arrival in scenario.arrivals:
            truth = arrival.truth
            if truth.kind in _NOT_QUERIES:
                continue
            for photo in arrival.photos:
                place = f"arrivals/{arrival.arrival_id}/{photo.view}{photo.suffix}"
                writer.writerow((place, truth.article_id or "", "query", f"{truth.kind}/{photo.shot}"))
    return path


def write_scenario(folder: Path, scenario: Scenario, processes: int) -> Iterator[Path]:
    """Everything: ``catalogue/``, ``arrivals/``, ``manifest.csv``, ``truth.jsonl``; yields each photo as it is written."""
    write_truth(folder / "truth.jsonl", scenario.truths)
    write_manifest(folder, scenario)
    write_attributes(folder / "catalogue", scenario)
    yield from write_files(folder / "catalogue", catalogue_files(scenario), processes)
    yield from write_files(folder / "arrivals", arrival_files(scenario), processes)
