"""Configurations of training: what is read, what is refused, and with which words. Needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.lab.training.catalogue import build_recipe
from worker.lab.training.config import TrainConfig, parse_overrides, read_config, set_value

TOML = """
[run]
seed = 7
epochs = 3
batch = 8
average = 0.99
[run.optimizer]
name = "sgd"
lr = 3e-4
[run.schedule]
name = "step"
milestones = [2, 4]
[recipe]
kind = "segment"
lr_of_head = 1e-3
sizes = [1, 2]
"""
YAML = """
run:
  seed: 7
  epochs: 3
  batch: 8
  average: 0.99
  optimizer: {name: sgd, lr: 3e-4}
  schedule: {name: step, milestones: [2, 4]}
recipe:
  kind: segment
  lr_of_head: 1e-3
  sizes: [1, 2]
"""


def written(folder: Path, text: str, name: str = "train.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    toml = read_config(written(tmp_path, TOML))
    assert toml == read_config(written(tmp_path, YAML, "train.yaml"))
    assert toml == read_config(written(tmp_path, YAML, "train.yml"))
    assert toml.run.optimizer.lr == 3e-4
    assert toml.recipe["lr_of_head"] == 1e-3
    assert toml.kind == "segment"


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "[recipe]\nkind = 'segment'"))
    assert config.run.optimizer.name == "adamw"
    assert config.run.schedule.name == "cosine"
    assert config.run.precision == "auto"


def test_every_fault_has_a_line_with_its_name(tmp_path: Path) -> None:
    path = written(
        tmp_path, "[run]\nbatch = 0\nepoch = 3\n[run.optimizer]\nlr = 'fast'\n[run.schedule]\nname = 'linear'\n[recipe]\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        read_config(path)
    first, *faults = str(caught.value).splitlines()
    assert str(path) in first
    assert sorted(line.split(":")[0].strip() for line in faults) == [
        "run.batch",
        "run.epoch",
        "run.optimizer.lr",
        "run.schedule.name",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "= 3"),
        ("a.yaml", "a: [1"),
        ("a.toml", "x = 1"),
        ("a.yaml", "- 1"),
        ("a.yaml", ""),
        ("a.yaml", "a: !!python/name:os.system"),
    ],
)
def test_what_is_no_configuration_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(ConfigurationError, match=name):
        read_config(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        read_config(tmp_path / "absent.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_config(path)


def test_overrides_win_and_are_read_as_toml_or_text(tmp_path: Path) -> None:
    overrides = parse_overrides(
        [
            "run.batch=64",
            "run.optimizer.lr = 1e-2",
            "recipe.data=/photos/a b",
            "recipe.sizes=[3]",
            "recipe.new.deep=true",
            "recipe.eq=a=b",
        ]
    )
    config = read_config(written(tmp_path, TOML), overrides)
    assert config.run.batch == 64
    assert config.run.optimizer.lr == 0.01
    assert config.recipe["data"] == "/photos/a b"
    assert config.recipe["sizes"] == [3]
    assert config.recipe["new"] == {"deep": True}
    assert config.recipe["eq"] == "a=b"
    assert config.run.seed == 7


@pytest.mark.parametrize("text", ["run.batch", "=3", "batch=3", "run..batch=3", ".batch=3"])
def test_an_override_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PART"):
        parse_overrides([text])


def test_an_override_below_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no table"):
        read_config(written(tmp_path, TOML), {"run.batch.size": "3"})


def test_an_override_cannot_smuggle_a_second_value() -> None:
    content: dict[str, object] = {}
    set_value(content, "recipe.name", "1\nother = 2")
    assert content == {"recipe": {"name": "1\nother = 2"}}


def test_an_unknown_kind_is_refused_and_the_known_are_named(tmp_path: Path) -> None:
    config = TrainConfig(recipe={"kind": "resnet"})
    with pytest.raises(ConfigurationError, match=r"'resnet'.*instance.*segment"):
        build_recipe(config, tmp_path / "a.toml")
    with pytest.raises(ConfigurationError, match="there are"):
        build_recipe(TrainConfig(recipe={}), tmp_path / "a.toml")


def test_a_module_that_is_not_there_is_no_missing_extra(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no nowhere"):
        build_recipe(TrainConfig(recipe={"kind": "nowhere.at.all"}), tmp_path / "a.toml")


def test_where_torch_is_missing_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it raises ModuleNotFoundError
    monkeypatch.delitem(sys.modules, "tests.lab.training.toy", raising=False)
    with pytest.raises(ConfigurationError, match=r"torch.*intake-worker\[lab\]"):
        build_recipe(TrainConfig(recipe={"kind": "tests.lab.training.toy"}), tmp_path / "a.toml")


def test_where_yaml_is_missing_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigurationError, match=r"PyYAML.*intake-worker\[lab\]"):
        read_config(written(tmp_path, YAML, "a.yaml"))
    assert read_config(written(tmp_path, TOML)).kind == "segment"
