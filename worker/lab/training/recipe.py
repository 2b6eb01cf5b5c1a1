"""The seam between the loop and what is trained."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from worker.lab.training.config import RunConfig
from worker.vision.rows import InputSpec, OutputSpec

# What one batch is made of, small enough to be sent to another process: photo numbers, seeds, whatever `load` needs.
Job = Any
# A tuple of tensors; moved to the device by the loop.
Batch = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The held-out figure a run is judged by."""

    name: str
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Exportable:
    """A trained network as `intake lab export` writes it.

    Attributes:
        module: inputs to output, in eval mode on the CPU; preprocessing that the row does not say is inside.
        inputs: example of each graph input by name, batch first (at least two photos); the batch is dynamic.
        input: how photos become these inputs.
        output: what is read.
        keep_full: prefixes of node names that stay in full precision at fp16.
        notice: whose weights and photos it rests on. `licence`: SPDX.
        recipe: one paragraph for the card: data, method, limits. Figures are added by export.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    task: Literal["segment", "embed", "tag"]
    input: InputSpec
    output: OutputSpec
    licence: str
    notice: str
    recipe: str
    keep_full: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


class Recipe(Protocol):
    """One way of training. Everything random comes from seeds in the jobs, so that a resumed run does what an unbroken one does."""

    score: Score

    def model(self) -> nn.Module:
        """Everything with weights that a checkpoint must hold."""

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """Groups for the optimiser, `lr` the configured learning rate."""

    def plan(self, epoch: int) -> Sequence[Job]:
        """The batches of an epoch, in order; the same for the same epoch."""

    def load(self, job: Job) -> Batch:
        """One batch on the CPU. Called in worker processes too: touches nothing that training changes."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """What is minimised, and figures worth a curve. The model is in the mode `train` set by `begin`."""

    def begin(self, epoch: int) -> None:
        """Before an epoch: sets train mode (frozen batch norms stay frozen), loss weights that change."""

    def evaluate(self) -> dict[str, float]:
        """Held-out figures, the `score` among them; {} where an epoch has none."""

    def export(self) -> Exportable:
        """The trained network for `intake lab export`."""

    def provenance(self) -> dict[str, Any]:
        """What the data were: folders, counts, splits, hashes; where first weights came from."""


class Builder(Protocol):
    """`build` of each module in `recipes`."""

    def __call__(self, content: Mapping[str, Any], run: RunConfig, source: Path) -> Recipe:
        """A recipe of the `[recipe]` part; relative paths are of the folder of `source`. Raises ConfigurationError."""
