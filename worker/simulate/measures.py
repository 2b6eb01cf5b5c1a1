"""Drawing measures and choices from a generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from worker.simulate.arrays import Rng

T = TypeVar("T")


class Measures:
    """Draws measures: `between` a range, `yes` with a chance, `one` of weighted choices."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng

    def between(self, low: float, high: float) -> float:
        """A number of the range, evenly."""
        return float(self.rng.uniform(low, high))

    def yes(self, chance: float) -> bool:
        """True with this chance."""
        return bool(self.rng.random() < chance)

    def one(self, choices: Mapping[T, float]) -> T:
        """One of the choices, by weight."""
        weights = list(choices.values())
        total = sum(weights)
        return list(choices)[int(self.rng.choice(len(weights), p=[weight / total for weight in weights]))]
