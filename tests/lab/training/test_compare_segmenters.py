"""Segmenters side by side: figures of segmenters whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from worker.lab.segmenting import open_segmenter
from worker.lab.training.compare_segmenters import TILE, Compared, compare, sheet, table, times
from worker.lab.training.segmentation_data import Sample
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES, PERSON, UPPER
from worker.vision.segmenters import mask_of
from worker.vision.types import ByteArray, Mask


class Knowing:
    """Finds the red, and `more` pixels below it."""

    def __init__(self, more: int = 0, wait: int = 0) -> None:
        self.more, self.wait = more, wait

    @property
    def model_id(self) -> str:
        return f"more-{self.more}"

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        del categories
        found = []
        for photo in photos:
            for _ in range(self.wait):
                np.sort(np.random.default_rng(0).random(200_000))
            red = photo[..., 0] > 128
            below = red.copy()
            for step in range(1, self.more + 1):
                below[step:] |= red[:-step]
            found.append(mask_of(np.where(below, 255, 0).astype(np.uint8)))
        return found


def worn() -> Sample:
    """A red garment, 20 rows of it, under a head and above legs of 10 and 20 rows."""
    label = np.zeros((60, 40), np.uint8)
    label[0:10, 10:30], label[10:30, 10:30], label[30:50, 10:30] = PERSON, UPPER, PERSON
    return made("street", label)


def lying() -> Sample:
    label = np.zeros((60, 40), np.uint8)
    label[10:50, 5:35] = UPPER
    return made("flat", label)


def made(kind: str, label: ByteArray) -> Sample:
    rgb = np.full((*label.shape, 3), 60, np.uint8)
    rgb[label == UPPER] = (220, 20, 20)
    return Sample(kind, "street" if kind == "street" else "flat", rgb, label, np.where(label == UPPER, 255, 0).astype(np.uint8))


def test_who_finds_what_is_there_has_all_of_it_and_nothing_of_the_person() -> None:
    found = compare(Knowing(), [worn(), lying()])
    assert (found.street_iou, found.flat_iou, found.flat_median) == (1, 1, 1)
    assert (found.street_boundary_f, found.flat_boundary_f) == (1, 1)
    assert found.person_taken == 0
    assert found.miou is None


def test_who_takes_the_person_too_is_told_so() -> None:
    found = compare(Knowing(more=10), [worn(), lying()])
    assert found.street_iou == pytest.approx(20 / 30)
    assert found.flat_iou == pytest.approx(40 / 50)
    assert found.person_taken == pytest.approx(10 / 30)
    assert found.street_boundary_f < 1


def test_times_are_of_each_segmenter_in_order() -> None:
    quick, slow = times([Knowing(), Knowing(wait=2)], [worn()] * 3)
    assert 0 < quick < slow


def test_the_table_has_a_line_a_segmenter_and_one_a_class_that_any_knows() -> None:
    plain = compare(Knowing(), [worn(), lying()])
    knowing = Compared("ours", 0.8, 0.7, 0.1, 0.9, 0.95, 0.85, {"upper": 0.5, "lower": 0.7})
    text = table([knowing, plain], [30, 120])
    assert "| ours | 0.900 (0.950) | 0.850 | 0.800 | 0.700 | 0.10 | 0.600 | 30 | 0.25 |" in text
    assert "| more-0 | 1.000 (1.000) | 1.000 | 1.000 | 1.000 | 0.00 | - | 120 | 1.00 |" in text
    assert "| upper | 0.500 |" in text
    assert "| footwear | - |" in text
    assert "IoU of" not in table([plain], [120])


def test_the_sheet_shows_photo_labels_and_cut_of_each() -> None:
    picture = sheet(Knowing(), [worn(), lying(), worn(), lying()])
    assert picture.shape == (2 * TILE, 9 * TILE, 3)
    # What is cut out stands on white.
    assert picture[:60, 2 * TILE : 2 * TILE + 5].min() == 255


def test_classes_are_judged_where_the_segmenter_knows_them(tmp_path: Path) -> None:
    settings = VisionSettings(cache_dir=tmp_path, registry_dir=tmp_path, threads=1, max_batch=1, batch_buckets=(1,))
    found = compare(open_segmenter("garment-light", settings), [worn(), lying()])
    assert found.classes
    assert set(found.classes) <= set(CLASSES)
    assert found.miou == pytest.approx(float(np.mean(list(found.classes.values()))))
