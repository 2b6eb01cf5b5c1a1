"""Studio photos as training photos: what stands before the ground, in classes; and the same laid on a floor."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from worker.errors import ConfigurationError
from worker.lab.splits import part_of_style, style_of
from worker.lab.training.segmentation_augment import Frame, on_floor, shot, shown_of
from worker.lab.training.segmentation_data import Sample
from worker.lab.training.segmentation_labels import IGNORE
from worker.lab.training.segmentation_sets import SegmentConfig, laid_out, spread
from worker.lab.training.segmentation_studio import (
    figure_as_classes,
    nearest,
    read_studio,
    with_all_skin,
)
from worker.lab.training.views import Strength
from worker.vision.garment_classes import BACKGROUND, LOWER, PERSON, UPPER
from worker.vision.types import ByteArray

pytestmark = pytest.mark.lab
SKIN, RED, WHITE = (120, 80, 60), (200, 30, 30), (252, 252, 252)
FRAME = Frame((96, 64), (96, 64), (0.9, 1.1))
FLOOR = np.full((80, 80, 3), (60, 90, 140), np.uint8)


def worn() -> tuple[ByteArray, ByteArray]:
    """A studio photo of a head over a shirt, and its true classes."""
    label = np.zeros((120, 90), np.uint8)
    label[15:35, 35:55], label[35:90, 25:65] = PERSON, UPPER
    rgb = np.full((*label.shape, 3), WHITE, np.uint8)
    rgb[label == PERSON], rgb[label == UPPER] = SKIN, RED
    return rgb, label


def sample() -> Sample:
    rgb, label = worn()
    figure = np.where(label > 0, 255, 0).astype(np.uint8)
    classes, garment = figure_as_classes(figure, label)
    return Sample("venia/vt01-aa_main", "studio", rgb, classes, garment)


def test_what_stands_before_the_ground_keeps_its_classes_and_the_garment_is_what_is_worn() -> None:
    _, truth = worn()
    figure = np.where(truth > 0, 255, 0).astype(np.uint8)
    label, garment = figure_as_classes(figure, truth)
    assert np.array_equal(label, truth)
    assert np.array_equal(garment > 0, truth == UPPER)


def test_the_soft_edge_of_a_figure_has_no_class_and_is_as_much_garment_as_it_is_figure() -> None:
    _, truth = worn()
    figure = cv2.GaussianBlur(np.where(truth > 0, 255, 0).astype(np.uint8), (0, 0), 2)
    label, garment = figure_as_classes(np.asarray(figure, np.uint8), truth)
    row = 70
    edge = (figure[row] > 80) & (figure[row] < 175)
    assert edge.any()
    assert (label[row][edge] == IGNORE).all()
    assert np.array_equal(garment[row][edge], figure[row][edge])
    assert not garment[10:30][:, 40:50].any()  # the head's


def test_what_a_model_takes_for_ground_within_the_figure_is_what_lies_nearest() -> None:
    _, truth = worn()
    figure = np.where(truth > 0, 255, 0).astype(np.uint8)
    found = truth.copy()
    found[60:80, 30:60] = BACKGROUND
    label, garment = figure_as_classes(figure, found)
    assert np.array_equal(label, truth)
    assert (garment[60:80, 30:60] == 255).all()


def test_a_model_that_finds_nothing_teaches_ground_alone() -> None:
    _, truth = worn()
    figure = np.where(truth > 0, 255, 0).astype(np.uint8)
    label, garment = figure_as_classes(figure, np.zeros_like(truth))
    assert not label.any()
    assert not garment.any()


def test_nearest_known_labels_are_taken() -> None:
    label = np.array([[1, 0, 0, 0, 5]], np.uint8)
    assert nearest(label, label > 0).tolist() == [[1, 1, nearest(label, label > 0)[0, 2], 5, 5]]
    assert np.array_equal(nearest(label, np.zeros_like(label, bool)), label)


def test_arms_that_were_taken_for_sleeves_are_skin_again() -> None:
    rgb, truth = worn()
    rgb[40:80, 60:65] = SKIN
    label = with_all_skin(truth, rgb, UPPER)
    assert (label[45:75, 62] == PERSON).all()
    assert (label[45:75, 30:55] == UPPER).all()


def test_a_garment_of_the_wearer_s_colour_stays_a_garment() -> None:
    rgb, truth = worn()
    rgb[truth == UPPER] = tuple(value + 4 for value in SKIN)
    assert np.array_equal(with_all_skin(truth, rgb, UPPER), truth)


def test_without_a_wearer_or_a_known_category_nothing_changes() -> None:
    rgb, truth = worn()
    assert with_all_skin(truth, rgb, None) is truth
    assert with_all_skin(truth, rgb, LOWER) is truth
    alone = np.where(truth == PERSON, 0, truth).astype(np.uint8)
    assert with_all_skin(alone, rgb, UPPER) is alone


def test_on_a_floor_photo_label_and_garment_lie_at_the_same_place() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        rgb, label, garment = on_floor(sample(), FLOOR, FRAME, rng)
        assert rgb.shape == (96, 64, 3)
        core = cv2.erode((label == UPPER).astype(np.uint8), np.ones((5, 5), np.uint8)) == 1
        off = np.abs(rgb[core].astype(int) - RED).max(axis=1)
        assert (off < 10).mean() > 0.95  # but for what is mixed along an outline
        assert (garment[core] > 250).mean() > 0.99
        far = cv2.dilate((label != BACKGROUND).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
        assert (rgb[far, 2] > rgb[far, 0]).all()  # the floor, under whatever shadow
        assert not garment[far].any()


def test_things_on_a_floor_are_of_many_sizes_and_always_partly_in_the_window() -> None:
    rng = np.random.default_rng(4)
    shares = [float((on_floor(sample(), FLOOR, FRAME, rng)[1] != BACKGROUND).mean()) for _ in range(60)]
    assert min(shares) > 0.02
    assert max(shares) > 2.5 * min(shares)


def test_what_a_studio_photo_shows_is_garment_and_wearer() -> None:
    shown = shown_of(sample())
    assert shown[25, 45] > 0.99
    assert shown[60, 45] > 0.99
    assert shown[5, 5] == 0


def test_a_floor_and_a_shot_come_from_their_generator() -> None:
    first, second = (on_floor(sample(), FLOOR, FRAME, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    shots = [shot(first[0], np.random.default_rng(seed), Strength()) for seed in (6, 6, 7)]
    assert shots[0].shape == first[0].shape
    assert np.array_equal(shots[0], shots[1])
    assert not np.array_equal(shots[0], shots[2])


def test_held_out_studio_photos_are_judged_on_the_same_floors_every_time() -> None:
    config = SegmentConfig.model_validate({"kind": "segment", "data": Path(), "height": 96, "width": 64, "window": (64, 64)})
    first, second = (laid_out([sample()] * 2, [], config) for _ in range(2))
    assert [each.kind for each in first] == ["phone", "phone"]
    assert all(np.array_equal(one.rgb, other.rgb) for one, other in zip(first, second, strict=True))
    assert first[0].rgb.shape == (96, 64, 3)
    assert not np.array_equal(first[0].rgb, first[1].rgb)


@pytest.mark.parametrize("most", [1, 4, 10, 50])
def test_what_is_judged_comes_evenly_from_both_shops(most: int) -> None:
    both = [replace(sample(), name=f"{shop}/{number}") for shop in ("luma", "venia") for number in range(5)]
    chosen = [each.name for each in spread(both, most)]
    assert len(set(chosen)) == len(chosen) == min(most, 10)
    if most > 1:
        assert sum(name.startswith("luma") for name in chosen) == len(chosen) // 2


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    rgb, _ = worn()
    for shop, prefix in (("luma", "mt"), ("venia", "vt")):
        (tmp_path / shop).mkdir()
        for number in range(12):
            cv2.imwrite(
                str(tmp_path / shop / f"{prefix}{number:02}-red_main.jpg"), rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
            )
        close = np.full((120, 90, 3), (30, 30, 200), np.uint8)
        cv2.imwrite(str(tmp_path / shop / f"{prefix}00-red_alt1.jpg"), close)
    return tmp_path


def labeller(rgb: ByteArray, category: str) -> tuple[ByteArray, ByteArray]:
    assert category in {"Undershirt", "Top"}
    _, truth = worn()
    truth = np.asarray(cv2.resize(truth, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_NEAREST), np.uint8)
    # The model takes the shirt for trousers; the article's category says what it is.
    return np.where(truth == UPPER, LOWER, truth).astype(np.uint8), np.where(truth == UPPER, 255, 0).astype(np.uint8)


def test_no_style_is_in_both_parts_and_the_article_s_category_is_its_class(shops: Path) -> None:
    parts = {part: read_studio(shops, part, labeller, lambda *_: None) for part in ("development", "held-out")}  # type: ignore[arg-type]
    names = {part: {style_of(each.name.split("/")[1].split("_")[0]) for each in some} for part, some in parts.items()}
    assert names["development"]
    assert names["held-out"]
    assert not names["development"] & names["held-out"]
    for part, some in parts.items():
        assert {part_of_style(style) for style in names[part]} == {part}
        for each in some:
            assert each.kind == "studio"
            assert "alt1" not in each.name  # a close-up shows no outline
            assert set(np.unique(each.label)) <= {BACKGROUND, PERSON, UPPER, IGNORE}
            assert (each.label == UPPER).mean() > 0.15


def test_a_missing_shop_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="luma"):
        read_studio(tmp_path, "development", labeller, lambda *_: None)
