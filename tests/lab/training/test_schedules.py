"""Learning rates against slow and obvious references."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.lab.training.conftest import ConfigWriter
from tests.lab.training.trainers import trainer
from worker.lab.training.config import Optimizer, RunConfig, Schedule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.lab


def rates(config: Path, folder: Path) -> list[float]:
    """The learning rate of the first group at each step of a real run."""
    run = trainer(config, folder)
    seen: list[float] = []
    step = run._optimizer.step

    def watched(*arguments: Any) -> Any:
        seen.append(run._optimizer.param_groups[0]["lr"])
        return step(*arguments)

    run._optimizer.step = watched
    run.run()
    return seen


def test_a_constant_rate_warms_up_and_stays(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"optimizer": {"lr": 0.1}, "schedule": {"name": "constant", "warmup_steps": 4}})
    assert rates(config, tmp_path / "run") == pytest.approx([0.025, 0.05, 0.075, *[0.1] * 12])


def test_a_cosine_falls_from_the_rate_to_nearly_nothing(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"optimizer": {"lr": 0.1}, "schedule": {"name": "cosine", "warmup_steps": 3}})
    reference = [0.1 / 3, 0.2 / 3, 0.1] + [0.1 * (1 + math.cos(math.pi * number / 12)) / 2 for number in range(12)]
    assert rates(config, tmp_path / "run") == pytest.approx(reference)


def test_steps_fall_after_their_epochs(tmp_path: Path, toy_config: ConfigWriter) -> None:
    schedule = {"name": "step", "milestones": [1, 2], "factor": 0.1}
    found = rates(toy_config(run={"optimizer": {"lr": 0.1}, "schedule": schedule}), tmp_path / "run")
    assert found == pytest.approx([0.1] * 5 + [0.01] * 5 + [0.001] * 5)


def test_a_plateau_falls_after_as_many_evaluations_without_a_better_score(tmp_path: Path, toy_config: ConfigWriter) -> None:
    scores = [0.5, 0.4, 0.5, 0.6, 0.1, 0.2, 0.3, 0.4, 0.9]
    config = toy_config(
        run={"epochs": 9, "optimizer": {"lr": 0.1}, "schedule": {"name": "plateau", "patience": 2, "factor": 0.5}},
        recipe={"batches": 2, "scores": scores},
    )
    wanted, rate, best, waited = [], 0.1, -1.0, 0
    for score in scores:
        wanted += [rate, rate]
        if score > best:
            best, waited = score, 0
        else:
            waited += 1
            if waited == 2:
                rate, waited = rate / 2, 0
    assert min(wanted) < 0.03
    assert rates(config, tmp_path / "run") == pytest.approx(wanted)


def test_a_plateau_s_rate_survives_a_resume(tmp_path: Path, toy_config: ConfigWriter) -> None:
    scores = [0.5, 0.4, 0.3, 0.2]
    config = toy_config(
        run={"epochs": 4, "schedule": {"name": "plateau", "patience": 1, "factor": 0.5}}, recipe={"scores": scores}
    )
    trainer(config, tmp_path / "run", run__epochs="3").run()
    assert trainer(config, tmp_path / "run")._factor == pytest.approx(0.25)


def test_every_group_keeps_its_share_of_the_rate(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"epochs": 1, "optimizer": {"lr": 0.1}, "schedule": {"name": "constant", "warmup_steps": 10}})
    run = trainer(config, tmp_path / "run")
    run.run()
    assert [group["lr"] for group in run._optimizer.param_groups] == pytest.approx([0.05, 0.05, 0.5])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_only_weights_of_two_and_more_dimensions_decay(name: Any) -> None:
    from worker.lab.training.optimizing import make_optimizer

    weight, bias, frozen = (torch.nn.Parameter(torch.ones(*shape)) for shape in ((3, 3), (3,), (2, 2)))
    frozen.requires_grad_(False)
    run = RunConfig(optimizer=Optimizer(name=name, lr=0.1, weight_decay=0.5))
    optimizer = make_optimizer([{"params": iter([weight, bias])}, {"params": [frozen], "lr": 0.3}], run)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0, 0.5]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1, 0.3]
    (weight.sum() * 0 + bias.sum() * 0).backward()
    optimizer.step()
    assert bool((weight < 1).all())
    assert torch.equal(bias, torch.ones(3))
    assert torch.equal(frozen, torch.ones(2, 2))


def test_the_warmup_is_not_longer_than_it_says() -> None:
    from worker.lab.training.optimizing import learning_rate_factor

    schedule = Schedule(name="constant", warmup_steps=1)
    assert learning_rate_factor(schedule, 0, 0, 10) == 1.0
