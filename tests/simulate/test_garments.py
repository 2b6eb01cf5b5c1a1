from __future__ import annotations

import subprocess
import sys
from typing import get_args

import cv2
import numpy as np
import pytest

from worker.simulate.arrays import ByteArray
from worker.simulate.categories import Category
from worker.simulate.colours import COLOURWAY_DISTANCE, lab, lab_distance, palettes
from worker.simulate.fabric import fabric_tile
from worker.simulate.garments import MAX_COLOURWAYS, Garment, garment, studio_photo
from worker.simulate.layers import View
from worker.simulate.prints import TILE, print_tile

SIDE = 256


def shape_iou(first: ByteArray, second: ByteArray) -> float:
    a, b = first > 127, second > 127
    return float((a & b).sum() / (a | b).sum())


def mean_lab(rgb: ByteArray, mask: ByteArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return lab(np.asarray(rgb[mask > 200].mean(axis=0), dtype=np.uint8))


def fingerprint(article: Garment) -> bytes:
    photo = studio_photo(article, side=SIDE)
    return np.asarray(cv2.resize(photo.rgb, (16, 16), interpolation=cv2.INTER_AREA), dtype=np.uint8).tobytes()


@pytest.mark.parametrize("view", ["front", "back"])
def test_the_same_article_is_drawn_the_same_every_time(view: View) -> None:
    first, second = (studio_photo(garment(17, 1), view, SIDE) for _ in range(2))
    assert np.array_equal(first.rgb, second.rgb)
    assert np.array_equal(first.mask, second.mask)


def test_another_process_draws_the_same_article() -> None:
    code = (
        "import zlib; from worker.simulate.garments import garment, studio_photo;"
        f"print(zlib.crc32(studio_photo(garment(5), side={SIDE}).rgb.tobytes()))"
    )
    printed = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout for _ in range(2)}
    assert len(printed) == 1


def test_thousands_of_articles_differ_in_style_or_colour() -> None:
    articles = [garment(seed) for seed in range(3000)]
    assert len({(article.style, article.palette) for article in articles}) == 3000
    assert len({article.category for article in articles}) == len(Category)


def test_pictures_of_different_articles_differ() -> None:
    drawn = {fingerprint(garment(seed)) for seed in range(60)}
    assert len(drawn) == 60


@pytest.mark.parametrize("category", list(Category))
def test_every_category_can_be_drawn_from_both_sides(category: Category) -> None:
    for seed in range(4):
        article = garment(1000 + seed, 0, category)
        assert article.category is category
        for view in get_args(View):
            photo = studio_photo(article, view, SIDE)
            assert photo.rgb.shape == (SIDE, SIDE, 3)
            assert photo.rgb.dtype == np.uint8
            covered = (photo.mask > 127).mean()
            assert 0.08 < covered < 0.85


def test_colourways_share_their_shape_and_differ_in_colour() -> None:
    for seed in range(12):
        front = [studio_photo(garment(seed, colourway), side=SIDE) for colourway in range(3)]
        assert shape_iou(front[0].mask, front[1].mask) > 0.995
        assert shape_iou(front[0].mask, front[2].mask) > 0.995
        bases = [garment(seed, colourway).palette.colours[0] for colourway in range(3)]
        assert min(lab_distance(bases[i], bases[j]) for i, j in ((0, 1), (0, 2), (1, 2))) >= COLOURWAY_DISTANCE / 2
        assert np.abs(front[0].rgb.astype(int) - front[1].rgb).mean() > 1


def test_colourways_share_their_print() -> None:
    rng_seed = 3
    two = ([[10, 10, 10], [240, 240, 240], [100, 0, 0], [0, 0, 100]], [[0, 60, 0], [250, 200, 200], [9, 90, 90], [60, 0, 60]])
    tiles = [print_tile("floral", np.random.default_rng(rng_seed), np.array(colours, dtype=np.uint8)) for colours in two]
    backgrounds = [np.all(tile == tile[0, 0], axis=2) for tile in tiles]
    same = float((backgrounds[0] == backgrounds[1]).mean())
    assert same > 0.97


def test_six_colourways_of_every_style_are_different_articles() -> None:
    for seed in range(60):
        bases = {garment(seed, colourway).palette.colours[0] for colourway in range(MAX_COLOURWAYS)}
        assert len(bases) == MAX_COLOURWAYS


def test_asking_for_more_colourways_keeps_the_first_ones() -> None:
    few = palettes(np.random.default_rng(4), 2)
    many = palettes(np.random.default_rng(4), 6)
    assert many[:2] == few


def test_a_colourway_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 5"):
        garment(1, MAX_COLOURWAYS)


def test_the_mask_is_where_the_garment_is_and_the_rest_is_white() -> None:
    for seed in range(20):
        photo = studio_photo(garment(seed), side=SIDE)
        away = cv2.dilate(photo.mask, np.ones((25, 25), np.uint8)) == 0
        assert photo.rgb[away].min() >= 235
        inside = cv2.erode(photo.mask, np.ones((5, 5), np.uint8)) > 250
        assert inside.any()
        assert set(np.unique(photo.mask)) <= set(range(256))
        touched = np.concatenate([photo.mask[0], photo.mask[-1], photo.mask[:, 0], photo.mask[:, -1]])
        assert touched.max() == 0


def test_a_dark_garment_is_dark_inside_its_mask() -> None:
    seed = next(seed for seed in range(500) if garment(seed).colour == "black" and garment(seed).style.print_name == "plain")
    photo = studio_photo(garment(seed), side=SIDE)
    assert np.median(photo.rgb[photo.mask > 250]) < 70


def test_front_and_back_are_the_same_garment_seen_differently() -> None:
    differing = 0
    for seed in range(15):
        front, back = studio_photo(garment(seed), "front", SIDE), studio_photo(garment(seed), "back", SIDE)
        assert shape_iou(front.mask, back.mask) > 0.8
        assert np.linalg.norm(mean_lab(front.rgb, front.mask) - mean_lab(back.rgb, back.mask)) < 25
        differing += np.abs(front.rgb.astype(int) - back.rgb).mean() > 1
    assert differing == 15


def test_side_scales_the_picture() -> None:
    small, large = studio_photo(garment(8), side=256), studio_photo(garment(8), side=512)
    assert shape_iou(np.asarray(cv2.resize(large.mask, (256, 256)), dtype=np.uint8), small.mask) > 0.93


def test_tiles_repeat_without_a_seam() -> None:
    colours = np.array([[200, 30, 30], [20, 20, 120], [240, 240, 240], [10, 120, 60]], dtype=np.uint8)
    for name in ("floral", "dots", "animal", "camouflage", "confetti", "tie-dye", "geometric"):
        tile = print_tile(name, np.random.default_rng(1), colours).astype(int)
        assert tile.shape == (TILE, TILE, 3)
        across_the_edge = np.abs(tile[:, 0] - tile[:, -1]).mean()
        between_neighbours = np.abs(np.diff(tile, axis=1)).mean()
        assert across_the_edge <= 4 * between_neighbours + 2


def test_fabric_keeps_the_colour_on_average() -> None:
    for name in ("jersey", "knit", "rib", "denim", "corduroy", "canvas", "fleece", "satin", "leather", "tweed", "linen"):
        tile = fabric_tile(name, np.random.default_rng(2))
        assert abs(float(tile.mean()) - 1) < 0.03
        assert float(tile.std()) < 0.2
