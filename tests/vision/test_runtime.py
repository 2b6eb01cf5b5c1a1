from __future__ import annotations

import pytest

from worker.errors import ConfigurationError, ModelError
from worker.settings.vision import VisionSettings
from worker.vision.runtime import (
    check_available,
    check_running,
    check_wheels,
    installed_wheels,
    provider_list,
    threads_of,
    usable_cores,
)


def test_two_wheels_of_one_module_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="pip uninstall onnxruntime onnxruntime-gpu"):
        check_wheels(("onnxruntime", "onnxruntime-gpu"))


def test_one_wheel_is_installed_here() -> None:
    check_wheels(installed_wheels())
    assert len(installed_wheels()) == 1


def test_a_provider_this_build_does_not_have_is_refused() -> None:
    if "CUDAExecutionProvider" in provider_names():
        pytest.skip("this build has CUDA")
    with pytest.raises(ModelError, match="PROVIDER is cuda, but the installed ONNX Runtime"):
        check_available(VisionSettings(provider="cuda"))


def provider_names() -> list[str]:
    import onnxruntime

    names: list[str] = onnxruntime.get_available_providers()
    return names


@pytest.mark.parametrize("running", [["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"], []])
def test_a_session_that_fell_back_is_refused(running: list[str]) -> None:
    with pytest.raises(ModelError, match="was asked to run on TensorrtExecutionProvider but runs on"):
        check_running(running, VisionSettings(provider="tensorrt"), "m")


def test_a_session_that_runs_where_it_should_is_accepted() -> None:
    check_running(["CUDAExecutionProvider", "CPUExecutionProvider"], VisionSettings(provider="cuda"), "m")


def test_the_wanted_provider_is_asked_for_first_on_the_wanted_device() -> None:
    names = [
        (name, options.get("device_id")) for name, options in provider_list(VisionSettings(provider="cuda", device_id=2), "c")
    ]
    assert names == [("CUDAExecutionProvider", 2), ("CPUExecutionProvider", None)]
    first, options = provider_list(VisionSettings(provider="tensorrt", fp16=True), "cache")[0]
    assert first == "TensorrtExecutionProvider"
    assert options["trt_fp16_enable"] is True
    assert options["trt_engine_cache_path"] == "cache"


def test_cuda_graphs_are_asked_for_only_when_set() -> None:
    assert "enable_cuda_graph" not in provider_list(VisionSettings(provider="cuda"), "c")[0][1]
    assert provider_list(VisionSettings(provider="cuda", cuda_graphs=True), "c")[0][1]["enable_cuda_graph"] == "1"


def test_threads_are_what_is_set_or_what_may_be_used() -> None:
    assert threads_of(VisionSettings(threads=3)) == 3
    assert threads_of(VisionSettings()) == usable_cores() >= 1
