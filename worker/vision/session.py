"""One model in ONNX Runtime: batches padded to fixed shapes, warmed up, on the device that was asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from worker.errors import InferenceUnavailable, ModelError
from worker.settings.vision import VisionSettings
from worker.vision.graph import prepare
from worker.vision.rows import InputSpec, ModelRow
from worker.vision.runtime import check_available, check_running, provider_list, threads_of
from worker.vision.store import cache_dir
from worker.vision.types import FloatArray

Feed = Mapping[str, npt.NDArray[Any]]

# What ONNX Runtime says when memory, not the model, is the matter. A retry in a smaller moment may succeed.
MEMORY_SIGNS = ("out of memory", "failed to allocate", "bad_alloc", "cudaerrormemoryallocation", "cublas_status_alloc_failed")
DEVICE_SIGNS = ("cuda failure", "cudnn failure", "cublas failure", "cuda error")
# A bucket less full than this is not worth its padding: two smaller runs cost less.
FILLED = 0.75
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.Fail,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
    ort_errors.InvalidArgument,
    MemoryError,
    RuntimeError,
)


class Runner(Protocol):
    """Runs one padded batch: what differs between a plain run, IO binding and CUDA graphs."""

    def __call__(self, feed: Feed) -> FloatArray:
        """The output of one batch."""


class OnnxSession:
    """A model ready to run. Thread-safe.

    Every run has one of a few batch sizes (`buckets`): a GPU allocates and picks its kernels for each shape once, memory does not
    grow with shapes, and TensorRT builds one engine for each.
    """

    def __init__(self, path: Path, row: ModelRow, settings: VisionSettings) -> None:
        """Load the model and warm up every bucket.

        Raises:
            ModelError: the file is no model, does not fit its row, or does not run where it was asked to.
        """
        if row.input is None or row.output is None:
            raise ModelError(f"model {row.id} has no graph to run")
        check_available(settings)
        self._row = row
        self._input: InputSpec = row.input
        on_cpu = settings.provider == "cpu"
        limit = min(settings.max_batch, row.cpu_max_batch) if on_cpu else settings.max_batch
        self.buckets = tuple(sorted({min(size, limit) for size in settings.batch_buckets} or {limit}))
        graph = prepare(path, row, half=settings.fp16 and settings.provider == "cuda")  # TensorRT converts by itself
        self._session = _open(graph, row.id, settings)
        check_running(self._session.get_providers(), settings, row.id)
        self._check_output()
        # IO binding writes to buffers of the session's own: one run at a time. Plain runs need no lock.
        self._lock = threading.Lock()
        self._runners: dict[int, Runner] = {}
        for position, size in enumerate(self.buckets):
            self._runners[size] = self._runner(position, size, settings)
            self._guarded(self._runners[size], self.blank(size))

    @property
    def providers(self) -> tuple[str, ...]:
        """What the session runs on, first choice first."""
        return tuple(self._session.get_providers())

    def run(self, feed: Feed) -> FloatArray:
        """Run a batch of any size, in buckets.

        Args:
            feed: for each input its array; the first axis is the batch.

        Returns:
            the output as float32, without the padding's rows.

        Raises:
            InferenceUnavailable: memory ran out or the device failed; a retry may help.
            ModelError: the model fails for another reason.
        """
        total = len(feed[self._input.image])
        parts = []
        for start, count, size in chunks(total, self.buckets):
            padded = {name: pad(array[start : start + count], size) for name, array in feed.items()}
            parts.append(self._guarded(self._runners[size], padded)[:count])
        return np.concatenate(parts).astype(np.float32, copy=False)

    def blank(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """An input of zeros of this batch size."""
        spec = self._input
        shape = (3, spec.height, spec.width) if spec.layout == "nchw" else (spec.height, spec.width, 3)
        feed: dict[str, npt.NDArray[Any]] = {spec.image: np.zeros((count, *shape), np.dtype(spec.dtype))}
        if spec.mask:
            feed[spec.mask] = np.zeros((count, spec.height, spec.width), np.uint8)
        return feed

    def _check_output(self) -> None:
        output = self._session.get_outputs()[0]
        wanted = self._row.output.dimension if self._row.output else None
        if wanted is not None and output.shape and isinstance(output.shape[-1], int) and output.shape[-1] != wanted:
            raise ModelError(f"model {self._row.id}: the graph's vectors have {output.shape[-1]} numbers, the row says {wanted}")

    def _runner(self, position: int, size: int, settings: VisionSettings) -> Runner:
        if settings.provider == "cpu" or not (settings.io_binding or settings.cuda_graphs):
            return self._run_plain
        graph_id = position if settings.cuda_graphs else None
        return BoundRunner(self._session, self.blank(size), "cuda", settings.device_id, graph_id, self._lock)

    def _run_plain(self, feed: Feed) -> FloatArray:
        output: FloatArray = self._session.run(None, dict(feed))[0]
        return output

    def _guarded(self, runner: Runner, feed: Feed) -> FloatArray:
        try:
            return runner(feed)
        except RUNTIME_ERRORS as error:
            text = str(error).lower()
            if isinstance(error, MemoryError) or any(sign in text for sign in MEMORY_SIGNS + DEVICE_SIGNS):
                raise InferenceUnavailable(
                    f"model {self._row.id} could not run now: {_first_line(error)}; if it stays so, lower INTAKE_VISION__MAX_BATCH"
                ) from error
            raise ModelError(f"model {self._row.id} does not run: {_first_line(error)}") from error


class BoundRunner:
    """Runs with input and output buffers that stay on the device, the same in every run (which CUDA graphs need)."""

    def __init__(
        self, session: ort.InferenceSession, blank: Feed, device: str, device_id: int, graph_id: int | None, lock: threading.Lock
    ) -> None:
        """`blank` gives names, shapes and types of the inputs. `device`: ``cuda`` or ``cpu``."""
        self._session = session
        self._lock = lock
        self._options = ort.RunOptions()
        if graph_id is not None:
            # One captured graph for each bucket; ONNX Runtime keeps them apart by this number.
            self._options.add_run_config_entry("gpu_graph_id", str(graph_id + 1))
        self._binding = session.io_binding()
        self._inputs = {name: ort.OrtValue.ortvalue_from_numpy(array, device, device_id) for name, array in blank.items()}
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        name = session.get_outputs()[0].name
        if graph_id is None:
            self._binding.bind_output(name, device, device_id)
        else:
            # A captured graph writes where it wrote when it was captured: the buffer must be ours and stay.
            shape = np.shape(session.run(None, dict(blank), self._eager())[0])
            self._output = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), np.float32, device, device_id)
            self._binding.bind_ortvalue_output(name, self._output)

    @staticmethod
    def _eager() -> ort.RunOptions:
        options = ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", "-1")  # run without capturing
        return options

    def __call__(self, feed: Feed) -> FloatArray:
        """Copy in, run, copy out."""
        with self._lock:
            for name, array in feed.items():
                self._inputs[name].update_inplace(np.ascontiguousarray(array))
            self._binding.synchronize_inputs()
            self._session.run_with_iobinding(self._binding, self._options)
            self._binding.synchronize_outputs()
            output: FloatArray = self._binding.copy_outputs_to_cpu()[0]
            return output


def chunks(total: int, buckets: Sequence[int]) -> list[tuple[int, int, int]]:
    """Split `total` rows into runs of (start, count, bucket) that waste little: every bucket is at least `FILLED` full.

    Only the last run can be emptier, where no bucket is smaller.
    """
    result, start = [], 0
    while start < total:
        left = total - start
        fits = [size for size in buckets if size >= left]
        filled = [size for size in buckets if size <= left]
        if fits and (not filled or left >= FILLED * min(fits)):
            count, size = left, min(fits)
        else:
            count = size = max(filled)
        result.append((start, count, size))
        start += count
    return result


def pad(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """`array` with zeros appended up to `size` rows."""
    if len(array) == size:
        return array
    padding = np.zeros((size - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, padding])


def _open(graph: bytes, model_id: str, settings: VisionSettings) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads_of(settings)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only; what matters is raised
    # Workers that spin while they wait take the cores from decoding and from the other model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    cache = cache_dir(settings) / "tensorrt"
    if settings.provider == "tensorrt":
        cache.mkdir(parents=True, exist_ok=True)
    try:
        return ort.InferenceSession(graph, options, providers=provider_list(settings, str(cache)))
    except (*RUNTIME_ERRORS, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf, ort_errors.NoSuchFile, ValueError) as error:
        raise ModelError(f"model {model_id} cannot be loaded: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
