"""The shipped garment segmenter, on drawn photos: it loads, cuts a garment out, and gives the garment the category asks for."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES, GARMENTS, LOWER
from worker.vision.load import load_segmenter
from worker.vision.registry import Registry
from worker.vision.segmenters import OnnxSegmenter
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray

MODEL = "garment-light"
LARGEST = 20_000_000  # bytes: what a clone of the repository and an image can carry without Git LFS

HEIGHT, WIDTH = 400, 300
RED, BLUE, NAVY, SKIN, HAIR, BLACK, WOOD, WALL = (
    (180, 40, 50),
    (40, 70, 150),
    (40, 50, 110),
    (224, 180, 150),
    (60, 40, 30),
    (30, 30, 30),
    (170, 140, 105),
    (225, 224, 220),
)
WORN_SHIRT = (
    (110, 105),
    (190, 105),
    (225, 215),
    (200, 222),
    (185, 160),
    (187, 225),
    (113, 225),
    (115, 160),
    (100, 222),
    (75, 215),
)
WORN_TROUSERS = ((113, 225), (187, 225), (192, 360), (158, 360), (150, 260), (142, 360), (108, 360))
LYING_SHIRT = ((110, 70), (190, 70), (265, 150), (235, 185), (205, 155), (208, 340), (92, 340), (95, 155), (65, 185), (35, 150))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> OnnxSegmenter:
    place = tmp_path_factory.mktemp("models")
    vision = VisionSettings(
        cache_dir=place / "cache", registry_dir=place / "registry", threads=1, max_batch=2, batch_buckets=(1, 2), offline=True
    )
    loaded = load_segmenter(Registry(vision).row(MODEL, "segment"), ModelStore(vision), vision)
    assert isinstance(loaded, OnnxSegmenter)
    return loaded


def shape(points: tuple[tuple[int, int], ...]) -> npt.NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.array(points)], 1)
    return np.asarray(mask, np.bool_)


def grainy(photo: ByteArray) -> ByteArray:
    """With a camera's noise: an even colour is nothing a network was shown."""
    noise = np.random.default_rng(1).normal(0, 3, photo.shape)
    return np.asarray(np.clip(photo + noise, 0, 255), np.uint8)


def lying() -> ByteArray:
    photo = np.full((HEIGHT, WIDTH, 3), WOOD, np.uint8)
    for y in range(0, HEIGHT, 40):
        cv2.line(photo, (0, y), (WIDTH, y), (140, 110, 80), 2)
    photo[shape(LYING_SHIRT)] = BLUE
    cv2.ellipse(photo, (150, 70), (28, 14), 0, 0, 180, (25, 45, 100), -1)
    return grainy(photo)


def worn() -> ByteArray:
    photo = np.full((HEIGHT, WIDTH, 3), WALL, np.uint8)
    cv2.ellipse(photo, (150, 60), (28, 36), 0, 0, 360, SKIN, -1)
    cv2.ellipse(photo, (150, 42), (32, 26), 0, 180, 360, HAIR, -1)
    cv2.rectangle(photo, (138, 90), (162, 110), SKIN, -1)
    photo[shape(WORN_SHIRT)] = RED
    photo[shape(WORN_TROUSERS)] = NAVY
    for x in (88, 212):
        cv2.circle(photo, (x, 232), 12, SKIN, -1)
    for x in (122, 178):
        cv2.ellipse(photo, (x, 370), (20, 10), 0, 0, 360, BLACK, -1)
    return grainy(photo)


def test_it_is_shipped_small_with_its_licence_and_what_it_learned_from() -> None:
    row = Registry(VisionSettings()).row(MODEL, "segment")
    assert row.source == f"package:{MODEL}.onnx"
    assert row.size is not None
    assert row.size < LARGEST
    assert row.licence == "Apache-2.0"
    assert "CC0" in (row.notice or "")
    assert "Held out" in (row.card or "")
    assert "dirty" not in (row.card or "")


def test_it_knows_the_classes_and_says_which_are_garments(segmenter: OnnxSegmenter) -> None:
    assert segmenter.classes == CLASSES
    row = Registry(VisionSettings()).row(MODEL, "segment")
    assert row.output is not None
    assert tuple(row.output.channels) == GARMENTS


def test_a_garment_on_a_floor_is_cut_out(segmenter: OnnxSegmenter) -> None:
    mask = segmenter.segment([lying()])[0]
    found, truth = mask.alpha >= 128, shape(LYING_SHIRT)
    assert mask.alpha.shape == (HEIGHT, WIDTH)
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_of_a_worn_outfit_the_garments_are_cut_out_and_the_wearer_is_not(segmenter: OnnxSegmenter) -> None:
    photo, shirt, trousers = worn(), shape(WORN_SHIRT), shape(WORN_TROUSERS)
    found = segmenter.segment([photo])[0].alpha >= 128
    assert found[shirt].mean() > 0.9
    assert found[trousers].mean() > 0.9
    skin = np.zeros_like(found)
    skin[60:90, 135:165] = True  # the face
    assert found[skin].mean() < 0.1


def test_of_a_worn_outfit_the_category_says_what_is_cut_out(segmenter: OnnxSegmenter) -> None:
    # A drawing is no photo: a fifth of these flat trousers is taken for the shirt. Of real ones the garment asked for is met better
    # (IoU .68) than by the model before (.65), which drew the line here exactly; real photos are judged by `compare_segmenters`.
    photo, trousers = worn(), shape(WORN_TROUSERS)
    asked = {category: segmenter.segment([photo], [category])[0].alpha >= 128 for category in ("trousers", "T-shirt")}
    assert asked["trousers"][trousers].mean() > 0.7
    assert asked["T-shirt"][trousers].mean() < 0.25
    assert not (asked["trousers"] & shape(WORN_SHIRT) & ~trousers).any()


def test_a_batch_gives_what_one_photo_at_a_time_gives(segmenter: OnnxSegmenter) -> None:
    photos, categories = [lying(), worn()], ["shirt", "shirt"]
    together = segmenter.segment(photos, categories)
    for photo, category, mask in zip(photos, categories, together, strict=True):
        alone = segmenter.segment([photo], [category])[0]
        assert np.abs(alone.alpha.astype(int) - mask.alpha).max() <= 1
    assert (segmenter.label([worn()])[0] == LOWER)[shape(WORN_TROUSERS)].mean() > 0.5
