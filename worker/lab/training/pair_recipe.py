"""What the papers' recipes do alike: batches of garments seen twice, one network, seeded, trained as a whole."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import nn

from worker.lab.training.config import RunConfig
from worker.lab.training.garments import GarmentPart, Garments, Pairs
from worker.lab.training.judging import Judging
from worker.lab.training.recipe import Batch, Job, Score

Net = TypeVar("Net", bound=nn.Module)


class PairRecipe(Generic[Net]):
    """The common part of a `Recipe` on pairs of a clean and a phone-like view; what is learned and judged is the recipe's own."""

    score = Score("score")

    def __init__(self, part: GarmentPart, run: RunConfig, garments: Garments, judge: Judging, make: Callable[[], Net]) -> None:
        """`judge`: holds the held-out photos. `make`: the network; what it draws comes from the run's seed."""
        self._run, self._garments, self._judge = run, garments, judge
        self._pairs = Pairs(garments, part, run.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self._net = make()

    def model(self) -> Net:
        """As `Recipe.model`."""
        return self._net

    def plan(self, epoch: int) -> Sequence[Job]:
        """Every garment twice (clean, seen) a batch: `run.batch` counts crops."""
        return self._pairs.plan(epoch, max(2, self._run.batch // 2))

    def load(self, job: Job) -> Batch:
        """As `Pairs.load`."""
        return self._pairs.load(job)

    def begin(self, epoch: int) -> None:
        """As `Recipe.begin`."""
        del epoch
        self._net.train()
