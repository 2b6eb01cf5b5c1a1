"""The benchmark of models, for a moment each: it runs, compares within a run, and says what does not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.bench_models import PLAIN, Way, main, measure, onnx_ways
from worker.settings import VisionSettings
from worker.vision.registry import Registry


def test_both_default_models_are_measured_at_every_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--batches", "1", "2", "--seconds", "0.01", "--rounds", "1", "--json", str(tmp_path / "m.json")])
    found = json.loads((tmp_path / "m.json").read_text())
    plain = [each for each in found if each["way"] == PLAIN]
    assert [(each["model"], each["batch"]) for each in plain] == [
        ("garment-light", 1),
        ("garment-light", 2),
        ("garment-lite0", 1),
        ("garment-lite0", 2),
    ]
    assert all(each["photos_per_s"] > 0 and each["ratio"] == 1 and not each["fault"] for each in plain)
    assert all(each["photos_per_s"] > 0 for each in found)
    assert "photos/s" in capsys.readouterr().out


def test_rates_count_photos_and_ratios_are_to_plain_onnx_runtime() -> None:
    calls: list[str] = []
    ways = [
        Way("m", PLAIN, 4, lambda feed: calls.append(f"plain {sorted(feed)}"), {}),
        Way("m", "other", 4, lambda feed: calls.append(f"other {sorted(feed)}"), {}),
    ]
    plain, other = measure(ways, 0.0, 3)
    assert len(calls) == 2 * (1 + 3)  # a run to warm up, and one in each round
    assert plain.ratio == 1
    assert other.ratio == pytest.approx(other.photos_per_s / plain.photos_per_s)


def test_what_the_machine_cannot_do_is_said_and_not_left_out() -> None:
    settings = VisionSettings(provider="cuda")
    row = Registry(settings).row("default", "segment")
    found = list(onnx_ways(row, 1, settings))
    assert len(found) == 5
    assert all(isinstance(each, Way) or each.fault for each in found)
