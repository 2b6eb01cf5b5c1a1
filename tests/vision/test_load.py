from __future__ import annotations

from pathlib import Path

import pytest

from tests.vision.conftest import embedder_file, row_of, segmenter_file
from worker.errors import ConfigurationError, ModelError
from worker.settings.vision import VisionSettings
from worker.vision import load as load_module
from worker.vision import load_models, make_crop, model_fingerprint
from worker.vision.load import fingerprint
from worker.vision.registry import Registry
from worker.vision.types import ByteArray


def test_the_default_pair_is_loaded_calibrated_and_ready_without_network(vision: VisionSettings, photo: ByteArray) -> None:
    models = load_models(vision.model_copy(update={"batch_buckets": (1, 2), "max_batch": 2, "offline": True}))
    assert (models.segmenter_id, models.embedder_id) == ("garment-light", "garment-lite0")
    assert models.providers[0] == "CPUExecutionProvider"
    assert models.calibration.calibrated
    assert 0 < models.calibration.review_threshold < models.calibration.duplicate_threshold < 1
    crops = [make_crop(photo, mask, models.crop_side) for mask in models.segmenter.segment([photo])]
    assert models.embedder.embed(crops).shape == (1, models.embedder.dimension)


def test_the_fingerprint_is_the_same_before_and_after_loading_and_in_every_process(vision: VisionSettings) -> None:
    registry = Registry(vision)
    rows = registry.row("default", "segment"), registry.row("default", "embed")
    assert model_fingerprint(vision) == fingerprint(*rows)
    assert len(model_fingerprint(vision)) == 12
    assert model_fingerprint(vision.model_copy(update={"segmenter": "none"})) != model_fingerprint(vision)


def test_what_rows_learned_to_say_since_does_not_change_the_identity_of_a_model_that_does_not_say_it(
    vision: VisionSettings,
) -> None:
    row = Registry(vision).row("u2netp", "segment")
    output = row.identity()["output"]
    assert sorted(output) == ["activation", "channels", "dimension", "name"]


def test_the_fingerprint_changes_with_what_changes_vectors_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, embedder = row_of(segmenter_file(tmp_path / "s.onnx"), "segment"), row_of(embedder_file(tmp_path / "e.onnx"))
    before = fingerprint(segmenter, embedder)
    for same in ({"card": "better words"}, {"source": "s3://elsewhere/e.onnx"}, {"licence": "MIT"}, {"cpu_max_batch": 2}):
        assert fingerprint(segmenter, embedder.model_copy(update=same)) == before
    assert embedder.input is not None
    for other in ({"sha256": "0" * 64}, {"input": embedder.input.model_copy(update={"height": 64})}):
        assert fingerprint(segmenter, embedder.model_copy(update=other)) != before
        assert fingerprint(segmenter.model_copy(update=other), embedder) != before
    monkeypatch.setattr(load_module, "PREPROCESSING_VERSION", 2)
    assert fingerprint(segmenter, embedder) != before


def test_half_precision_on_a_cpu_is_a_contradiction(vision: VisionSettings) -> None:
    with pytest.raises(ConfigurationError, match="INTAKE_VISION__FP16 is for GPUs"):
        load_models(vision.model_copy(update={"fp16": True}))


def test_an_unknown_model_stops_the_worker(vision: VisionSettings) -> None:
    with pytest.raises(ModelError, match="in no registry"):
        load_models(vision.model_copy(update={"embedder": "nope"}))


def test_without_network_and_cache_the_worker_says_what_to_pull(vision: VisionSettings) -> None:
    with pytest.raises(ModelError, match="intake models pull u2netp"):
        load_models(vision.model_copy(update={"offline": True, "segmenter": "u2netp"}))


@pytest.mark.parametrize("segmenter", ["grabcut", "none"])
def test_segmenters_without_a_file_need_no_network(vision: VisionSettings, segmenter: str, photo: ByteArray) -> None:
    models = load_models(vision.model_copy(update={"offline": True, "segmenter": segmenter}))
    mask = models.segmenter.segment([photo])[0]
    assert models.embedder.embed([make_crop(photo, mask, models.crop_side)]).shape == (1, models.embedder.dimension)
