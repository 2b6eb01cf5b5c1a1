"""What each built-in model gives for one drawn photo: a change of a file, of the preprocessing or of the runtime shows here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from worker.settings.vision import VisionSettings
from worker.vision.crop import make_crop
from worker.vision.embedders import OnnxEmbedder
from worker.vision.graph import prepare
from worker.vision.load import load_segmenter
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
    "u2netp": ([[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 0, 74, 0, 0], [0, 0, 255, 0, 0], [0, 0, 0, 0, 0]], 0.24785),
    "grabcut": ([[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 0, 255, 0, 0], [0, 0, 255, 0, 0], [0, 0, 0, 0, 0]], 0.26944),
    "none": ([[255] * 5] * 5, 1.0),
}
FIRST_NUMBERS = [0.094, -0.06971, -0.04227, -0.08001, 0.13502, -0.0021]
LARGEST_COLOURS = {403: 0.31893, 402: 0.27779, 491: 0.09156, 497: 0.06624}
COLOURS = 216  # the last numbers of the vector are the colour histogram


def truth_crop(photo: ByteArray) -> Crop:
    """The drawn shirt cut out by its colour: no segmenter is involved."""
    shirt = (photo[..., 0].astype(int) - photo[..., 1] > 60) | (photo.min(axis=2) > 225)
    return make_crop(photo, mask_of(shirt.astype(np.uint8) * 255), 224)


def embedder() -> OnnxEmbedder:
    row = Registry(SETTINGS).row("default", "embed")
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
    assert [row.id for row in rows if row.task == "embed"] == ["lite0-gem-lab"]


def test_the_embedder_gives_the_canonical_vector(photo: ByteArray) -> None:
    vector = embedder().embed([truth_crop(photo)])[0]
    assert vector.shape == (512,)
    np.testing.assert_allclose(vector[: len(FIRST_NUMBERS)], FIRST_NUMBERS, atol=TOLERANCE)
    for position, value in LARGEST_COLOURS.items():
        assert vector[position] == pytest.approx(value, abs=TOLERANCE)


def test_company_in_the_batch_changes_no_vector(photo: ByteArray) -> None:
    crops = [truth_crop(photo), truth_crop(photo[:, ::-1].copy()), truth_crop((photo // 2).astype(np.uint8))]
    model = embedder()
    together = model.embed(crops)
    alone = np.concatenate([model.embed([crop]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_colour_part_is_a_histogram_of_lab_values_of_the_garment(photo: ByteArray) -> None:
    import cv2

    crop = truth_crop(photo)
    lab = cv2.cvtColor(crop.rgb[::2, ::2].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[crop.mask[::2, ::2] > 127]
    counts = np.zeros((6, 6, 6))  # OpenCV interpolates Lab from a table: the third digit differs
    for light, green, blue in lab:  # slow and obvious: each pixel into at most two bins of each axis
        axes = [light / 100 * 6, (green + 48) / 96 * 6, (blue + 48) / 96 * 6]
        shares = [
            [min(1.0, max(0.0, 0.5 + (0.5 - abs(min(max(at, 0.2), 5.8) - k - 0.5)) / 0.4)) for k in range(6)] for at in axes
        ]
        counts += np.einsum("i,j,k->ijk", *shares)
    wanted = np.sqrt(counts / counts.sum()).ravel()
    colour = embedder().embed([crop])[0][-COLOURS:]
    np.testing.assert_allclose(colour / np.linalg.norm(colour), wanted / np.linalg.norm(wanted), atol=5e-3)


def test_another_colour_of_the_same_garment_is_less_alike_than_another_photo_of_it(photo: ByteArray) -> None:
    same = photo[10:290, 5:235].copy()
    crop = truth_crop(photo)
    recoloured = Crop(rgb=np.ascontiguousarray(crop.rgb[..., ::-1]), mask=crop.mask)
    vectors = embedder().embed([crop, truth_crop(same), recoloured])
    assert vectors[0] @ vectors[1] > 0.9
    assert vectors[0] @ vectors[2] < vectors[0] @ vectors[1] - 0.15


def test_a_crop_without_garment_still_has_a_finite_unit_vector(photo: ByteArray) -> None:
    crop = Crop(rgb=np.full((224, 224, 3), 255, np.uint8), mask=np.zeros((224, 224), np.uint8))
    vector = embedder().embed([crop])[0]
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_half_precision_keeps_the_embedders_results(photo: ByteArray) -> None:
    # The CPU runs a half-precision graph with casts: what a GPU would lose in the weights and between the nodes is lost here too.
    import onnxruntime

    row = Registry(SETTINGS).row("default", "embed")
    crop = truth_crop(photo)
    feed = {"rgb": crop.rgb[None], "mask": crop.mask[None]}
    path = ModelStore(SETTINGS).ensure(row)
    whole, half = (
        onnxruntime.InferenceSession(prepare(path, row, half=half), providers=["CPUExecutionProvider"]).run(None, feed)[0][0]
        for half in (False, True)
    )
    assert not np.array_equal(whole, half)
    assert float(whole @ half) > 0.9995
    np.testing.assert_allclose(half[-COLOURS:], whole[-COLOURS:], atol=5e-3)
