"""What each built-in model gives for one drawn photo: a change of a file, of the preprocessing or of the runtime shows here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from worker.settings.vision import VisionSettings
from worker.vision.crop import make_crop
from worker.vision.embedders import OnnxEmbedder
from worker.vision.graph import prepare
from worker.vision.load import crop_side, load_segmenter
from worker.vision.registry import Registry
from worker.vision.rows import ModelRow
from worker.vision.segmenters import mask_of
from worker.vision.session import OnnxSession
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, Crop

TOLERANCE = 1e-3
SETTINGS = VisionSettings(threads=2, max_batch=4, batch_buckets=(1, 2, 4))
# Points of the mask, 0..255: every 60th row from 30, every 48th column from 24; and the mask's coverage.
MASKS = {
    "garment-light": ([[0, 0, 0, 0, 0], [0, 254, 254, 254, 0], [0, 0, 190, 0, 0], [0, 1, 254, 0, 0], [0, 0, 0, 0, 0]], 0.27253),
    "tiramisu56": (
        [[1, 11, 28, 14, 1], [60, 211, 226, 218, 19], [103, 229, 243, 232, 46], [85, 32, 233, 216, 28], [18, 78, 99, 62, 3]],
        0.37850,
    ),
    "u2netp": ([[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 0, 74, 0, 0], [0, 0, 255, 0, 0], [0, 0, 0, 0, 0]], 0.24785),
    "u2netp-224": ([[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 0, 255, 0, 0], [0, 1, 255, 0, 0], [0, 0, 0, 0, 0]], 0.27129),
    "grabcut": ([[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 0, 255, 0, 0], [0, 0, 255, 0, 0], [0, 0, 0, 0, 0]], 0.26944),
    "none": ([[255] * 5] * 5, 1.0),
}
# The first numbers of the vector.
VECTORS = {
    "garment-lite0": [0.12725, 0.1501, 0.01377, 0.20703, 0.14993, -0.11066],
    "lite0-gem-lab": [0.094, -0.06971, -0.04227, -0.08001, 0.13502, -0.0021],
}
HISTOGRAM = "lite0-gem-lab"  # the one whose last numbers are the colour histogram itself
LARGEST_COLOURS = {403: 0.31893, 402: 0.27779, 491: 0.09156, 497: 0.06624}
COLOURS = 216  # the last numbers of the vector are the colour histogram


def truth_crop(photo: ByteArray, side: int) -> Crop:
    """The drawn shirt cut out by its colour: no segmenter is involved."""
    shirt = (photo[..., 0].astype(int) - photo[..., 1] > 60) | (photo.min(axis=2) > 225)
    return make_crop(photo, mask_of(shirt.astype(np.uint8) * 255), side)


@pytest.fixture(params=sorted(VECTORS))
def model_id(request: pytest.FixtureRequest) -> str:
    """Each built-in embedder."""
    return str(request.param)


def side_of(model_id: str) -> int:
    return crop_side(Registry(SETTINGS).row(model_id, "embed"))


def embedder(model_id: str) -> OnnxEmbedder:
    row = Registry(SETTINGS).row(model_id, "embed")
    return OnnxEmbedder(row, OnnxSession(ModelStore(SETTINGS).ensure(row), row, SETTINGS), threads=2)


@pytest.mark.parametrize("model_id", MASKS)
def test_a_segmenter_gives_the_canonical_mask(model_id: str, pulled: Callable[[str], ModelRow], photo: ByteArray) -> None:
    mask = load_segmenter(pulled(model_id), ModelStore(SETTINGS), SETTINGS).segment([photo])[0]
    points, coverage = MASKS[model_id]
    np.testing.assert_allclose(mask.alpha[30::60, 24::48] / 255, np.array(points) / 255, atol=0.02)
    assert mask.coverage == pytest.approx(coverage, abs=TOLERANCE)


def test_every_built_in_model_has_canonical_output_here() -> None:
    rows = Registry(VisionSettings()).rows
    assert {row.id for row in rows if row.task == "segment"} == set(MASKS)
    assert {row.id for row in rows if row.task == "embed"} == set(VECTORS)


def test_an_embedder_gives_the_canonical_vector(photo: ByteArray, model_id: str) -> None:
    model = embedder(model_id)
    vector = model.embed([truth_crop(photo, side_of(model_id))])[0]
    assert vector.shape == (512,)
    np.testing.assert_allclose(vector[: len(VECTORS[model_id])], VECTORS[model_id], atol=TOLERANCE)


def test_the_colour_numbers_are_the_canonical_ones(photo: ByteArray) -> None:
    model = embedder(HISTOGRAM)
    vector = model.embed([truth_crop(photo, side_of(HISTOGRAM))])[0]
    for position, value in LARGEST_COLOURS.items():
        assert vector[position] == pytest.approx(value, abs=TOLERANCE)


def test_company_in_the_batch_changes_no_vector(photo: ByteArray, model_id: str) -> None:
    model = embedder(model_id)
    photos = [photo, photo[:, ::-1].copy(), (photo // 2).astype(np.uint8)]
    crops = [truth_crop(each, side_of(model_id)) for each in photos]
    together = model.embed(crops)
    alone = np.concatenate([model.embed([crop]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_colour_part_is_a_histogram_of_lab_values_of_the_garment(photo: ByteArray) -> None:
    import cv2

    model = embedder(HISTOGRAM)
    crop = truth_crop(photo, side_of(HISTOGRAM))
    lab = cv2.cvtColor(crop.rgb[::2, ::2].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[crop.mask[::2, ::2] > 127]
    counts = np.zeros((6, 6, 6))  # OpenCV interpolates Lab from a table: the third digit differs
    for light, green, blue in lab:  # slow and obvious: each pixel into at most two bins of each axis
        axes = [light / 100 * 6, (green + 48) / 96 * 6, (blue + 48) / 96 * 6]
        shares = [
            [min(1.0, max(0.0, 0.5 + (0.5 - abs(min(max(at, 0.2), 5.8) - k - 0.5)) / 0.4)) for k in range(6)] for at in axes
        ]
        counts += np.einsum("i,j,k->ijk", *shares)
    wanted = np.sqrt(counts / counts.sum()).ravel()
    colour = model.embed([crop])[0][-COLOURS:]
    np.testing.assert_allclose(colour / np.linalg.norm(colour), wanted / np.linalg.norm(wanted), atol=5e-3)


def test_another_colour_of_the_same_garment_is_less_alike_than_another_photo_of_it(photo: ByteArray, model_id: str) -> None:
    model = embedder(model_id)
    same = photo[10:290, 5:235].copy()
    crop = truth_crop(photo, side_of(model_id))
    recoloured = Crop(rgb=np.ascontiguousarray(crop.rgb[..., ::-1]), mask=crop.mask)
    vectors = model.embed([crop, truth_crop(same, side_of(model_id)), recoloured])
    assert vectors[0] @ vectors[1] > 0.9
    assert vectors[0] @ vectors[2] < vectors[0] @ vectors[1] - 0.15


def test_a_crop_without_garment_still_has_a_finite_unit_vector(model_id: str) -> None:
    model = embedder(model_id)
    side = side_of(model_id)
    crop = Crop(rgb=np.full((side, side, 3), 255, np.uint8), mask=np.zeros((side, side), np.uint8))
    vector = model.embed([crop])[0]
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_half_precision_keeps_the_embedders_results(photo: ByteArray, model_id: str) -> None:
    # The CPU runs a half-precision graph with casts: what a GPU would lose in the weights and between the nodes is lost here too.
    import onnxruntime

    row = Registry(SETTINGS).row(model_id, "embed")
    crop = truth_crop(photo, crop_side(row))
    feed = {"rgb": crop.rgb[None], "mask": crop.mask[None]}
    path = ModelStore(SETTINGS).ensure(row)
    whole, half = (
        onnxruntime.InferenceSession(prepare(path, row, half=half), providers=["CPUExecutionProvider"]).run(None, feed)[0][0]
        for half in (False, True)
    )
    assert not np.array_equal(whole, half)
    assert float(whole @ half) > 0.9995
    np.testing.assert_allclose(half[-COLOURS:], whole[-COLOURS:], atol=5e-3)
