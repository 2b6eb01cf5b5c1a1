"""Recipes that train in a second: shapes on a background, told apart (embed) or cut out (segment).

Everything that makes resuming hard is in them: dropout, batch norm, a momentum buffer, and batches that draw from the global generators.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.lab.training.config import Part, RunConfig, parse
from worker.lab.training.recipe import Exportable, Score
from worker.vision.rows import InputSpec, OutputSpec

SIDE, CLASSES, DIMENSION = 32, 4, 8


class ToyPart(Part):
    kind: str
    task: Literal["embed", "segment"] = "embed"
    batches: int = 5
    dropout: float = 0.2
    loss_at: Mapping[str, float] = {}
    scores: tuple[float, ...] = ()  # of evaluations, instead of real ones
    lower_is_better: bool = False
    slow_s: float = 0.0
    coarse: bool = False  # weights that do not survive half precision


class Embedder(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 3, 2, 1), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(16, DIMENSION)

    def forward(self, rgb: Tensor, mask: Tensor) -> Tensor:
        pixels = rgb.permute(0, 3, 1, 2).float() / 255 - 0.5
        inside = mask[:, None].float() / 255
        found = self.body(pixels * inside).mean((2, 3))
        return functional.normalize(self.head(self.dropout(found)))


class Cutter(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(32, 2, 3, 1, 1)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels)


def draw(seed: int) -> tuple[Tensor, Tensor, int]:
    """(side, side, 3) uint8, (side, side) uint8 mask, class: a box of one of four colours, with noise from every global generator."""
    rng = np.random.default_rng(seed)
    label = int(rng.integers(CLASSES))
    rgb = np.full((SIDE, SIDE, 3), 235, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (int(v) for v in rng.integers(2, 12, 2))
    rgb[top : top + 16, left : left + 16] = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (190, 190, 20)][label]
    mask[top : top + 16, left : left + 16] = 255
    noise = torch.rand(SIDE, SIDE, 3).numpy() + np.random.rand() + random.random()  # noqa: NPY002
    return torch.from_numpy((rgb * 0.9 + noise * 5).astype(np.uint8)), torch.from_numpy(mask), label


class Toy:
    def __init__(self, part: ToyPart, run: RunConfig) -> None:
        self.part, self.run = part, run
        self.score = Score("score", higher_is_better=not part.lower_is_better)
        self._net = Embedder(part.dropout) if part.task == "embed" else Cutter(part.dropout)
        self._proxies = nn.Linear(DIMENSION, CLASSES, bias=False)
        self._all = nn.ModuleDict({"net": self._net, "proxies": self._proxies})
        if part.coarse:
            with torch.no_grad():
                self._net.body[3].weight.mul_(1e8)  # beyond what a half holds
        self._evaluations = 0
        self._step = 0

    def model(self) -> nn.Module:
        return self._all

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": self._net.parameters()}, {"params": self._proxies.parameters(), "lr": lr * 10}]

    def plan(self, epoch: int) -> Sequence[Any]:
        order = random.Random(epoch).sample(range(1000), self.part.batches)
        return [(epoch * self.part.batches + number, first * 100) for number, first in enumerate(order)]

    def load(self, job: Any) -> tuple[Tensor, ...]:
        step, first = job
        photos = [draw(first + number) for number in range(self.run.batch)]
        rgb, mask = torch.stack([each[0] for each in photos]), torch.stack([each[1] for each in photos])
        return rgb, mask, torch.tensor([each[2] for each in photos]), torch.tensor(step)

    def loss(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, float]]:
        time.sleep(self.part.slow_s)
        rgb, mask, labels, step = batch
        if self.part.task == "segment":
            planes = self._net(rgb.permute(0, 3, 1, 2).float() / 255)
            loss = functional.cross_entropy(planes, (mask > 127).long()) + 0 * self._proxies.weight.sum()
            right = (planes.argmax(1) == (mask > 127)).float().mean()
        else:
            scores = self._proxies(self._net(rgb, mask)) * 4
            loss = functional.cross_entropy(scores, labels)
            right = (scores.argmax(1) == labels).float().mean()
        forced = self.part.loss_at.get(str(int(step)))
        return (loss if forced is None else loss * forced), {"right": float(right)}

    def begin(self, epoch: int) -> None:
        self._all.train()

    def evaluate(self) -> dict[str, float]:
        self._evaluations += 1
        if self.part.scores:
            return {"score": self.part.scores[self._evaluations - 1]}
        batch = self.load((0, 123_456))
        loss, figures = self.loss((*batch[:3], torch.tensor(-1)))
        # A numpy number, as recipes give them.
        return {"score": np.float64(figures["right"]), "loss": float(loss)}

    def export(self) -> Exportable:
        rgb, mask, _, _ = self.load((0, 77))
        net = self._net.eval().cpu()
        notice, recipe = "Nobody's photos: drawn.", "Boxes of four colours. Limits: knows nothing else."
        if self.part.task == "segment":
            pixels = rgb.permute(0, 3, 1, 2).float() / 255
            return Exportable(
                module=net,
                inputs={"photo": pixels},
                task="segment",
                input=InputSpec(image="photo", height=SIDE, width=SIDE),
                output=OutputSpec(name="planes", activation="softmax", channels=(1,)),
                licence="CC0-1.0",
                notice=notice,
                recipe=recipe,
            )
        return Exportable(
            module=net,
            inputs={"rgb": rgb, "mask": mask},
            task="embed",
            input=InputSpec(image="rgb", mask="mask", height=SIDE, width=SIDE, layout="nhwc", dtype="uint8", range="byte"),
            output=OutputSpec(name="embedding", dimension=DIMENSION),
            licence="CC0-1.0",
            notice=notice,
            recipe=recipe,
            keep_full=("/head/",),
            extra={"cpu_max_batch": 4},
        )

    def provenance(self) -> dict[str, Any]:
        return {"photos": "drawn", "batches": self.part.batches}


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> Toy:
    return Toy(parse(ToyPart, content, str(source)), run)
