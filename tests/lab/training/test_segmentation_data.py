"""Photos with masks: labels, splits, cuts and figures. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.infra.needs import require
from tests.lab.training.leakage import Origin, assert_follows_the_rule, assert_held_apart
from worker.errors import ConfigurationError
from worker.lab.training.segmentation_data import (
    Source,
    digest_of,
    fitted,
    flat_label,
    flat_sources,
    part_of,
    part_of_street_photo,
    read_flat,
    read_street,
    street_sources,
    unpacked,
    usable_cut,
)
from worker.lab.training.segmentation_labels import FLAT_CLASSES, GARMENT, IGNORE, STREET_CLASSES, street_table
from worker.lab.training.segmentation_metrics import boundary_f, class_ious, confusion, garment_mask, iou
from worker.vision.garment_classes import (
    BACKGROUND,
    CLASSES,
    FOOTWEAR,
    GARMENTS,
    LOWER,
    PERSON,
    UPPER,
    class_of_category,
)
from worker.vision.types import ByteArray, Mask

LABELS = "0 null\n1 skin\n2 shirt\n3 jeans\n4 suit\n5 unheard-of\n"


def quiet(what: str, done: int, total: int) -> None:
    del what, done, total


def square(height: int, width: int, top: int, left: int, side: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.fixture
def street(tmp_path: Path) -> Path:
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    (tmp_path / "labels.txt").write_text(LABELS)
    for number in range(3):
        rgb = np.full((60, 40, 3), 90 + number, np.uint8)
        label = np.zeros((60, 40), np.uint8)
        label[10:20, 10:30], label[20:40, 10:30], label[40:55, 10:30], label[0:4, 0:4] = 1, 2, 4, 5
        cv2.imwrite(str(tmp_path / "photos" / f"{number:04}.jpg"), rgb)
        cv2.imwrite(str(tmp_path / "masks" / f"{number:04}.png"), label)
    return tmp_path


def test_street_labels_become_classes_and_what_is_ambiguous_is_no_class(street: Path) -> None:
    samples = read_street(street, street_sources(street), quiet, street)
    assert [sample.name for sample in samples] == ["0000", "0001", "0002"]
    label = samples[0].label
    assert (label[30, 0], label[15, 20], label[30, 20], label[50, 20], label[1, 1]) == (
        BACKGROUND,
        PERSON,
        UPPER,
        GARMENT,
        IGNORE,
    )
    alpha = samples[0].alpha
    assert (alpha[15, 20], alpha[30, 20], alpha[50, 20], alpha[30, 0], alpha[1, 1]) == (0, 255, 255, 0, 0)


def test_a_mask_of_another_size_than_its_photo_is_refused(street: Path) -> None:
    cv2.imwrite(str(street / "masks" / "0001.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(ConfigurationError, match=r"0001\.png does not fit"):
        read_street(street, street_sources(street), quiet, street)


def test_every_class_has_labels_and_every_flat_label_agrees_with_the_worker_s_words() -> None:
    assert set(STREET_CLASSES.values()) == {*range(len(CLASSES)), GARMENT}
    assert {name: class_of_category(name) for name in FLAT_CLASSES} == FLAT_CLASSES
    # Where a street label is a word the worker knows, both mean the same class.
    words = {name: class_of_category(name) for name in STREET_CLASSES}
    differing = {name for name, number in words.items() if number is not None and number != STREET_CLASSES[name]}
    assert differing <= {"suit", "bodysuit"}


def test_numbers_without_a_name_are_ignored() -> None:
    table = street_table(LABELS)
    assert table[2] == UPPER
    assert table[3] == LOWER
    assert table[99] == IGNORE


def test_flat_photos_get_the_cut_that_lies_there_and_failed_cuts_are_left_out(tmp_path: Path) -> None:
    photos, cuts = tmp_path / "images", tmp_path / "cuts"
    photos.mkdir()
    cuts.mkdir()
    table = tmp_path / "images.csv"
    table.write_text("image,sender_id,label,kids\nb,1,Shoes,False\na,2,T-Shirt,False\nc,3,Not sure,False\nd,4,Hat,False\n")
    for name in "abc":
        cv2.imwrite(str(photos / f"{name}.jpg"), np.full((50, 50, 3), 128, np.uint8))
    cut = np.where(square(50, 50, 10, 10, 30), 255, 0).astype(np.uint8)
    cut[10:40, 40] = 128
    cv2.imwrite(str(cuts / "a.png"), np.full((50, 50), 255, np.uint8))
    cv2.imwrite(str(cuts / "b.png"), cut)
    sources = flat_sources(table, photos)
    assert sources == [Source("a", "flat", 2, "T-Shirt"), Source("b", "flat", 1, "Shoes")]
    [sample] = read_flat(photos, cuts, sources, quiet)
    assert sample.name == "b"
    assert (sample.label[20, 20], sample.label[0, 0], sample.label[20, 40]) == (FOOTWEAR, BACKGROUND, IGNORE)


def test_a_missing_cut_is_made_by_the_teacher_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.lab.training import segmentation_data
    from worker.vision.segmenters import NoSegmenter, mask_of

    asked: list[int] = []

    class Half(NoSegmenter):
        def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
            del categories
            asked.append(len(photos))
            return [
                mask_of(np.where(square(photo.shape[0], photo.shape[1], 10, 10, 30), 255, 0).astype(np.uint8)) for photo in photos
            ]

    monkeypatch.setattr(segmentation_data, "_teacher", lambda: Half.__new__(Half))
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((50, 50, 3), 128, np.uint8))
    sources = [Source("a", "flat", 1, "Hat")]
    for _ in range(2):
        assert len(read_flat(tmp_path, tmp_path / "cuts", sources, quiet)) == 1
    assert asked == [1]
    assert [path.name for path in (tmp_path / "cuts").iterdir()] == ["a.png"]


def test_a_cut_that_is_unsure_or_takes_nothing_or_everything_is_not_used() -> None:
    good = np.where(square(100, 100, 20, 20, 50), 255, 0).astype(np.uint8)
    assert usable_cut(good)
    assert not usable_cut(np.zeros_like(good))
    assert not usable_cut(np.full_like(good, 255))
    assert not usable_cut(np.where(square(100, 100, 20, 20, 50), 130, 0).astype(np.uint8))
    assert set(np.unique(flat_label(good, UPPER))) == {BACKGROUND, UPPER}


def test_an_archive_is_unpacked_once_and_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    import zipfile

    folder = tmp_path / "ccp"
    folder.mkdir()
    assert unpacked(folder, tmp_path / "cache") == folder
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("photos/1.jpg", b"x")
    first = unpacked(folder, tmp_path / "cache")
    assert (first / "photos" / "1.jpg").read_bytes() == b"x"
    (first / "photos" / "1.jpg").unlink()
    assert unpacked(folder, tmp_path / "cache") == first
    assert not (first / "photos" / "1.jpg").exists()


def test_empty_folders_are_refused_with_what_they_should_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"photos/N\.jpg"):
        street_sources(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        flat_sources(tmp_path / "images.csv", tmp_path)
    (tmp_path / "images.csv").write_text("image,sender_id,label\nx,1,Hat\n")
    with pytest.raises(ConfigurationError, match="none of the photos"):
        flat_sources(tmp_path / "images.csv", tmp_path)


def test_large_photos_are_made_smaller_and_small_ones_left() -> None:
    assert fitted(np.zeros((800, 600, 3), np.uint8)).shape == (400, 300, 3)
    assert fitted(np.zeros((80, 60, 3), np.uint8)).shape == (80, 60, 3)


def test_no_held_out_photo_or_sender_is_learned_from() -> None:
    street = [Source(f"{number:04}", "street") for number in range(300)]
    flat = [Source(f"{number}", "flat", number % 40, "Hat") for number in range(400)]

    def origins(part: str) -> list[Origin]:
        found = [Origin("photo", f"ccp/{each.name}") for each in street if part_of(each) == part]
        return found + [Origin("sender", f"clothing/{each.sender}") for each in flat if part_of(each) == part]

    assert_held_apart(origins("development"), origins("held-out"))
    assert_follows_the_rule(origins("development"), origins("held-out"))
    assert 0.1 < len([each for each in street if part_of(each) == "held-out"]) / len(street) < 0.25


def test_a_street_photo_s_part_does_not_depend_on_the_others() -> None:
    assert [part_of_street_photo(f"{number:04}") for number in (1, 2, 3)] == [
        part_of(Source(f"{number:04}", "street")) for number in (1, 2, 3)
    ]
    assert digest_of([Source("a", "flat")]) != digest_of([Source("a", "street")])


@pytest.mark.photos
def test_the_shared_photos_are_held_apart() -> None:
    place = os.environ.get("INTAKE_DATASETS")
    root = Path(place) if place else Path(__file__).parents[3].parent / "shared" / "datasets"
    table = root / "clothing" / "images.csv"
    require(table.exists(), "the shared photos (INTAKE_DATASETS)")
    import csv

    with table.open(encoding="utf-8", newline="") as file:
        rows = [Source(row["image"], "flat", int(row["sender_id"]), row["label"]) for row in csv.DictReader(file)]
    development = [Origin("sender", f"clothing/{each.sender}") for each in rows if part_of(each) == "development"]
    held_out = [Origin("sender", f"clothing/{each.sender}") for each in rows if part_of(each) == "held-out"]
    assert_held_apart(development, held_out)
    assert_follows_the_rule(development, held_out)


def test_iou_of_each_class_is_intersection_over_union_of_its_pixels() -> None:
    truth = np.array([[0, 0, UPPER, UPPER], [IGNORE, GARMENT, UPPER, LOWER]], np.uint8)
    found = np.array([[0, UPPER, UPPER, UPPER], [3, 3, LOWER, LOWER]], np.uint8)
    counts = confusion(truth, found)
    assert counts.sum() == 6
    ious = class_ious(counts)
    assert ious == {"background": pytest.approx(1 / 2), "upper": pytest.approx(2 / 4), "lower": pytest.approx(1 / 2)}
    assert garment_mask(truth).tolist() == [[False, False, True, True], [False, True, True, True]]
    assert GARMENTS[0] == UPPER


def test_the_boundary_score_falls_with_the_distance_of_the_outlines() -> None:
    truth = square(200, 200, 50, 50, 100)
    scores = [boundary_f(truth, square(200, 200, 50, 50 + shift, 100)) for shift in (0, 1, 6, 30)]
    assert scores[0] == 1.0
    assert scores[1] == 1.0
    assert scores[1] > scores[2] > scores[3]
    # A larger overlap may have a worse outline: a comb over the edge.
    comb = truth.copy()
    comb[40:50, 50:150:6] = True
    assert iou(truth, comb) > iou(truth, square(200, 200, 50, 54, 100))
    assert boundary_f(truth, comb) < 0.95


def test_empty_masks_agree_and_a_found_one_against_an_empty_does_not() -> None:
    empty, full = np.zeros((9, 9), np.bool_), square(9, 9, 2, 2, 4)
    assert iou(empty, empty) == 1.0
    assert boundary_f(empty, empty) == 1.0
    assert iou(empty, full) == 0.0
    assert boundary_f(empty, full) == 0.0
