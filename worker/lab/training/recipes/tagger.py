"""A tagger: several heads on one backbone, for what the labels of a table say of a photo (Park et al. 2019; Li et al. 2020, section 3).

Li et al. retrain the last five layers of VGG19 with rotation, flip, shift and zoom, early stopping and a learning rate that falls when
validation no longer improves, one network for each question. Here one network has a head for each. Where lower stages are frozen, their
maps are computed once: an epoch costs what the upper stages cost. Rotation, shift and zoom are then done to the maps, the mirrored maps
are kept beside the others.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import structlog
import torch
from torch import Tensor, nn

from worker.lab.tagging.config import TaggerConfig
from worker.lab.tagging.data import IntArray, Labelled, PartName, read_labelled
from worker.lab.tagging.maps import HalfArray, maps_folder, maps_of, pixels_of
from worker.lab.tagging.metrics import softmax, sure_from, temperature, top_shares
from worker.lab.tagging.network import Exported, TaggerNet, halves_of
from worker.lab.training.config import RunConfig, parse
from worker.lab.training.optimizing import pick_device, pick_precision
from worker.lab.training.recipe import Batch, Exportable, Job, Score
from worker.settings import load_settings
from worker.vision.rows import HeadSpec, InputSpec, OutputSpec
from worker.vision.types import FloatArray

_log = structlog.get_logger(__name__)

OUTPUT = "probabilities"
JUDGED_BATCH = 128
WHITE = 255.0


@dataclass(frozen=True, slots=True)
class _Job:
    seed: int
    numbers: tuple[int, ...]


class Tagger:
    """See the module."""

    score = Score("mean_top1")

    def __init__(self, wanted: TaggerConfig, run: RunConfig, source: Path) -> None:
        self._wanted, self._run = wanted, run
        self._data: Labelled = read_labelled(wanted, source.parent)
        weights = source.parent / wanted.weights if wanted.weights else None
        halves, self._weights = halves_of(wanted.backbone, weights, wanted.frozen_stages, load_settings().vision)
        self._frozen = wanted.frozen_stages > 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self._net = TaggerNet(halves, [len(head.labels) for head in self._data.heads], wanted.dropout, frozen=self._frozen)
        self._net.to(memory_format=torch.channels_last)  # depthwise convolutions learn in 0.6 of the time on a CPU
        self._input = InputSpec(
            image="rgb", height=wanted.height, width=wanted.width, layout="nhwc", dtype="uint8", range="byte", resize="letterbox"
        )
        self._precision = pick_precision(run, pick_device(run))
        self._kept: HalfArray | None = None

    def model(self) -> nn.Module:
        """As `Recipe.model`."""
        return self._net

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """As `Recipe.parameters`: the heads are new and learn faster."""
        body = [weights for name, weights in self._net.named_parameters() if not name.startswith("head.")]
        return [
            {"params": [weights for weights in body if weights.requires_grad], "lr": lr},
            {"params": list(self._net.head.parameters()), "lr": lr * self._wanted.head_lr},
        ]

    def begin(self, epoch: int) -> None:
        """As `Recipe.begin`."""
        del epoch
        self._net.train()

    def plan(self, epoch: int) -> Sequence[Job]:
        """Every photo of the part once, in an order drawn by seed and epoch; an incomplete last batch is left out."""
        self._maps()
        rng = np.random.default_rng((self._run.seed, epoch))
        numbers = rng.permutation(self._data.of_part("train"))
        batch = self._run.batch
        starts = range(0, len(numbers) - batch + 1, batch)
        return [_Job(int(rng.integers(2**31)), tuple(numbers[start : start + batch].tolist())) for start in starts]

    def load(self, job: Job) -> Batch:
        """Maps (float32) or pixels (uint8), varied, and labels (n, heads)."""
        job = cast("_Job", job)
        rng = np.random.default_rng(job.seed)
        numbers = np.array(job.numbers)
        mirrored = (rng.random(len(numbers)) < 0.5) if self._wanted.mirror else np.zeros(len(numbers), bool)
        moves = self._moves(len(numbers), rng)
        labels = torch.from_numpy(self._data.labels[numbers])
        kept = self._maps()
        if kept is not None:
            maps = torch.from_numpy(np.stack([kept[n, int(m)] for n, m in zip(numbers, mirrored, strict=True)])).float()
            return moved(maps, moves, "border"), labels
        pixels = torch.from_numpy(pixels_of(self._data, job.numbers, self._input)).permute(0, 3, 1, 2).float()
        pixels = torch.where(torch.from_numpy(mirrored)[:, None, None, None], pixels.flip(3), pixels)
        # Photos of garments lie on something light; what a move uncovers is white.
        pixels = WHITE - moved(WHITE - pixels, moves, "zeros")
        return pixels.round().clamp(0, WHITE).byte().permute(0, 2, 3, 1).contiguous(), labels

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Mean of the heads' cross-entropies; a photo without a class of a head is left out there."""
        inputs, labels = batch
        logits = self._net.from_maps(inputs.contiguous(memory_format=torch.channels_last)) if self._frozen else self._net(inputs)
        losses, right = [], {}
        for at, (part, head) in enumerate(zip(self._net.split(logits.float()), self._data.heads, strict=True)):
            known = labels[:, at] >= 0
            if not bool(known.any()):
                continue
            weight = self._class_weights(at).to(part.device) if self._wanted.class_weights else None
            losses.append(
                nn.functional.cross_entropy(
                    part, labels[:, at], weight=weight, ignore_index=-1, label_smoothing=self._wanted.smoothing
                )
            )
            right[f"right_{head.config.name}"] = float((part.detach().argmax(1) == labels[:, at])[known].float().mean())
        return torch.stack(losses).mean(), right

    def evaluate(self) -> dict[str, float]:
        """Share of validation photos whose class is first, of each head, and their mean."""
        logits, numbers = self.logits("validation")
        figures = {}
        for at, (part, head) in enumerate(zip(self._split(logits), self._data.heads, strict=True)):
            truths = self._data.labels[numbers, at]
            figures[f"top1_{head.config.name}"] = top_shares(part[truths >= 0], truths[truths >= 0])[1]
        return {"mean_top1": sum(figures.values()) / len(figures), **figures}

    @torch.no_grad()
    def logits(self, part: PartName) -> tuple[FloatArray, IntArray]:
        """Logits of a part's photos, as they are, and their numbers."""
        self._net.eval()
        device = next(self._net.parameters()).device
        numbers = self._data.of_part(part)
        kept = self._maps()
        results = []
        for start in range(0, len(numbers), JUDGED_BATCH):
            some = numbers[start : start + JUDGED_BATCH]
            with torch.autocast(device.type, dtype=self._precision, enabled=self._precision is not torch.float32):
                if kept is not None:
                    logits = self._net.from_maps(torch.from_numpy(np.asarray(kept[some, 0])).float().to(device))
                else:
                    logits = self._net(torch.from_numpy(pixels_of(self._data, some.tolist(), self._input)).to(device))
            results.append(logits.float().cpu().numpy())
        return np.concatenate(results), numbers

    def export(self) -> Exportable:
        """Probabilities, calibrated on the validation photos; a row's heads are in `extra`."""
        logits, numbers = self.logits("validation")
        heads, temperatures = [], []
        for at, (part, classes) in enumerate(zip(self._split(logits), self._data.heads, strict=True)):
            truths = self._data.labels[numbers, at]
            known = truths >= 0
            temperatures.append(temperature(part[known], truths[known]))
            sure = sure_from(softmax(part[known] / temperatures[-1]), truths[known])
            heads.append(
                HeadSpec(
                    name=classes.config.name,
                    labels=classes.labels,
                    attribute=classes.config.attribute,
                    values=() if classes.values == classes.labels else classes.values,
                    words=classes.config.words,
                    sure=round(min(1.0, sure), 4),
                )
            )
        module = Exported(copy.deepcopy(self._net).cpu(), temperatures).eval()
        generator = torch.Generator().manual_seed(0)
        shape = (2, self._wanted.height, self._wanted.width, 3)
        counts = ", ".join(f"{len(head.labels)} of {head.config.name}" for head in self._data.heads)
        return Exportable(
            module=module,
            inputs={"rgb": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)},
            task="tag",
            input=self._input,
            output=OutputSpec(name=OUTPUT, dimension=sum(len(head.labels) for head in self._data.heads)),
            licence=self._wanted.licence,
            notice=self._wanted.notice,
            recipe=(
                f"{self._wanted.backbone} ({self._weights}), {self._wanted.frozen_stages} stages frozen, trained at "
                f"{self._wanted.width} x {self._wanted.height} on {len(self._data.of_part('train'))} photos; classes with at least "
                f"{self._wanted.min_images} images: {counts}. Probabilities are scaled, and `sure` is chosen, on "
                f"{len(numbers)} validation photos. Limits: it knows these classes and no other, and says one of them of anything."
            ),
            extra={"heads": [head.model_dump(mode="json") for head in heads]},
        )

    def provenance(self) -> dict[str, Any]:
        """Photos, parts, classes, and where first weights came from."""
        parts: tuple[PartName, ...] = ("train", "validation", "test")
        return {
            "table": str(self._wanted.table),
            "photos": len(self._data.names),
            "sha256": hashlib.sha256("\n".join(self._data.names).encode()).hexdigest(),
            "parts": {part: len(self._data.of_part(part)) for part in parts},
            "classes": {head.config.name: dict(zip(head.labels, head.counts, strict=True)) for head in self._data.heads},
            "weights": self._weights,
        }

    def _split(self, logits: FloatArray) -> list[FloatArray]:
        return np.split(logits, np.cumsum(self._net.classes)[:-1], axis=1)

    def _maps(self) -> HalfArray | None:
        if self._frozen and self._kept is None:
            mode = self._net.training
            self._kept = maps_of(self._net, self._data, self._input, self._precision, maps_folder(), _tell_maps)
            self._net.train(mode)
        return self._kept

    def _moves(self, count: int, rng: np.random.Generator) -> Tensor:
        """(n, 2, 3) affine moves, as `affine_grid` takes them."""
        wanted = self._wanted
        angle = np.deg2rad(rng.uniform(-wanted.turn, wanted.turn, count))
        scale = rng.uniform(1 - wanted.zoom, 1 + wanted.zoom, (count, 2))
        shift = rng.uniform(-wanted.shift, wanted.shift, (count, 2)) * 2  # the grid goes from -1 to 1
        # In the grid both sides are 2 long: a turn of the picture is a turn of its pixels.
        tall = wanted.height / wanted.width
        cos, sin = np.cos(angle), np.sin(angle)
        rows = [
            np.stack([cos * scale[:, 0], -sin * scale[:, 1] * tall, shift[:, 0]], 1),
            np.stack([sin * scale[:, 0] / tall, cos * scale[:, 1], shift[:, 1]], 1),
        ]
        return torch.from_numpy(np.stack(rows, 1)).float()

    def _class_weights(self, at: int) -> Tensor:
        labels = self._data.labels[self._data.of_part("train"), at]
        counts = np.bincount(labels[labels >= 0], minlength=len(self._data.heads[at].labels)).clip(1)
        weights = np.sqrt(counts.mean() / counts)
        return torch.from_numpy(weights / weights.mean()).float()


def moved(pictures: Tensor, moves: Tensor, padding: str) -> Tensor:
    """(n, c, h, w) turned, shifted and zoomed by `moves` (n, 2, 3)."""
    grid = nn.functional.affine_grid(moves, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _tell_maps(done: int, total: int) -> None:
    if math.floor(done * 10 / total) > math.floor((done - 1) * 10 / total):
        _log.info("maps of the frozen stages, computed once", photos=done, of=total)


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> Tagger:
    """As `recipe.Builder`."""
    return Tagger(parse(TaggerConfig, content, f"{source} [recipe]"), run, source)
