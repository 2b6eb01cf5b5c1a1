from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.vision.conftest import SIDE, embedder_file, row_of
from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.embedders import OnnxEmbedder
from worker.vision.rows import InputSpec, ModelRow
from worker.vision.session import OnnxSession
from worker.vision.types import Crop


def crop_of(colour: tuple[int, int, int], side: int = SIDE, mask: int = 255) -> Crop:
    return Crop(rgb=np.full((side, side, 3), colour, np.uint8), mask=np.full((side, side), mask, np.uint8))


@pytest.fixture
def embedder(embedder_row: ModelRow, vision: VisionSettings, tmp_path: Path) -> OnnxEmbedder:
    return OnnxEmbedder(embedder_row, OnnxSession(tmp_path / "means.onnx", embedder_row, vision), threads=2)


def test_vectors_are_unit_length_float32_and_in_order(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed([crop_of((30, 40, 0)), crop_of((0, 0, 7)), crop_of((255, 255, 255), side=90)])
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, embedder.dimension)
    np.testing.assert_allclose(vectors, np.array([(0.6, 0.8, 0), (0, 0, 1), (3**-0.5,) * 3]), atol=1e-6)


def test_no_crops_give_no_vectors(embedder: OnnxEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 3)


def test_a_vector_of_zeros_stays_finite(embedder: OnnxEmbedder) -> None:
    assert np.isfinite(embedder.embed([crop_of((0, 0, 0))])).all()


def test_a_model_that_takes_a_mask_gets_it(vision: VisionSettings, tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "masked.onnx", masked=True)
    spec = InputSpec(image="image", mask="mask", height=SIDE, width=SIDE, range="byte")
    row = row_of(path, input=spec, output={"name": "vector", "dimension": 4})
    embedder = OnnxEmbedder(row, OnnxSession(path, row, vision), threads=1)
    vector = embedder.embed([crop_of((100, 100, 100), mask=200), crop_of((100, 100, 100), side=64, mask=0)])
    np.testing.assert_allclose(vector[0], np.array([1, 1, 1, 2]) / 7**0.5, atol=1e-3)
    np.testing.assert_allclose(vector[1], np.array([1, 1, 1, 0]) / 3**0.5, atol=1e-3)


def test_vectors_that_are_not_finite_stop_the_worker(embedder_row: ModelRow, vision: VisionSettings, tmp_path: Path) -> None:
    session = OnnxSession(tmp_path / "means.onnx", embedder_row, vision)
    session._runners[1] = lambda _feed: np.full((1, 3), np.nan, np.float32)
    with pytest.raises(ModelError, match="not finite"):
        OnnxEmbedder(embedder_row, session, threads=1).embed([crop_of((1, 2, 3))])


def test_a_model_of_code_alone_is_no_embedder(embedder: OnnxEmbedder) -> None:
    row = ModelRow(id="plain", task="segment", kind="none", licence="MIT")
    with pytest.raises(ModelError, match="no graph"):
        OnnxEmbedder(row, embedder._session, threads=1)
