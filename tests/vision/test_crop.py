from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import PhotoRefused, Reason
from worker.vision.crop import COMPONENT_SHARE, MARGIN, MIN_COVERAGE, NOT_FOUND_FLAG, largest_components, make_crop
from worker.vision.segmenters import mask_of
from worker.vision.types import ByteArray, Mask


def photo_with_box(height: int, width: int, box: tuple[int, int, int, int]) -> tuple[ByteArray, Mask]:
    """A green floor with a red box (left, top, right, bottom), and its mask."""
    rgb = np.full((height, width, 3), (20, 160, 30), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    left, top, right, bottom = box
    rgb[top:bottom, left:right] = (200, 10, 10)
    alpha[top:bottom, left:right] = 255
    return rgb, mask_of(alpha)


def test_a_crop_is_square_white_around_the_garment_and_has_a_margin() -> None:
    rgb, mask = photo_with_box(400, 300, (100, 50, 150, 250))  # 50 wide, 200 high
    crop = make_crop(rgb, mask, 224)
    assert crop.rgb.shape == (224, 224, 3)
    assert crop.mask.shape == (224, 224)
    assert crop.rgb.dtype == crop.mask.dtype == np.uint8
    rows, columns = np.where(crop.mask >= 128)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == pytest.approx(224 / (1 + 2 * MARGIN), abs=2)
    assert width == pytest.approx(height / 4, abs=2)
    assert (crop.rgb[crop.mask == 0] == 255).all()
    assert np.abs(crop.rgb[crop.mask == 255].astype(int) - (200, 10, 10)).max() <= 2
    assert crop.flags == ()


def test_nothing_of_the_floor_is_in_the_crop() -> None:
    rgb, mask = photo_with_box(400, 300, (40, 60, 260, 333))
    crop = make_crop(rgb, mask, 96).rgb.astype(int)
    assert not ((crop[..., 1] - crop[..., 0]) > 40).any()


def test_both_shoes_stay_and_speckles_go() -> None:
    alpha = np.zeros((200, 200), np.uint8)
    alpha[50:150, 20:60] = 255
    alpha[50:150, 120:160] = 255
    alpha[10:14, 10:14] = 255
    kept = largest_components(alpha)
    assert kept[100, 40] == kept[100, 140] == 255
    assert kept[12, 12] == 0


def test_soft_edges_are_kept() -> None:
    alpha = np.zeros((100, 100), np.uint8)
    alpha[20:80, 20:80] = 60
    alpha[22:78, 22:78] = 255
    assert largest_components(alpha)[21, 50] == 60


def test_without_a_garment_the_whole_photo_is_the_crop_and_says_so(photo: ByteArray) -> None:
    crop = make_crop(photo, mask_of(np.zeros(photo.shape[:2], np.uint8)), 128)
    assert crop.flags == (NOT_FOUND_FLAG,)
    rows, columns = np.where(crop.mask == 255)
    assert int(np.ptp(rows)) + 1 == 128
    assert int(np.ptp(columns)) + 1 == round(128 * photo.shape[1] / photo.shape[0])


def test_a_speckle_is_no_garment(photo: ByteArray) -> None:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[10:15, 10:15] = 255
    assert make_crop(photo, mask_of(alpha), 64).flags == (NOT_FOUND_FLAG,)


def test_a_photo_of_nothing_is_refused() -> None:
    blank = np.full((300, 200, 3), 7, np.uint8)
    with pytest.raises(PhotoRefused) as refused:
        make_crop(blank, mask_of(np.zeros((300, 200), np.uint8)), 224)
    assert refused.value.reason is Reason.PHOTO_NO_GARMENT


def test_a_mask_of_another_size_is_a_mistake_of_the_caller(photo: ByteArray) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        make_crop(photo, mask_of(np.zeros((10, 10), np.uint8)), 64)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    side=st.integers(16, 80),
    seed=st.integers(0, 2**16),
    level=st.integers(0, 255),
)
def test_any_mask_gives_a_crop_or_a_refusal_and_the_input_stays(
    height: int, width: int, side: int, seed: int, level: int
) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = np.where(rng.random((height, width)) * 255 < level, rng.integers(0, 256, (height, width)), 0).astype(np.uint8)
    before = rgb.copy(), alpha.copy()
    try:
        crop = make_crop(rgb, mask_of(alpha), side)
    except PhotoRefused:
        return
    finally:
        np.testing.assert_array_equal(before[0], rgb)
        np.testing.assert_array_equal(before[1], alpha)
    assert crop.rgb.shape == (side, side, 3)
    assert crop.mask.shape == (side, side)
    assert crop.mask.max() > 0


def plainly_kept(alpha: ByteArray) -> ByteArray:
    """`largest_components`, said plainly: over the whole picture."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha >= 128).astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count == 1 or areas.sum() < MIN_COVERAGE * alpha.size:
        return np.zeros_like(alpha)
    large = [number + 1 for number, area in enumerate(areas) if area >= COMPONENT_SHARE * areas.max()]
    near = cv2.dilate(np.isin(labels, large).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where(near > 0, alpha, 0).astype(np.uint8)


@pytest.mark.parametrize("seed", range(40))
def test_components_and_colours_are_those_of_the_plain_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(20, 200, 2))
    smooth = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), float(rng.uniform(0.5, 15)))
    level = (smooth / smooth.std() - rng.uniform(-2, 2.5)) * rng.uniform(50, 600)
    alpha = np.clip(level + 128, 0, 255).astype(np.uint8)
    kept = plainly_kept(alpha)
    assert np.array_equal(largest_components(alpha), kept)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    box = cv2.boundingRect((kept >= 128).astype(np.uint8))
    if box[2] == 0:
        return
    # At the crop's own scale nothing is resized: each pixel is its share of garment over white, rounded.
    side = round(max(box[2], box[3]) * (1 + 2 * MARGIN))
    crop = make_crop(rgb, Mask(alpha, 0.5), side)
    part = slice(box[1], box[1] + box[3]), slice(box[0], box[0] + box[2])
    share = kept[part][..., None] / 255
    wanted = rgb[part] * share + 255 * (1 - share)
    top, left = (side - box[3]) // 2, (side - box[2]) // 2
    found = crop.rgb[top : top + box[3], left : left + box[2]]
    if round(side / (1 + 2 * MARGIN)) == max(box[2], box[3]):
        assert np.abs(found - wanted).max() <= 0.5 + 1e-6
