"""The loop: averages, early stopping, refusals, device and number type, batches of other processes."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.training.conftest import ConfigWriter
from tests.lab.training.trainers import trainer
from worker.errors import ConfigurationError
from worker.lab.training.config import RunConfig, read_config

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.lab


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def test_training_learns(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"batch": 16, "epochs": 4, "optimizer": {"lr": 0.02}}, recipe={"batches": 10, "dropout": 0.0})
    run = trainer(config, tmp_path / "run")
    run.run()
    assert loaded(tmp_path / "run" / "best.pt")["figures"]["score"] > 0.7  # of four classes


def test_a_run_says_where_it_came_from(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"epochs": 1})
    trainer(config, tmp_path / "run", run__batch="2").run()
    content = json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))
    assert content["source"] == str(config)
    assert content["config"]["run"]["batch"] == 2
    assert content["data"] == {"photos": "drawn", "batches": 5}
    assert (
        content["packages"]["torch"] == torch.__version__.partition("+")[0] or content["packages"]["torch"] == torch.__version__
    )


def test_a_run_of_no_epochs_is_judged_and_kept_as_it_begins(tmp_path: Path, toy_config: ConfigWriter) -> None:
    from worker.lab.training.loop import Ending

    config = toy_config(run={"epochs": 0})
    run = trainer(config, tmp_path / "run")
    first = {name: value.clone() for name, value in run.model.state_dict().items()}
    judged = 0
    evaluate = run.recipe.evaluate

    def counted() -> dict[str, float]:
        nonlocal judged
        judged += 1
        figures: dict[str, float] = evaluate()
        return figures

    run.recipe.evaluate = counted
    assert run.run() is Ending.DONE
    best = loaded(tmp_path / "run" / "best.pt")
    assert judged == 1
    assert best["progress"]["step"] == 0
    assert all(torch.equal(best["model"][name], value) for name, value in first.items())
    again = trainer(config, tmp_path / "run")
    again.recipe.evaluate = counted
    assert again.run() is Ending.DONE
    assert judged == 1


def test_early_stopping_ends_after_as_many_evaluations_without_a_better_score(tmp_path: Path, toy_config: ConfigWriter) -> None:
    from worker.lab.training.loop import Ending

    scores = [0.1, 0.3, 0.2, 0.3, float("nan"), 0.9]
    config = toy_config(run={"epochs": 6, "early_stop": 3}, recipe={"batches": 1, "scores": [0.1, 0.3, 0.2, 0.3, 0.25, 0.9]})
    run = trainer(config, tmp_path / "run")
    assert run.run() is Ending.EARLY
    assert (run.progress.epoch, run.progress.best) == (5, 0.3)
    assert loaded(tmp_path / "run" / "best.pt")["progress"]["epoch"] == 2
    assert trainer(config, tmp_path / "run").run() is Ending.EARLY  # and stays ended
    assert len(scores) == 6


def test_a_score_that_is_no_number_is_never_the_best(
    tmp_path: Path, toy_config: ConfigWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(toy_config(recipe={"batches": 1}), tmp_path / "run")
    scores = iter([float("nan"), 0.2, float("nan")])
    monkeypatch.setattr(run.recipe, "evaluate", lambda: {"score": next(scores)})
    run.run()
    assert run.progress.best == 0.2
    assert loaded(tmp_path / "run" / "best.pt")["progress"]["epoch"] == 2


def test_a_score_that_should_fall_is_best_where_it_is_lowest(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(recipe={"batches": 1, "scores": [0.5, 0.2, 0.4], "lower_is_better": True})
    run = trainer(config, tmp_path / "run")
    run.run()
    assert (run.progress.best, run.progress.stale) == (0.2, 1)


def test_the_average_is_that_of_a_slow_reference_and_is_what_is_judged(
    tmp_path: Path, toy_config: ConfigWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(toy_config(run={"average": 0.5, "epochs": 2}), tmp_path / "run")
    name = "net.head.weight"
    reference = run.model.state_dict()[name].clone().double()
    seen: list[Any] = []
    step, evaluate = run._step, run.recipe.evaluate

    def watched_step(batch: Any, total: int) -> dict[str, float]:
        nonlocal reference
        number = run.progress.step
        figures: dict[str, float] = step(batch, total)
        decay = min(0.5, (1 + number) / (10 + number))
        reference = decay * reference + (1 - decay) * run.model.state_dict()[name].double()
        return figures

    def watched_evaluate() -> dict[str, float]:
        seen.append(run.model.state_dict()[name].clone())
        assert not run.model.training
        figures: dict[str, float] = evaluate()
        return figures

    monkeypatch.setattr(run, "_step", watched_step)
    monkeypatch.setattr(run.recipe, "evaluate", watched_evaluate)
    run.run()
    assert torch.allclose(seen[-1].double(), reference, atol=1e-6)
    assert not torch.equal(run.model.state_dict()[name], seen[-1])  # training went on with its own weights
    content = loaded(tmp_path / "run" / "last.pt")
    assert torch.equal(content["averaged"][name], seen[-1])
    assert torch.equal(content["model"][name], run.model.state_dict()[name])


def test_another_configuration_in_the_same_folder_is_refused_and_the_change_is_named(
    tmp_path: Path, toy_config: ConfigWriter
) -> None:
    config = toy_config(run={"epochs": 1})
    trainer(config, tmp_path / "run").run()
    before = (tmp_path / "run" / "last.pt").read_bytes()
    for name, value in (("run.optimizer.lr", "0.5"), ("recipe.dropout", "0.5"), ("run.seed", "9"), ("run.batch", "2")):
        with pytest.raises(ConfigurationError, match=rf"{name}: {value}, was .*--output"):
            trainer(config, tmp_path / "run", **{name.replace(".", "__"): value})
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_how_long_and_where_it_runs_may_be_changed(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"epochs": 1})
    trainer(config, tmp_path / "run").run()
    run = trainer(config, tmp_path / "run", run__epochs="2", run__workers="1", run__minutes="5", run__precision="bf16")
    run.run()
    assert run.progress.epoch == 2


def test_a_loss_that_is_no_number_stops_with_what_to_do_and_keeps_the_checkpoint_before(
    tmp_path: Path, toy_config: ConfigWriter
) -> None:
    config = toy_config(recipe={"loss_at": {"7": float("nan")}})
    with pytest.raises(ConfigurationError, match=r"the loss is nan at step 7.*run\.optimizer\.lr.*clip_norm"):
        trainer(config, tmp_path / "run").run()
    assert loaded(tmp_path / "run" / "last.pt")["progress"]["step"] == 5


def test_weights_that_are_no_numbers_reach_no_checkpoint(tmp_path: Path, toy_config: ConfigWriter) -> None:
    run = trainer(toy_config(), tmp_path / "run")
    run.run_config = run.run_config.model_copy(update={"epochs": 1})
    run.run()
    with torch.no_grad():
        next(run.model.parameters())[0] = float("inf")
    with pytest.raises(ConfigurationError, match="a weight is no number"):
        run._save()
    with pytest.raises(ConfigurationError, match="a weight is no number"):
        run._evaluate()
    assert all(bool(torch.isfinite(weight).all()) for weight in loaded(tmp_path / "run" / "last.pt")["model"].values())


def test_the_time_limit_ends_a_run_that_goes_on_later(tmp_path: Path, toy_config: ConfigWriter) -> None:
    from worker.lab.training.loop import Ending

    config = toy_config()
    run = trainer(config, tmp_path / "run", run__minutes="1e-9")
    assert run.run() is Ending.TIME
    assert run.progress.step == 1
    again = trainer(config, tmp_path / "run")
    assert again.progress.step == 1
    assert again.run() is Ending.DONE
    assert again.progress.step == 15


def test_a_plan_without_batches_is_an_error(tmp_path: Path, toy_config: ConfigWriter) -> None:
    with pytest.raises(ConfigurationError, match="no batches"):
        trainer(toy_config(recipe={"batches": 0}), tmp_path / "run").run()


def test_batches_are_the_same_whoever_prepares_them_and_leave_the_generators_alone(toy_config: ConfigWriter) -> None:
    from worker.lab.training.batches import batch_seeds, batches
    from worker.lab.training.catalogue import build_recipe

    config = toy_config()
    read = read_config(config)
    recipe = build_recipe(read, config)
    jobs = recipe.plan(0)
    seeds = batch_seeds(3, 0, 0, len(jobs))
    before = torch.get_rng_state()
    own, others = (list(batches(recipe, jobs, seeds, workers, pin=False)) for workers in (0, 2))
    late = list(batches(recipe, jobs[3:], batch_seeds(3, 0, 3, len(jobs)), 0, pin=False))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(own) == len(others) == 5
    for one, other in zip([*own, *own[3:]], [*others, *late], strict=True):
        assert all(map(torch.equal, one, other))
    assert not torch.equal(own[0][0], own[1][0])


def test_device_and_number_type_are_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.lab.training.optimizing import pick_device, pick_precision

    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert pick_device(RunConfig(device="cpu")) == cpu
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(RunConfig()) == cpu
    with pytest.raises(ConfigurationError, match="torch sees no GPU"):
        pick_device(RunConfig(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device(RunConfig()) == gpu
    assert pick_device(RunConfig(device="cpu")) == cpu
    assert pick_precision(RunConfig(), cpu) is torch.float32
    assert pick_precision(RunConfig(precision="bf16"), cpu) is torch.bfloat16
    with pytest.raises(ConfigurationError, match="for GPUs"):
        pick_precision(RunConfig(precision="fp16"), cpu)
    for has_it, wanted in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has_it=has_it: has_it)
        assert pick_precision(RunConfig(), gpu) is wanted
    assert pick_precision(RunConfig(precision="fp32"), gpu) is torch.float32


def test_bfloat16_trains_on_a_cpu(tmp_path: Path, toy_config: ConfigWriter) -> None:
    whole = trainer(toy_config(run={"epochs": 1}), tmp_path / "whole")
    half = trainer(toy_config(run={"epochs": 1, "precision": "bf16"}), tmp_path / "half")
    whole.run()
    half.run()
    assert all(weight.dtype is torch.float32 for weight in half.model.parameters())
    one, other = whole.model.state_dict()["net.head.weight"], half.model.state_dict()["net.head.weight"]
    assert not torch.equal(one, other)
    assert torch.allclose(one, other, atol=0.05)


def test_the_gradient_is_clipped_to_the_norm(tmp_path: Path, toy_config: ConfigWriter) -> None:
    optimizer = {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0, "lr": 1.0, "clip_norm": 1e-3}
    run = trainer(toy_config(run={"epochs": 1, "optimizer": optimizer}, recipe={"batches": 1}), tmp_path / "run")
    before = copy.deepcopy(dict(run.model.named_parameters()))
    run.run()
    moved = torch.stack(
        [
            (weight - before[name]).norm() / (10 if name.startswith("proxies") else 1)
            for name, weight in run.model.named_parameters()
        ]
    )
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_a_broken_checkpoint_is_refused_by_name(tmp_path: Path, toy_config: ConfigWriter) -> None:
    config = toy_config(run={"epochs": 1})
    trainer(config, tmp_path / "run").run()
    last = tmp_path / "run" / "last.pt"
    for content in (last.read_bytes()[:1000], b"", b"no checkpoint"):
        last.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"last\.pt is no checkpoint"):
            trainer(config, tmp_path / "run")


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, toy_config: ConfigWriter) -> None:
    from worker.lab.training.checkpoint import load, save

    path = tmp_path / "last.pt"
    save(path, {"a": 1})
    (tmp_path / "last.part").mkdir()  # nothing can be written there
    with pytest.raises(ConfigurationError, match="cannot be written"):
        save(path, {"a": 2})
    assert load(path) == {"a": 1}


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, toy_config: ConfigWriter) -> None:
    from worker.lab.training.run import LOCK, train

    config = toy_config(run={"epochs": 1})
    (tmp_path / "run").mkdir()
    holder = "import fcntl, sys\nfile = open(sys.argv[1], 'w')\nfcntl.lockf(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "run" / LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ConfigurationError, match="another process trains"):
            train(read_config(config), config, tmp_path / "run", lambda *_: None)
        process.communicate()
    assert train(read_config(config), config, tmp_path / "run", lambda *_: None).epoch == 1
