"""Random numbers of a run: seeded, saved with a checkpoint, and not disturbed by what only prepares or judges."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# Constants of splitmix64 (Steele, Lea and Flood 2014, figure 4): neighbouring seeds give unlike numbers.
_GOLDEN, _MIX1, _MIX2, _WORD = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 2**64 - 1


def random_state() -> dict[str, Any]:
    """Of torch and Python, as a checkpoint keeps it (numpy's generators are made of seeds where they are used)."""
    _, words, gauss = random.getstate()
    state = {"torch": torch.get_rng_state(), "python": [list(words), gauss]}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """What `random_state` gave. A state of other GPUs than there are here is left out."""
    torch.set_rng_state(state["torch"])
    words, gauss = state["python"]
    random.setstate((3, tuple(words), gauss))
    if len(state.get("cuda", ())) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_all(seed: int) -> None:
    """Seed every generator a library might draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  libraries draw from it
    torch.manual_seed(seed)


def seed_of(*parts: int) -> int:
    """One seed (0..2**63) of several numbers, such as the run's seed, the epoch and the batch."""
    word = 0
    for part in parts:
        word = (word + _GOLDEN + part) & _WORD
        word = ((word ^ (word >> 30)) * _MIX1) & _WORD
        word = ((word ^ (word >> 27)) * _MIX2) & _WORD
        word ^= word >> 31
    return word >> 1


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Within the block every CPU generator begins at `seed`; after it they go on as if there had been no block.

    So a batch is the same whether the training process or another one prepares it, and a resumed run, which plans its epoch a second
    time, draws on as the unbroken one did.
    """
    saved, numpy_state = (torch.get_rng_state(), random.getstate()), np.random.get_state()  # noqa: NPY002
    torch.random.default_generator.manual_seed(seed)  # of the CPU alone: a worker process must not touch a GPU
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(saved[0])
        random.setstate(saved[1])
        np.random.set_state(numpy_state)  # noqa: NPY002
