from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.vision.conftest import SIDE, drawn_photo, row_of, segmenter_file
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.load import load_segmenter
from worker.vision.preprocess import from_output, place, resize, to_input
from worker.vision.registry import Registry
from worker.vision.rows import InputSpec, ModelRow, OutputSpec
from worker.vision.segmenters import foreground
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, Segmenter


def built_in(model_id: str, vision: VisionSettings) -> Segmenter:
    return load_segmenter(Registry(vision).get(model_id), ModelStore(vision), vision)


def truth(photo: ByteArray) -> npt.NDArray[np.bool_]:
    """The drawn shirt: red or the stripe, inside the shirt's box."""
    return np.asarray(photo[..., 0].astype(int) - photo[..., 2] > 60)


def overlap(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_an_onnx_segmenter_gives_masks_of_each_photos_own_size_in_order(segmenter_row: ModelRow, vision: VisionSettings) -> None:
    segmenter = load_segmenter(segmenter_row, ModelStore(vision), vision)
    photos = [np.full((40 + i, 90 - i, 3), (i * 50, 9, 9), np.uint8) for i in range(5)]
    masks = segmenter.segment(photos, categories=[None] * 5)
    assert segmenter.model_id == "red"
    for index, (photo, mask) in enumerate(zip(photos, masks, strict=True)):
        assert mask.alpha.shape == photo.shape[:2]
        assert mask.alpha.dtype == np.uint8
        # The model's mask is its red channel, normalised to 0..1: the photo's red comes back.
        assert abs(int(mask.alpha[20, 40]) - index * 50) <= 1
        assert mask.coverage == float(index * 50 >= 128)


def test_no_photos_give_no_masks(segmenter_row: ModelRow, vision: VisionSettings) -> None:
    assert load_segmenter(segmenter_row, ModelStore(vision), vision).segment([]) == []


def test_none_takes_the_whole_photo(vision: VisionSettings, photo: ByteArray) -> None:
    mask = built_in("none", vision).segment([photo])[0]
    assert mask.coverage == 1.0
    assert mask.alpha.shape == photo.shape[:2]
    assert (mask.alpha == 255).all()


def test_grabcut_finds_a_garment_that_differs_from_the_floor(vision: VisionSettings, photo: ByteArray) -> None:
    mask = built_in("grabcut", vision).segment([photo])[0]
    assert overlap(mask.alpha >= 128, truth(photo)) > 0.75


def test_grabcut_gives_the_same_mask_every_time_and_in_any_company(vision: VisionSettings, photo: ByteArray) -> None:
    grabcut = built_in("grabcut", vision.model_copy(update={"threads": 2}))
    alone = grabcut.segment([photo])[0]
    others = [drawn_photo(200 + 10 * i, 170) for i in range(3)]
    for mask in grabcut.segment([*others, photo])[-1:]:
        np.testing.assert_array_equal(mask.alpha, alone.alpha)


@pytest.mark.parametrize("shape", [(300, 200), (8, 8), (32, 700), (1, 1)])
def test_grabcut_survives_photos_of_one_colour_and_odd_shapes(vision: VisionSettings, shape: tuple[int, int]) -> None:
    mask = built_in("grabcut", vision).segment([np.full((*shape, 3), 90, np.uint8)])[0]
    assert mask.alpha.shape == shape
    assert 0 <= mask.coverage <= 1


def test_channels_that_mean_garment_are_added_up_after_the_activation() -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[1, 0, 0] = 20
    plane = foreground(logits, OutputSpec(name="x", activation="softmax", channels=(1, 2)))
    np.testing.assert_allclose(plane, [[1, 2 / 3], [2 / 3, 2 / 3]], atol=1e-6)
    assert plane.dtype == np.float32


def test_a_sigmoid_may_be_left_to_the_worker() -> None:
    plane = foreground(np.array([[0, 100], [-100, 0]], np.float32), OutputSpec(name="x", activation="sigmoid"))
    np.testing.assert_allclose(plane, [[0.5, 1], [0, 0.5]], atol=1e-6)


def test_a_channel_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="gives 1 channels, its row names channel 3"):
        foreground(np.zeros((1, 4, 4), np.float32), OutputSpec(name="x", channels=(3,)))


LETTERBOX = InputSpec(image="x", height=64, width=64, resize="letterbox")


def test_a_letterboxed_photo_keeps_its_proportions_and_its_mask_comes_back_in_place() -> None:
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[20:60, 50:150] = 250
    boxed = resize(photo, LETTERBOX)
    at = place(100, 200, LETTERBOX)
    assert (at.width, at.height, at.left, at.top) == (64, 32, 0, 16)
    assert (boxed[: at.top] == 255).all()
    plane = np.divide(boxed[..., 0], 255, dtype=np.float32)
    plane[: at.top] = plane[at.top + at.height :] = 0
    back = from_output(plane, 100, 200, LETTERBOX)
    assert back.shape == (100, 200)
    assert overlap(back >= 128, photo[..., 0] >= 128) > 0.9


def test_a_stretched_mask_comes_back_in_place() -> None:
    spec = InputSpec(image="x", height=64, width=64)
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[20:60, 50:150] = 255
    back = from_output(np.divide(resize(photo, spec)[..., 0], 255, dtype=np.float32), 100, 200, spec)
    assert overlap(back >= 128, photo[..., 0] >= 128) > 0.9


@pytest.mark.parametrize(("value_range", "expected"), [("unit", 100 / 255), ("photo-max", 0.5), ("byte", 100.0)])
def test_pixels_are_scaled_as_the_row_says(value_range: str, expected: float) -> None:
    photo = np.full((SIDE, SIDE, 3), 100, np.uint8)
    photo[0, 0] = 200
    spec = InputSpec.model_validate({"image": "x", "height": SIDE, "width": SIDE, "range": value_range})
    assert to_input(photo, spec)[1, 5, 5] == pytest.approx(expected)


def test_pixels_are_normalised_and_laid_out_as_the_row_says() -> None:
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    photo[..., 2] = 255
    spec = InputSpec(image="x", height=SIDE, width=SIDE, layout="nhwc", mean=(0, 0, 0.5), std=(1, 1, 0.25))
    values = to_input(photo, spec)
    assert values.shape == (SIDE, SIDE, 3)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[3, 3], [0, 0, 2], atol=1e-6)


def test_a_uint8_model_gets_the_bytes() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    spec = InputSpec(image="x", height=SIDE, width=SIDE, layout="nhwc", dtype="uint8", range="byte")
    np.testing.assert_array_equal(to_input(photo, spec), photo)


def test_a_model_that_gives_all_or_nothing_never_breaks_the_mask(vision: VisionSettings, tmp_path: Path) -> None:
    row = row_of(
        segmenter_file(tmp_path / "wild.onnx"), "segment", input=InputSpec(image="image", height=SIDE, width=SIDE, range="byte")
    )
    mask = load_segmenter(row, ModelStore(vision), vision).segment([np.full((50, 60, 3), 200, np.uint8)])[0]
    assert mask.coverage == 1.0
    assert (mask.alpha == 255).all()
