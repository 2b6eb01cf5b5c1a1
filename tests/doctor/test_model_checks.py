from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from worker.doctor.findings import Finding, Level
from worker.doctor.model_checks import check_installation, check_models
from worker.doctor.photo_checks import check_photos
from worker.errors import ConfigurationError, ModelError
from worker.settings import Settings


def settings(**rooms: Any) -> Settings:
    return Settings(_env_file=None, **rooms)


def levels(findings: list[Finding]) -> set[Level]:
    return {finding.level for finding in findings}


def test_models_that_are_here_are_loaded_timed_and_tried() -> None:
    findings = list(check_models(settings(vision={"segmenter": "none", "offline": True, "batch_buckets": [1]})))
    text = " | ".join(finding.message for finding in findings)
    assert Level.FAIL not in levels(findings)
    assert "run on CPUExecutionProvider, loaded and warm in" in text
    assert "embedded in" in text
    assert "dimension" in text


def test_a_model_that_would_have_to_be_fetched_is_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    findings = list(check_models(settings(vision={"segmenter": "u2netp", "cache_dir": tmp_path})))
    assert any(finding.level is Level.WARN and finding.advice == "`intake models pull u2netp`" for finding in findings)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_an_error_that_names_it() -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        list(check_models(settings(vision={"embedder": "no-such-model"})))


def test_a_provider_that_this_build_does_not_have_is_refused() -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this build can do CUDA")
    with pytest.raises(ModelError, match="INTAKE_VISION__PROVIDER"):
        list(check_models(settings(vision={"segmenter": "none", "provider": "cuda"})))


def test_the_installation_is_named() -> None:
    findings = list(check_installation(settings()))
    assert levels(findings) <= {Level.OK, Level.WARN}
    assert findings[0].message.startswith("onnxruntime")


def test_two_wheels_of_onnxruntime_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.doctor.model_checks.installed_wheels", lambda: ("onnxruntime", "onnxruntime-gpu"))
    with pytest.raises(ConfigurationError, match="both installed"):
        list(check_installation(settings()))


def test_a_gpu_build_that_runs_on_the_cpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert any("can do CUDA" in finding.message for finding in check_installation(settings()))


def test_the_embedded_index_without_its_extra_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.doctor.model_checks.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match="embedded"):
        list(check_installation(settings(catalogue={"engine": "edge"})))
    assert any("not installed" in finding.message for finding in check_installation(settings()))


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_the_decoder_is_tried_with_a_good_and_a_broken_photo(isolation: str) -> None:
    *before, last = check_photos(settings(imaging={"isolation": isolation, "decoder_processes": 1}))
    assert last.level is Level.OK
    assert f"{isolation} isolation" in last.message
    assert [finding.level for finding in before] == ([Level.WARN] if isolation == "none" else [])


def test_a_decoder_that_refuses_an_ordinary_photo_is_a_failure() -> None:
    *_, last = check_photos(settings(imaging={"isolation": "none", "max_pixels": 10_000}))
    assert last.level is Level.FAIL
    assert "ordinary JPEG is refused" in last.message
