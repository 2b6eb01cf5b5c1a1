"""Toy runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ConfigWriter = Callable[..., Path]


@pytest.fixture
def toy_config(tmp_path: Path) -> ConfigWriter:
    """Write a configuration of the toy recipe; returns its path. `run` and `recipe` change what it says."""

    def write(name: str = "toy.toml", *, run: dict[str, Any] | None = None, recipe: dict[str, Any] | None = None) -> Path:
        parts: dict[str, dict[str, Any]] = {
            "run": {"seed": 3, "epochs": 3, "batch": 4, "threads": 1, "device": "cpu", "average": 0.9, **(run or {})},
            "recipe": {"kind": "tests.lab.training.toy", **(recipe or {})},
        }
        path = tmp_path / name
        path.write_text("\n".join(f"{part} = {_toml(values)}" for part, values in parts.items()) + "\n", encoding="utf-8")
        return path

    return write


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {_toml(each)}' for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)
