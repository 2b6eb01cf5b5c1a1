from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.conftest import SIDE, embedder_file, row_of
from worker.errors import InferenceUnavailable, ModelError
from worker.settings.vision import VisionSettings
from worker.vision.graph import prepare
from worker.vision.rows import ModelRow
from worker.vision.session import FILLED, BoundRunner, Feed, OnnxSession, chunks, pad
from worker.vision.types import FloatArray


@pytest.fixture
def session(vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path) -> OnnxSession:
    return OnnxSession(tmp_path / "means.onnx", embedder_row, vision)


def batch_of(count: int, seed: int = 3) -> dict[str, Any]:
    return {"image": np.random.default_rng(seed).random((count, 3, SIDE, SIDE), np.float32)}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 9])
def test_padding_to_buckets_changes_no_result(session: OnnxSession, count: int) -> None:
    feed = batch_of(count)
    result = session.run(feed)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, feed["image"].mean(axis=(2, 3)), atol=1e-6)
    alone = np.concatenate([session.run({"image": feed["image"][i : i + 1]}) for i in range(count)])
    np.testing.assert_allclose(result, alone, atol=1e-6)


def test_every_run_has_the_size_of_a_bucket_and_every_bucket_is_warm(
    vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = OnnxSession._run_plain

    def recording(self: OnnxSession, feed: Feed) -> FloatArray:
        sizes.append(len(feed["image"]))
        return plain(self, feed)

    monkeypatch.setattr(OnnxSession, "_run_plain", recording)
    session = OnnxSession(tmp_path / "means.onnx", embedder_row, vision)
    assert sizes == [1, 2, 4]
    for count in range(1, 12):
        session.run(batch_of(count))
    assert set(sizes) == {1, 2, 4}


def test_a_row_limits_the_batch_on_the_cpu(vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path) -> None:
    row = embedder_row.model_copy(update={"cpu_max_batch": 1})
    assert OnnxSession(tmp_path / "means.onnx", row, vision).buckets == (1,)


@given(total=st.integers(1, 200), buckets=st.sets(st.integers(1, 64), min_size=1))
def test_runs_cover_the_batch_in_order_and_waste_little(total: int, buckets: set[int]) -> None:
    runs = chunks(total, sorted(buckets))
    at = 0
    for number, (start, count, size) in enumerate(runs):
        assert start == at
        assert 1 <= count <= size
        assert size in buckets
        last = number == len(runs) - 1
        assert count >= FILLED * size or (last and size == min(buckets))
        at += count
    assert at == total


def test_pad_appends_zeros() -> None:
    array = np.ones((2, 3), np.uint8)
    assert pad(array, 2) is array
    padded = pad(array, 4)
    assert padded.dtype == np.uint8
    assert padded.sum() == 6


def test_threads_may_share_a_session(session: OnnxSession) -> None:
    feeds = [batch_of(1 + seed % 5, seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(session.run, feeds))
    for feed, result in zip(feeds, results, strict=True):
        np.testing.assert_allclose(result, feed["image"].mean(axis=(2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    "message",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer",
        "CUDA failure 2: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_runs_out_is_for_a_retry(session: OnnxSession, message: str) -> None:
    def fails(feed: Feed) -> FloatArray:
        raise RuntimeError(message)

    session._runners[1] = fails
    with pytest.raises(InferenceUnavailable, match="MAX_BATCH"):
        session.run(batch_of(1))


def test_any_other_failure_is_no_retry(session: OnnxSession) -> None:
    with pytest.raises(ModelError, match="does not run"):
        session.run({"image": np.zeros((1, 5, SIDE, SIDE), np.float32)})


def test_a_graph_that_cannot_be_loaded_is_refused(vision: VisionSettings, tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "a.onnx")
    text = path.read_bytes().replace(b"ReduceMean", b"ReduceMoan")
    path.write_bytes(text)
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxSession(path, row_of(path), vision)


def test_vectors_of_another_length_than_the_rows_are_refused(vision: VisionSettings, tmp_path: Path) -> None:
    path = embedder_file(tmp_path / "a.onnx")
    row = row_of(path, output={"name": "vector", "dimension": 5})
    with pytest.raises(ModelError, match="vectors have 3 numbers, the row says 5"):
        OnnxSession(path, row, vision)


def test_a_provider_that_is_not_there_stops_the_worker(vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this build has CUDA")
    with pytest.raises(ModelError, match="install the extra `gpu`"):
        OnnxSession(tmp_path / "means.onnx", embedder_row, vision.model_copy(update={"provider": "cuda"}))


def test_a_session_that_silently_fell_back_stops_the_worker(
    vision: VisionSettings, embedder_row: ModelRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What happens where the gpu wheel is installed but CUDA does not load: available, asked for, and not what runs.
    monkeypatch.setattr(
        "worker.vision.runtime.ort.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    if (
        "CUDAExecutionProvider"
        in ort.InferenceSession(str(tmp_path / "means.onnx"), providers=["CPUExecutionProvider"]).get_providers()
    ):
        pytest.skip("this session does run on CUDA")
    with pytest.raises(ModelError, match="asked to run on CUDAExecutionProvider but runs on CPUExecutionProvider"):
        OnnxSession(tmp_path / "means.onnx", embedder_row, vision.model_copy(update={"provider": "cuda"}))


def test_bound_buffers_give_the_same_as_a_plain_run(embedder_row: ModelRow, tmp_path: Path) -> None:
    # IO binding works on the CPU's memory too: the same class, the same calls, another device.
    graph = prepare(tmp_path / "means.onnx", embedder_row, half=False)
    plain = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    runner = BoundRunner(plain, {"image": np.zeros((2, 3, SIDE, SIDE), np.float32)}, "cpu", 0, None, threading.Lock())
    for seed in range(3):
        feed = batch_of(2, seed)
        np.testing.assert_array_equal(runner(feed), plain.run(None, feed)[0])


def test_buffers_bound_for_a_captured_graph_stay_the_same(embedder_row: ModelRow, tmp_path: Path) -> None:
    graph = prepare(tmp_path / "means.onnx", embedder_row, half=False)
    plain = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    runner = BoundRunner(plain, {"image": np.zeros((1, 3, SIDE, SIDE), np.float32)}, "cpu", 0, 0, threading.Lock())
    where = runner._output.data_ptr()
    first = runner(batch_of(1, 1)).copy()
    np.testing.assert_array_equal(runner(batch_of(1, 2)), plain.run(None, batch_of(1, 2))[0])
    np.testing.assert_array_equal(first, plain.run(None, batch_of(1, 1))[0])
    assert runner._output.data_ptr() == where
