"""The fuzz target runs, and finds what it is there to find."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.fuzz.fuzz_decode import one_photo, plant_seeds
from tests.imaging.pictures import corners, encoded
from worker.errors import PhotoRefused, Reason
from worker.imaging import codec


def test_every_seed_passes(tmp_path: Path) -> None:
    assert plant_seeds(tmp_path) > 300
    for seed in sorted(tmp_path.iterdir()):
        one_photo(codec, PhotoRefused, seed.read_bytes())


@pytest.mark.parametrize(
    ("rgb", "size"),
    [
        (np.zeros((50, 50), np.uint8)[..., None], (50, 50)),
        (np.zeros((50, 50, 3), np.float32), (50, 50)),
        (np.zeros((50, 50, 3), np.uint8)[:, ::-1], (50, 50)),
        (np.zeros((97, 97, 3), np.uint8), (200, 200)),
        (np.zeros((40, 40, 3), np.uint8), (200, 200)),
        (np.zeros((96, 96, 3), np.uint8), (2000, 2000)),
    ],
)
def test_a_decoder_that_breaks_its_promise_is_found(rgb: Any, size: tuple[int, int]) -> None:
    broken: Any = SimpleNamespace(
        Limits=codec.Limits, decode_bytes=lambda data, limits: SimpleNamespace(rgb=rgb, original_size=size)
    )
    with pytest.raises(AssertionError):
        one_photo(broken, PhotoRefused, b"")


def test_an_untyped_exception_and_a_silent_refusal_are_found() -> None:
    def raises(error: Exception) -> Any:
        def decode(data: bytes, limits: object) -> None:
            raise error

        return SimpleNamespace(Limits=codec.Limits, decode_bytes=decode)

    with pytest.raises(KeyError):
        one_photo(raises(KeyError("x")), PhotoRefused, b"")
    with pytest.raises(AssertionError):
        one_photo(raises(PhotoRefused(Reason.PHOTO_CORRUPT, "")), PhotoRefused, b"")
    one_photo(codec, PhotoRefused, encoded(corners(), "PNG"))
