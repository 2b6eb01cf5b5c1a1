"""Batches of an epoch, prepared by the training process or by others: the same either way."""

# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator, Sequence

import cv2
from torch import Generator
from torch.utils.data import DataLoader, Dataset

from worker.lab.training.randomness import isolated, seed_of
from worker.lab.training.recipe import Batch, Job, Recipe

_PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal that a process gets when its parent dies


def batches(recipe: Recipe, jobs: Sequence[Job], seeds: Sequence[int], workers: int, *, pin: bool) -> Iterator[Batch]:
    """The batches of `jobs`, in order.

    Args:
        recipe: whose `load` prepares them.
        jobs: what is left of an epoch.
        seeds: where the generators stand while each of them is prepared.
        workers: processes that prepare them; 0: this one.
        pin: in memory that a GPU copies from while it computes.
    """
    prepared = _Jobs(recipe, jobs, seeds)
    if not workers:
        return (prepared[index] for index in range(len(jobs)))
    loader = DataLoader(
        prepared,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_begin_worker,
        multiprocessing_context="fork",  # the recipe's photos are shared, not sent
        generator=Generator(),  # else it draws from the run's own, and a resumed run would draw once more
    )
    return iter(loader)


def _begin_worker(_number: int) -> None:
    # Ctrl-C reaches the whole group: the training process decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # One whose training process was killed would wait for it some seconds, holding memory that the resumed run needs.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    cv2.setNumThreads(0)  # its threads do not survive a fork, and the cores have a worker each


class _Jobs(Dataset[Batch]):
    def __init__(self, recipe: Recipe, jobs: Sequence[Job], seeds: Sequence[int]) -> None:
        self._recipe, self._jobs, self._seeds = recipe, jobs, seeds

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, index: int) -> Batch:
        with isolated(self._seeds[index]):
            return self._recipe.load(self._jobs[index])


def batch_seeds(seed: int, epoch: int, first: int, last: int) -> list[int]:
    """Of the batches first..last (exclusive) of an epoch."""
    return [seed_of(seed, epoch, position) for position in range(first, last)]
