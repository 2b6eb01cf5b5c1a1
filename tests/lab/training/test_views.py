"""Phone-like views of a crop."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from worker.lab.training.views import HARD, MILD, WILD, Strength, as_crop, bare, recoloured, view
from worker.vision.types import ByteArray

SIDE = 96
STILL = Strength(
    turn=0, wide_turn=0, tilt=0, bend=0, crease=0, exposure=(1, 1), gamma=(1, 1), cast=0, saturation=(1, 1), light=0, flash=0,
    noise=(0, 0), blur=0, shrink=0, jpeg=(95, 96), close_up=0, hidden=0, cut_away=0, torn=0, mirror=0,
)  # fmt: skip


@pytest.fixture
def garment() -> tuple[ByteArray, ByteArray]:
    """A red shirt-like shape on white."""
    rgb = np.full((SIDE, SIDE, 3), 255, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:80, 25:70] = 255
    mask[20:40, 8:88] = 255
    rgb[mask > 0] = (180, 40, 30)
    rgb[30:34, 8:88] = (240, 240, 40)
    return rgb, mask


GROUND = np.full((40, 40, 3), (20, 90, 20), np.uint8)


def mean_colour(rgb: ByteArray, mask: ByteArray) -> np.ndarray:
    return np.asarray(rgb[mask >= 128].mean(axis=0))


def test_a_view_has_the_wanted_side_and_kinds(garment: tuple[ByteArray, ByteArray]) -> None:
    rgb, mask = view(*garment, GROUND, np.random.default_rng(0), 64, Strength())
    assert rgb.shape == (64, 64, 3)
    assert mask.shape == (64, 64)
    assert rgb.dtype == np.uint8
    assert mask.dtype == np.uint8


def test_the_same_state_gives_the_same_view_and_another_state_another(garment: tuple[ByteArray, ByteArray]) -> None:
    first, again, other = (view(*garment, GROUND, np.random.default_rng(seed), 64, Strength())[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_view_changes_neither_crop_nor_mask_it_was_made_of(garment: tuple[ByteArray, ByteArray]) -> None:
    rgb, mask = garment[0].copy(), garment[1].copy()
    for seed in range(12):
        view(*garment, GROUND, np.random.default_rng(seed), 64, Strength())
    assert np.array_equal(rgb, garment[0])
    assert np.array_equal(mask, garment[1])


def test_without_strength_a_view_shows_the_garment_as_it_is(garment: tuple[ByteArray, ByteArray]) -> None:
    rgb, mask = view(*garment, GROUND, np.random.default_rng(1), SIDE, STILL)
    assert np.abs(mean_colour(rgb, mask) - mean_colour(*garment)).max() < 6
    assert abs(int((mask >= 128).sum()) / int((garment[1] >= 128).sum()) - 1) < 0.6  # scaled to fill the crop


def test_what_is_outside_the_mask_of_a_view_is_white(garment: tuple[ByteArray, ByteArray]) -> None:
    for seed in range(8):
        rgb, mask = view(*garment, GROUND, np.random.default_rng(seed), SIDE, Strength(close_up=0))
        outside = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
        assert (rgb[outside] == 255).all()


def test_views_keep_the_garments_colour_recognisable(garment: tuple[ByteArray, ByteArray]) -> None:
    mild = Strength(cast=0.06, exposure=(0.8, 1.15), hidden=0, torn=0, close_up=0)
    for seed in range(20):
        red, green, blue = mean_colour(*view(*garment, GROUND, np.random.default_rng(seed), SIDE, mild))
        assert red > 1.3 * green
        assert red > 1.3 * blue


def test_a_hard_view_is_further_from_the_crop_than_a_wild_one_and_that_than_a_mild_one(
    garment: tuple[ByteArray, ByteArray],
) -> None:
    def distance(strength: Strength) -> float:
        views = [view(*garment, GROUND, np.random.default_rng(seed), SIDE, strength)[0] for seed in range(60)]
        return float(np.mean([np.abs(seen.astype(float) - garment[0]).mean() for seen in views]))

    assert distance(MILD) < distance(WILD) < distance(HARD)


def test_where_nothing_would_be_left_the_crop_itself_is_the_view() -> None:
    rgb, mask = np.full((SIDE, SIDE, 3), 255, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    seen, found = view(rgb, mask, np.full((8, 8, 3), 255, np.uint8), np.random.default_rng(0), 48, STILL)
    assert seen.shape == (48, 48, 3)
    assert not found.any() or found.all()


def test_a_recoloured_garment_is_plainly_of_another_colour_every_time(garment: tuple[ByteArray, ByteArray]) -> None:
    lab = cv2.cvtColor(garment[0], cv2.COLOR_RGB2LAB).astype(float)
    for seed in range(30):
        other = cv2.cvtColor(recoloured(*garment, np.random.default_rng(seed)), cv2.COLOR_RGB2LAB).astype(float)
        change = np.linalg.norm(other[garment[1] > 0].mean(axis=0) - lab[garment[1] > 0].mean(axis=0))
        assert change > 15


def test_a_grey_garment_can_be_recoloured_too() -> None:
    rgb, mask = np.full((SIDE, SIDE, 3), 128, np.uint8), np.full((SIDE, SIDE), 255, np.uint8)
    for seed in range(20):
        change = np.abs(recoloured(rgb, mask, np.random.default_rng(seed)).astype(int) - 128).mean()
        assert change > 8


def test_recolouring_leaves_what_is_not_garment_alone(garment: tuple[ByteArray, ByteArray]) -> None:
    changed = recoloured(*garment, np.random.default_rng(5))
    assert (changed[garment[1] == 0] == 255).all()


def test_a_crop_at_its_own_side_is_itself_and_at_another_is_scaled(garment: tuple[ByteArray, ByteArray]) -> None:
    assert as_crop(*garment, SIDE)[0] is garment[0]
    rgb, mask = as_crop(*garment, 48)
    assert rgb.shape == (48, 48, 3)
    assert np.abs(mean_colour(rgb, mask) - mean_colour(*garment)).max() < 12


def test_a_bare_garment_has_no_print_keeps_its_colour_and_is_mirrored() -> None:
    rgb = np.full((96, 96, 3), 255, np.uint8)
    mask = np.zeros((96, 96), np.uint8)
    mask[10:90, 20:60] = 255
    rgb[mask > 0] = (40, 90, 160)
    rgb[40:42, 30:50] = (250, 250, 20)  # a print
    plain = bare(rgb, mask)
    mirrored = mask[:, ::-1]
    assert plain.shape == rgb.shape
    assert (plain[mirrored == 0] == 255).all()
    there = plain[mirrored > 0].astype(int)
    assert np.abs(there.mean(axis=0) - rgb[mask > 0].mean(axis=0)).max() < 8
    assert np.ptp(there, axis=0).max() < 40 < np.ptp(rgb[mask > 0].astype(int), axis=0).max()
