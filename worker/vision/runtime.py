"""ONNX Runtime itself: which wheel is installed, which provider is asked for, and whether it is the one that runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import onnxruntime as ort

from worker.errors import ConfigurationError, ModelError
from worker.settings.vision import VisionSettings

PROVIDER_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# Wheels that all install the one module `onnxruntime`: the last one installed overwrites the others' files.
WHEELS = ("onnxruntime", "onnxruntime-gpu")
ProviderList = list[tuple[str, dict[str, Any]]]


def installed_wheels() -> tuple[str, ...]:
    """Which of the wheels are installed here."""
    found = []
    for name in WHEELS:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(name)
    return tuple(found)


def check_wheels(installed: Sequence[str]) -> None:
    """Raise `ConfigurationError` if two wheels share the module: which one runs is then an accident of order."""
    if len(installed) > 1:
        raise ConfigurationError(
            f"{' and '.join(installed)} are both installed and overwrite each other: "
            f"run `pip uninstall {' '.join(installed)}` and install this package again, with the extra `gpu` or without"
        )


def usable_cores() -> int:
    """Cores this process may use (affinity, which is what a CPU manager or taskset sets)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(settings: VisionSettings) -> int:
    """Threads that work on models."""
    return settings.threads or usable_cores()


def provider_list(settings: VisionSettings, cache: str) -> ProviderList:
    """What a session is asked to run on, the wanted one first. `cache`: folder of TensorRT's built engines."""
    cuda: dict[str, Any] = {
        "device_id": settings.device_id,
        "cudnn_conv_algo_search": "HEURISTIC",  # EXHAUSTIVE tries every algorithm anew for every shape: minutes of warm-up
        "do_copy_in_default_stream": True,
        "arena_extend_strategy": "kSameAsRequested",  # the arena grows by what is needed, not to the next power of two
    }
    if settings.cuda_graphs:
        cuda["enable_cuda_graph"] = "1"
    tensorrt = {
        "device_id": settings.device_id,
        "trt_fp16_enable": settings.fp16,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": cache,
        "trt_timing_cache_enable": True,
        "trt_cuda_graph_enable": settings.cuda_graphs,
    }
    cpu: tuple[str, dict[str, Any]] = (PROVIDER_NAMES["cpu"], {})
    if settings.provider == "cuda":
        return [(PROVIDER_NAMES["cuda"], cuda), cpu]
    if settings.provider == "tensorrt":
        return [(PROVIDER_NAMES["tensorrt"], tensorrt), (PROVIDER_NAMES["cuda"], cuda), cpu]
    return [cpu]


def check_available(settings: VisionSettings) -> None:
    """Raise `ModelError` if this build of ONNX Runtime has no such provider at all."""
    wanted = PROVIDER_NAMES[settings.provider]
    if wanted not in ort.get_available_providers():
        raise ModelError(
            f"INTAKE_VISION__PROVIDER is {settings.provider}, but the installed ONNX Runtime ({', '.join(installed_wheels())} "
            f"{ort.__version__}) knows only {', '.join(ort.get_available_providers())}: install the extra `gpu`, or ask for cpu"
        )


def check_running(session_providers: Sequence[str], settings: VisionSettings, model_id: str) -> None:
    """Raise `ModelError` unless the first provider a session has is the one asked for.

    ONNX Runtime falls back to the CPU with a log line only; a worker that did would be a hundred times slower than planned.
    """
    wanted = PROVIDER_NAMES[settings.provider]
    if not session_providers or session_providers[0] != wanted:
        got = ", ".join(session_providers) or "nothing"
        raise ModelError(
            f"model {model_id} was asked to run on {wanted} but runs on {got}: check the driver, CUDA and cuDNN "
            f"(onnxruntime-gpu {ort.__version__} says in its log what it misses), or set INTAKE_VISION__PROVIDER=cpu"
        )
