from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
import pytest

from worker.simulate.arrays import ByteArray, Rng
from worker.simulate.backgrounds import Background, background_from_photo, draw_background
from worker.simulate.crumple import crumple, folded
from worker.simulate.garments import StudioPhoto, garment, studio_photo
from worker.simulate.phone import PHONE_SIZE, phone_shot
from worker.simulate.phone_harsh import phone_shot_harsh
from worker.simulate.placing import bled, bounds, random_pose, warped

Shot = tuple[ByteArray, ByteArray]
SIZE = (320, 240)
GREEN = (0, 200, 0)


def mild(photo: StudioPhoto, background: ByteArray | None, rng: Rng) -> Shot:
    return phone_shot(photo.rgb, photo.mask, background, rng, "mild", SIZE)


def harsh(photo: StudioPhoto, background: ByteArray | None, rng: Rng) -> Shot:
    return phone_shot(photo.rgb, photo.mask, background, rng, "harsh", SIZE)


def second(photo: StudioPhoto, background: ByteArray | None, rng: Rng) -> Shot:
    return phone_shot_harsh(photo.rgb, photo.mask, background, rng, SIZE)


SIMULATORS = pytest.mark.parametrize("shoot", [mild, harsh, second])


@pytest.fixture(scope="module")
def red() -> StudioPhoto:
    """A plain red garment: every one of its pixels can be told from a green floor."""
    drawn = studio_photo(garment(3), side=320)
    rgb = np.full_like(drawn.rgb, 255)
    rgb[drawn.mask > 0] = (200, 20, 20)
    return StudioPhoto(rgb, drawn.mask)


def green_floor() -> ByteArray:
    return np.full((*SIZE, 3), GREEN, dtype=np.uint8)


