"""Small photos and manifests for the lab's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from worker.vision.types import ByteArray

PhotoWriter = Callable[..., Path]


def drawn(seed: int, side: int = 160) -> ByteArray:
    """A coloured shape with a pattern on white: each seed another, the same in every run."""
    rng = np.random.default_rng(seed)
    rgb = np.full((side, side, 3), 255, np.uint8)
    colour = [int(c) for c in rng.integers(20, 220, 3)]
    left, top = (int(v) for v in rng.integers(side // 8, side // 4, 2))
    right, bottom = (int(v) for v in rng.integers(side * 5 // 8, side * 7 // 8, 2))
    cv2.rectangle(rgb, (left, top), (right, bottom), colour, -1)
    for _ in range(4):
        centre = tuple(int(v) for v in rng.integers(side // 4, side * 3 // 4, 2))
        cv2.circle(rgb, centre, int(rng.integers(4, 14)), [int(c) for c in rng.integers(0, 255, 3)], -1)
    return rgb


@pytest.fixture
def write_photo() -> PhotoWriter:
    """Write a drawn photo; returns its path."""

    def write(path: Path, seed: int, side: int = 160) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), cv2.cvtColor(drawn(seed, side), cv2.COLOR_RGB2BGR))
        return path

    return write


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's cache in a folder of its own; the models stay where they are."""
    from worker.settings import load_settings
    from worker.vision.store import cache_dir

    models = cache_dir(load_settings().vision)
    monkeypatch.setenv("INTAKE_VISION__CACHE_DIR", str(models))
    monkeypatch.setenv("INTAKE_IMAGING__ISOLATION", "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "intake" / "lab" / "lab.sqlite"
