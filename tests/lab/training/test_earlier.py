"""Weights of an earlier run."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigurationError

torch = pytest.importorskip("torch")

from worker.lab.training.checkpoint import BEST, save  # noqa: E402
from worker.lab.training.earlier import begin_with  # noqa: E402


def earlier(folder: Path) -> None:
    """A run whose network is a part of what it saved."""
    net = torch.nn.Linear(3, 2)
    with torch.no_grad():
        net.weight.fill_(7.0)
    model = {f"embedder.{name}": value for name, value in net.state_dict().items()} | {"memory": torch.zeros(5, 2)}
    save(folder / BEST, {"model": model, "progress": {"epoch": 9, "step": 675}})


def test_the_wanted_part_of_an_earlier_run_is_taken_and_the_rest_is_left(tmp_path: Path) -> None:
    earlier(tmp_path)
    net = torch.nn.Linear(3, 2)
    said = begin_with(net, tmp_path, "embedder.")
    assert float(net.weight.detach().min()) == float(net.weight.detach().max()) == 7.0
    assert (said["epochs"], said["steps"], len(said["sha256"])) == (9, 675, 64)


def test_weights_of_another_network_and_a_run_that_is_not_there_are_refused_by_name(tmp_path: Path) -> None:
    earlier(tmp_path)
    with pytest.raises(ConfigurationError, match="of another network"):
        begin_with(torch.nn.Linear(4, 2), tmp_path, "embedder.")
    with pytest.raises(ConfigurationError, match="is not there"):
        begin_with(torch.nn.Linear(3, 2), tmp_path / "nowhere")
