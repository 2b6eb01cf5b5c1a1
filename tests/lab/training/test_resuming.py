"""A run that is killed and resumed is the run that was not: weights bit for bit, curves line for line."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.training.conftest import ConfigWriter

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]


def lives(config: Path, folder: Path, deaths: Sequence[int] = ()) -> None:
    arguments = [sys.executable, "-m", "tests.lab.training.lives", str(config), str(folder), *map(str, deaths)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def curve_lines(folder: Path) -> list[list[str]]:
    """Without the seconds, which no two runs share."""
    with (folder / "curves.csv").open(encoding="utf-8", newline="") as file:
        return [row[:2] + row[3:] for row in csv.reader(file)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_run(one: Path, other: Path) -> None:
    assert curve_lines(one) == curve_lines(other)
    for name in ("last.pt", "best.pt"):
        parts = [torch.load(folder / name, weights_only=True) for folder in (one, other)]
        for part in parts:
            part["progress"].pop("seconds")
        assert parts[0].keys() == parts[1].keys()
        assert [key for key in parts[0] if not same(parts[0][key], parts[1][key])] == []


@pytest.mark.parametrize(("task", "workers"), [("embed", 0), ("segment", 2)])
def test_a_run_killed_at_random_batches_ends_as_the_unbroken_one(
    tmp_path: Path, toy_config: ConfigWriter, task: str, workers: int
) -> None:
    recipe = {"task": task, "batches": 12, "slow_s": 0.01}
    config = toy_config(
        run={"save_every_s": 0.02, "workers": workers, "schedule": {"name": "cosine", "warmup_steps": 3}}, recipe=recipe
    )
    deaths = sorted(random.Random(f"{task}{workers}").sample(range(1, 36), 4))
    lives(config, tmp_path / "whole")
    lives(config, tmp_path / "broken", deaths)
    assert len(curve_lines(tmp_path / "whole")) > 10
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"epochs": 1})
    lives(config, tmp_path / "whole")
    lives(config, tmp_path / "broken", [0, 4])
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_a_checkpoint_and_the_same_command_goes_on(
    tmp_path: Path, toy_config: ConfigWriter, number: signal.Signals
) -> None:
    workers = 2 if number == signal.SIGINT else 0
    config = toy_config(run={"epochs": 2, "workers": workers, "save_every_s": 900.0}, recipe={"batches": 20, "slow_s": 0.1})
    lives(config, tmp_path / "whole")
    folder = tmp_path / "run"
    arguments = [sys.executable, "-m", "worker.cli", "lab", "train", str(config), "--output", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            # The tenth batch is written down: the second part of the first epoch is under way.
            deadline = time.monotonic() + 120
            while not (folder / "curves.csv").exists() or len(curve_lines(folder)) < 2:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            os.killpg(process.pid, number)  # Ctrl-C reaches the processes that prepare batches, too
            said, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 128 + number, errors
    assert "it was stopped" in said
    assert "same command again" in said
    assert 10 <= torch.load(folder / "last.pt", weights_only=True)["progress"]["step"] < 40
    lives(config, folder)
    assert_same_run(tmp_path / "whole", folder)
