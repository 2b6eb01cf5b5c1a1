"""Folders of photos to label pictures, and the command that does it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.lab.conftest import PhotoWriter
from worker.cli import app
from worker.errors import ConfigurationError
from worker.lab.segmenting import COLOURS, OVERLAY, legend, open_segmenter, overlay, photo_files
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES, LOWER, UPPER


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["lab", "segment", *arguments], env={"COLUMNS": "200", "INTAKE_IMAGING__ISOLATION": "none"})
    return result.exit_code, result.output


def test_each_photo_gets_one_label_picture_of_its_own_size_at_its_own_place(tmp_path: Path, write_photo: PhotoWriter) -> None:
    write_photo(tmp_path / "in" / "a.png", 1, 200)
    write_photo(tmp_path / "in" / "deep" / "a.jpg", 2, 900)
    code, text = run("--model", "grabcut", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"))
    assert code == 0, text
    assert "2 pictures" in text
    assert "255 garment" in text
    sizes = {}
    for path in (tmp_path / "out").rglob("*.*"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert label is not None
        assert label.ndim == 2
        assert set(np.unique(label)) <= {0, 255}
        assert 0.1 < np.mean(label > 0) < 0.95
        sizes[str(path.relative_to(tmp_path / "out"))] = label.shape
    assert sizes == {"a.png.png": (200, 200), "deep/a.jpg.png": (900, 900)}


def test_overlays_come_on_demand(tmp_path: Path, write_photo: PhotoWriter) -> None:
    write_photo(tmp_path / "in" / "a.png", 1)
    code, text = run("-m", "grabcut", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--overlays")
    assert code == 0, text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"a.png{OVERLAY}", "a.png.png"]
    overlay = cv2.imread(str(tmp_path / "out" / f"a.png{OVERLAY}"))
    assert overlay is not None
    assert overlay.shape == (160, 160, 3)


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_done(tmp_path: Path, write_photo: PhotoWriter) -> None:
    write_photo(tmp_path / "in" / "good.png", 1)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no photo")
    code, text = run("-m", "none", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"))
    assert code == 1
    assert "broken.jpg:" in text
    assert "1 photos could not be read" in text
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png.png"]


def test_an_empty_folder_and_an_output_among_the_photos_are_refused(tmp_path: Path, write_photo: PhotoWriter) -> None:
    with pytest.raises(ConfigurationError, match="holds no photo"):
        photo_files(tmp_path)
    write_photo(tmp_path / "a.png", 1)
    code, _ = run("-m", "none", "-i", str(tmp_path), "-o", str(tmp_path / "labels"))
    assert code != 0
    assert not (tmp_path / "labels").exists()


def test_an_unknown_model_is_refused(tmp_path: Path, write_photo: PhotoWriter) -> None:
    write_photo(tmp_path / "in" / "a.png", 1)
    code, _ = run("-m", "nobody", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"))
    assert code != 0


def test_overlays_colour_classes_and_leave_the_background() -> None:
    rgb = np.full((30, 30, 3), 100, np.uint8)
    label = np.zeros((30, 30), np.uint8)
    label[:, 10:20], label[:, 20:] = UPPER, LOWER
    shown = overlay(rgb, label)
    assert (shown[15, 4] == 100).all()
    assert len({tuple(shown[15, x]) for x in (4, 14, 26)}) == 3
    assert len(set(COLOURS)) == len(CLASSES)


def test_the_legend_says_what_the_values_mean() -> None:
    assert "knows no classes" in legend(open_segmenter("none", VisionSettings()))