def reddish(image: ByteArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Red against green, whatever the light."""
    return np.asarray(image[..., 0].astype(int) > image[..., 1].astype(int))


@SIMULATORS
def test_the_same_generator_gives_the_same_shot(shoot: Callable[..., Shot], red: StudioPhoto) -> None:
    first, second_time = (shoot(red, None, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first[0], second_time[0])
    assert np.array_equal(first[1], second_time[1])


@SIMULATORS
def test_another_generator_gives_another_shot(shoot: Callable[..., Shot], red: StudioPhoto) -> None:
    first, other = shoot(red, None, np.random.default_rng(5)), shoot(red, None, np.random.default_rng(6))
    assert np.abs(first[0].astype(int) - other[0]).mean() > 3


@SIMULATORS
def test_shot_and_mask_have_the_size_asked_for(shoot: Callable[..., Shot], red: StudioPhoto) -> None:
    image, mask = shoot(red, None, np.random.default_rng(1))
    assert image.shape == (*SIZE, 3)
    assert mask.shape == SIZE
    assert image.dtype == mask.dtype == np.uint8


@pytest.mark.parametrize(("shoot", "least"), [(mild, 0.95), (harsh, 0.85), (second, 0.8)])
def test_the_true_mask_is_where_the_garment_is_after_the_warp(shoot: Callable[..., Shot], least: float, red: StudioPhoto) -> None:
    overlaps = []
    for seed in range(12):
        image, mask = shoot(red, green_floor(), np.random.default_rng(seed))
        seen = reddish(np.asarray(cv2.medianBlur(image, 5), dtype=np.uint8))
        true = mask > 127
        overlaps.append(float((seen & true).sum() / max(1, (seen | true).sum())))
    assert np.median(overlaps) > least


@SIMULATORS
def test_most_of_the_garment_stays_in_the_picture(shoot: Callable[..., Shot], red: StudioPhoto) -> None:
    for seed in range(12):
        _, mask = shoot(red, None, np.random.default_rng(seed))
        assert 0.04 < (mask > 127).mean() < 0.9


def test_harsh_shots_are_further_from_the_mild_light_and_pose(red: StudioPhoto) -> None:
    def spread(shoot: Callable[..., Shot]) -> float:
        means = [
            image[mask > 200].mean() for image, mask in (shoot(red, green_floor(), np.random.default_rng(s)) for s in range(16))
        ]
        return float(np.std(means))

    assert spread(harsh) > 1.3 * spread(mild)


def test_no_rim_of_studio_white_comes_along(red: StudioPhoto) -> None:
    for seed in range(6):
        image, mask = mild(red, green_floor(), np.random.default_rng(seed))
        edge = (cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 60) & (cv2.erode(mask, np.ones((3, 3), np.uint8)) < 200)
        # White has all of blue; neither red cloth nor green floor has.
        assert np.percentile(image[..., 2][edge], 95) < 120


def test_an_empty_mask_is_refused(red: StudioPhoto) -> None:
    nothing = np.zeros_like(red.mask)
    with pytest.raises(ValueError, match="no garment"):
        phone_shot(red.rgb, nothing, None, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no garment"):
        phone_shot_harsh(red.rgb, nothing, None, np.random.default_rng(0))


@pytest.mark.parametrize("kind", list(Background))
def test_every_background_has_its_size_and_is_neither_black_nor_blown_out(kind: Background) -> None:
    for seed in range(4):
        ground = draw_background((121, 83), np.random.default_rng(seed), kind)
        assert ground.shape == (121, 83, 3)
        assert 20 < ground.mean() < 250


def test_backgrounds_are_drawn_the_same_from_the_same_generator() -> None:
    first, other = (draw_background(SIZE, np.random.default_rng(2)) for _ in range(2))
    assert np.array_equal(first, other)


def test_a_real_photo_lends_its_margin_without_its_garment() -> None:
    photo = np.full((300, 200, 3), (40, 90, 160), dtype=np.uint8)
    photo[60:240, 40:160] = (220, 30, 30)  # the garment, well inside
    for seed in range(8):
        ground = background_from_photo(photo, PHONE_SIZE, np.random.default_rng(seed))
        assert ground.shape == (*PHONE_SIZE, 3)
        assert not reddish(ground).any()


@pytest.mark.parametrize("shape", [(64, 64), (400, 300), (300, 400), (90, 700)])
def test_a_real_photo_of_any_shape_fills_the_picture(shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    for seed in range(6):
        assert background_from_photo(photo, (200, 333), np.random.default_rng(seed)).shape == (200, 333, 3)


def test_a_supplied_background_is_seen_around_the_garment(red: StudioPhoto) -> None:
    image, mask = mild(red, green_floor(), np.random.default_rng(4))
    corner = image[:20, :20].astype(int)
    assert mask[:20, :20].max() == 0
    assert (corner[..., 1] > corner[..., 0] + 40).all()


def test_bounds_are_those_of_the_mask() -> None:
    mask = np.zeros((50, 60), dtype=np.uint8)
    mask[10:20, 5:30] = 255
    assert bounds(mask) == (5, 10, 30, 20)


def test_a_pose_puts_the_middle_of_the_garment_near_the_middle_of_the_picture(red: StudioPhoto) -> None:
    left, top, right, bottom = bounds(red.mask)
    for seed in range(10):
        pose = random_pose(red.mask, SIZE, np.random.default_rng(seed), turn=30, tilt=0.05, fill=(0.6, 0.9), shift=0.05)
        x, y = pose.place((left + right) / 2, (top + bottom) / 2)
        assert abs(x - SIZE[1] / 2) < 0.2 * SIZE[1]
        assert abs(y - SIZE[0] / 2) < 0.2 * SIZE[0]


def test_warping_moves_picture_and_mask_together(red: StudioPhoto) -> None:
    pose = random_pose(red.mask, SIZE, np.random.default_rng(1), turn=20, tilt=0.05, fill=(0.8, 0.8), shift=0.0)
    colour, cover = warped(bled(red.rgb, red.mask), red.mask, pose)
    inside = cover > 250
    assert reddish(colour)[inside].all()
    left, top, right, bottom = bounds(red.mask)
    x, y = pose.place((left + right) / 2, (top + bottom) / 2)
    inside_source = red.mask[(top + bottom) // 2, (left + right) // 2] > 250
    assert (cover[round(y), round(x)] > 127) == inside_source


def test_bleeding_keeps_the_garment_and_covers_the_white_next_to_it(red: StudioPhoto) -> None:
    spread = bled(red.rgb, red.mask)
    assert np.array_equal(spread[red.mask >= 240], red.rgb[red.mask >= 240])
    rim = (cv2.dilate(red.mask, np.ones((5, 5), np.uint8)) > 0) & (red.mask < 240)
    assert reddish(spread)[rim].mean() > 0.98


def test_a_fold_hides_a_part_and_never_most(red: StudioPhoto) -> None:
    whole = float((red.mask > 127).sum())
    changed = 0
    for seed in range(20):
        rgb, mask = folded(red.rgb, red.mask, np.random.default_rng(seed))
        left = float((mask > 127).sum())
        assert left > 0.7 * whole
        assert left <= whole * 1.02
        assert rgb.shape == red.rgb.shape
        changed += left < whole
    assert changed >= 15


def test_crumpled_cloth_has_facets_of_their_own_slope() -> None:
    relief = crumple((120, 160), np.random.default_rng(0), facets=30, squeeze=0.3)
    for layer in (relief.shift_x, relief.shift_y, relief.tilt_x, relief.tilt_y, relief.crease):
        assert layer.shape == (120, 160)
        assert np.isfinite(layer).all()
    assert relief.tilt_x.std() > 0.1
    assert 0 <= relief.crease.min() <= relief.crease.max() <= 1.01
    assert np.abs(relief.shift_x).max() < 40


def test_what_hides_the_garment_is_not_in_its_true_mask(red: StudioPhoto) -> None:
    """In the second simulator hands and tags lie over the garment: where the mask says garment, red is seen."""
    agreeing = []
    for seed in range(16):
        image, mask = second(red, green_floor(), np.random.default_rng(seed))
        inside = cv2.erode(mask, np.ones((7, 7), np.uint8)) > 200
        if inside.any():
            agreeing.append(float(reddish(image)[inside].mean()))
    assert np.median(agreeing) > 0.95


@pytest.mark.parametrize("severity", ["mild", "harsh"])
def test_colour_survives_well_enough_to_tell_colourways_apart(severity: Literal["mild", "harsh"]) -> None:
    """A person must be able to tell; if the shot destroyed colour, no model could learn to."""
    near = 0
    for seed in range(10):
        pair = [studio_photo(garment(seed, colourway), side=256) for colourway in (0, 1)]
        shots = [phone_shot(p.rgb, p.mask, None, np.random.default_rng(seed), severity, SIZE) for p in pair]
        studio = [np.median(p.rgb[p.mask > 250], axis=0) for p in pair]
        phone = [np.median(image[mask > 250], axis=0) for image, mask in shots]
        right = np.linalg.norm(phone[0] - studio[0]) + np.linalg.norm(phone[1] - studio[1])
        crossed = np.linalg.norm(phone[0] - studio[1]) + np.linalg.norm(phone[1] - studio[0])
        near += right < crossed
    assert near >= 9
