"""Garment segmentation: street photos with labels, flat phone photos with U²-Netp's cut, and both laid on other grounds."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from worker.errors import ConfigurationError
from worker.lab.export_lite0 import weights_file
from worker.lab.lite0 import BYTE_CENTRE, BYTE_SPREAD, WEIGHTS_SHA256, WEIGHTS_SOURCE
from worker.lab.training.config import Part, RunConfig, parse
from worker.lab.training.earlier import begin_with
from worker.lab.training.nets.light_segmenter import LightSegmenter
from worker.lab.training.nets.tiramisu import tiramisu
from worker.lab.training.recipe import Batch, Exportable, Job, Score
from worker.lab.training.segmentation_augment import Frame, edges, framed, lit, make_ground, on_ground
from worker.lab.training.segmentation_data import (
    HELD_OUT_STREET_OF,
    Sample,
    Source,
    digest_of,
    flat_sources,
    part_of,
    read_flat,
    read_street,
    street_sources,
    unpacked,
)
from worker.lab.training.segmentation_labels import GARMENT, IGNORE
from worker.lab.training.segmentation_loss import SegmentationLoss, Weights
from worker.lab.training.segmentation_score import judge
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES, GARMENTS
from worker.vision.rows import InputSpec, OutputSpec
from worker.vision.store import cache_dir
from worker.vision.types import ByteArray

STRIDE = 32  # of the coarsest map of every network here
Side = Annotated[int, Field(ge=STRIDE, multiple_of=STRIDE)]
LICENCE = "Apache-2.0"
NOTICE = (
    "Weights trained by this project, starting from EfficientNet-Lite0 (Mingxing Tan and Quoc V. Le, TensorFlow authors, Apache-2.0; "
    "converted to PyTorch by ML Illustrated, Apache-2.0). Learned from the clothing dataset (Alexey Grigorev and contributors, CC0), cut out by "
    "U²-Net (Xuebin Qin and others, Apache-2.0), and from the clothing co-parsing data (Wei Yang, Ping Luo, Liang Lin, repository Apache-2.0); "
    "no picture of either is contained."
)


class SegmentConfig(Part):
    """`[recipe]` of kind `segment`."""

    kind: Literal["segment"]
    network: Literal["light", "tiramisu56", "tiramisu67", "tiramisu103"] = "light"
    data: Path = Field(description="Folder with ccp/ and clothing/, each unpacked or with its images.zip.")
    cuts: Path | None = Field(default=None, description="Where U²-Netp's cuts of the flat photos are kept; made where absent.")
    make_cuts: bool = Field(default=True, description="Off: flat photos that have no cut yet are left out.")
    height: Side = 320
    width: Side = 256
    window: tuple[Side, Side] = Field(default=(224, 192), description="Height and width that are trained on, cut from the whole.")
    scales: tuple[float, float] = (0.65, 1.6)
    whole_from: float = Field(default=0.8, ge=0, le=1, description="Share of the epochs after which whole photos are trained on.")
    whole_scales: tuple[float, float] = (0.85, 1.2)
    batches: int = Field(default=60, ge=1, description="In an epoch.")
    street: float = Field(default=0.55, gt=0, lt=1, description="Share of street photos in a batch; the rest are flat ones.")
    ground: float = Field(default=0.2, ge=0, le=1, description="Share of photos that are laid on another ground.")
    grounds: int = Field(default=48, ge=1, description="Other grounds that are made.")
    first: Path | None = Field(
        default=None,
        description="Folder of an earlier run of the same network, or its best.pt: training begins with its best weights.",
    )
    freeze: int = Field(default=2, ge=0, le=6, description="Stages of a pretrained encoder that are left as they are.")
    encoder_lr: float = Field(default=0.3, gt=0, le=1, description="Learning rate of a pretrained encoder, as a share.")
    loss: Weights = Weights()
    flat: int = Field(default=0, ge=0, description="Flat photos used of each part; 0: all.")
    judged_flat: int = Field(default=150, ge=1, description="Held-out flat photos that are judged during training.")


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> SegmentRecipe:
    """As `Builder`."""
    config = parse(SegmentConfig, content, str(source))
    root = source.parent / config.data
    cache = cache_dir(VisionSettings()) / "lab"
    street, clothing = unpacked(root / "ccp", cache), unpacked(root / "clothing", cache)
    photos = clothing / "images" if (clothing / "images").is_dir() else clothing
    table = root / "clothing" / "images.csv"
    cuts = source.parent / config.cuts if config.cuts else cache / "cuts"
    people = street_sources(street)
    flat = [each for each in flat_sources(table, photos) if config.make_cuts or (cuts / f"{each.name}.png").is_file()]
    chosen = choose(people, flat, config.flat, config.judged_flat)
    labels = street if (street / "labels.txt").is_file() else root / "ccp"
    samples = {
        part: read_street(street, [s for s in some if s.kind == "street"], _tell, labels)
        + read_flat(photos, cuts, [s for s in some if s.kind == "flat"], _tell)
        for part, some in chosen.items()
    }
    first = source.parent / config.first if config.first else None
    return SegmentRecipe(config, run, samples["development"], samples["held-out"], chosen, first)


def choose(street: Sequence[Source], flat: Sequence[Source], count: int, judged: int) -> dict[str, list[Source]]:
    """Which photos are learned from and which are judged by."""
    mine = [source for source in flat if part_of(source) == "development"]
    other = [source for source in flat if part_of(source) == "held-out"]
    step = max(1, len(other) // judged)
    return {
        "development": [s for s in street if part_of(s) == "development"] + mine[: count or None],
        "held-out": [s for s in street if part_of(s) == "held-out"] + other[::step][:judged],
    }


class SegmentRecipe:
    """As `Recipe`."""

    score = Score("score")

    def __init__(
        self,
        config: SegmentConfig,
        run: RunConfig,
        learned: list[Sample],
        judged: list[Sample],
        chosen: Mapping[str, list[Source]],
        first: Path | None = None,
    ) -> None:
        """`learned` and `judged` are the samples of `chosen`'s development and held-out photos; `first` as in `SegmentConfig`."""
        self.config, self.run, self._chosen, self._judged = config, run, chosen, judged
        self._street = [sample for sample in learned if sample.kind == "street"]
        self._flat = [sample for sample in learned if sample.kind == "flat"]
        if not self._street or not self._flat or not judged:
            raise ConfigurationError("recipe.data: there must be street photos and flat ones, to learn from and held out")
        # Seeded before the network is made: its first weights are drawn, too.
        torch.manual_seed(run.seed)
        # What comes in lies channels last: so do the weights, a fifth faster on a CPU.
        self._net = make_network(config.network).to(memory_format=torch.channels_last)
        self._first = begin_with(self._net, first) if first is not None else None
        self._frozen = self._net.frozen(config.freeze) if isinstance(self._net, LightSegmenter) else []
        for module in self._frozen:
            module.requires_grad_(False)
        rng = np.random.default_rng(run.seed)
        self._grounds = [make_ground(rng, self._flat) for _ in range(config.grounds)]
        self._loss = SegmentationLoss(config.loss)
        self._by_class = _by_class(self._flat)

    def model(self) -> nn.Module:
        """The network."""
        return self._net

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """The encoder's move slower than what starts at random."""
        if not isinstance(self._net, LightSegmenter):
            return [{"params": list(self._net.parameters()), "lr": lr}]
        encoder = list(self._net.encoder.parameters())
        known = {id(each) for each in encoder}
        return [
            {"params": encoder, "lr": lr * self.config.encoder_lr},
            {"params": [each for each in self._net.parameters() if id(each) not in known], "lr": lr},
        ]

    def plan(self, epoch: int) -> Sequence[Job]:
        """Batches of (kind, index, seed) and whether whole photos are shown."""
        rng = np.random.default_rng([self.run.seed, epoch])
        whole = epoch >= self.config.whole_from * self.run.epochs
        street = round(self.run.batch * self.config.street)
        order = np.concatenate(
            [rng.permutation(len(self._street)) for _ in range(1 + self.config.batches * street // len(self._street))]
        )
        jobs = []
        for number in range(self.config.batches):
            mine = order[number * street : (number + 1) * street]
            # Flat photos by class, so that there are as many hats as shirts.
            groups = rng.integers(len(self._by_class), size=self.run.batch - street)
            rest = [int(rng.choice(self._by_class[int(group)])) for group in groups]
            seeds = rng.integers(2**31, size=self.run.batch)
            photos = [("street", int(i)) for i in mine] + [("flat", i) for i in rest]
            jobs.append((whole, [(kind, index, int(seed)) for (kind, index), seed in zip(photos, seeds, strict=True)]))
        return jobs

    def load(self, job: Job) -> Batch:
        """Rgb (n, h, w, 3), label, cut and edges (n, h, w), all uint8."""
        whole, photos = job
        parts = [self._photo(kind, index, seed, whole=whole) for kind, index, seed in photos]
        return tuple(torch.from_numpy(np.stack([part[place] for part in parts])) for place in range(4))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """As `SegmentationLoss`."""
        rgb, label, alpha, edge = batch
        logits = self._net(normalised(rgb))
        size = (label.shape[1], label.shape[2])
        if tuple(logits.shape[2:]) != size:
            logits = functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
        return self._loss(logits.float(), label, alpha, edge)

    def begin(self, epoch: int) -> None:
        """Train mode but for what is frozen."""
        del epoch
        self._net.train()
        for module in self._frozen:
            module.eval()

    @torch.inference_mode()
    def evaluate(self) -> dict[str, float]:
        """As `judge`, on the held-out photos, each at its own size."""
        self._net.eval()
        device = next(self._net.parameters()).device

        def labelled(pixels: ByteArray) -> Any:
            logits = self._net(normalised(torch.from_numpy(pixels)[None].to(device)))
            return torch.softmax(logits.float(), 1)[0].cpu().numpy()

        return judge(labelled, self._judged, self.input_spec())

    def input_spec(self) -> InputSpec:
        """How a photo becomes the exported graph's input."""
        centre, spread = (BYTE_CENTRE,) * 3, (BYTE_SPREAD,) * 3
        return InputSpec(image="image", height=self.config.height, width=self.config.width, range="byte", mean=centre, std=spread)

    def export(self) -> Exportable:
        """The network; the worker normalises."""
        net = self._net.cpu().eval()
        rng = np.random.default_rng(0)
        shown = [framed((s.rgb, s.label, s.alpha), s.kind, self._whole_frame(), rng)[0] for s in self._judged[:4]]
        return Exportable(
            module=net,
            inputs={"image": normalised(torch.from_numpy(np.stack(shown)))},
            task="segment",
            input=self.input_spec(),
            output=OutputSpec(name="logits", activation="softmax", channels=GARMENTS, classes=CLASSES),
            licence=LICENCE,
            notice=NOTICE if self.config.network == "light" else NOTICE.replace(", starting from EfficientNet-Lite0", "", 1),
            recipe=self._card(),
        )

    def provenance(self) -> dict[str, Any]:
        """Counts, splits and hashes of the photos; where the first weights came from."""
        return {
            "street": f"one photo in {HELD_OUT_STREET_OF} held out, by its number",
            "flat": "by sender",
            "learned": {"street": len(self._street), "flat": len(self._flat), "sha256": digest_of(self._chosen["development"])},
            "judged": {"photos": len(self._judged), "sha256": digest_of(self._chosen["held-out"])},
            "first_weights": f"{WEIGHTS_SOURCE} {WEIGHTS_SHA256}" if self.config.network == "light" else "drawn",
            **({"earlier_run": self._first} if self._first else {}),
        }

    def _photo(self, kind: str, index: int, seed: int, *, whole: bool) -> tuple[ByteArray, ...]:
        rng = np.random.default_rng(seed)
        sample = (self._street if kind == "street" else self._flat)[index]
        parts = (sample.rgb, sample.label, sample.alpha)
        if rng.random() < self.config.ground:
            parts = on_ground(sample, self._grounds[int(rng.integers(len(self._grounds)))])
        frame = (
            self._whole_frame()
            if whole
            else Frame(self.config.window, (self.config.height, self.config.width), self.config.scales)
        )
        rgb, label, alpha = framed(parts, kind, frame, rng)
        return lit(rgb, rng), label, alpha, edges(label)

    def _whole_frame(self) -> Frame:
        size = (self.config.height, self.config.width)
        return Frame(size, size, self.config.whole_scales)

    def _card(self) -> str:
        what = {"light": "EfficientNet-Lite0 encoder (ImageNet), LR-ASPP gate and a separable U-Net way up"}.get(
            self.config.network, f"FC-DenseNet{self.config.network.removeprefix('tiramisu')} (Tiramisu), started at random"
        )
        return (
            f"{what}, {self.config.height} x {self.config.width} pixels; classes {', '.join(CLASSES)}. Learned from "
            f"{len(self._street)} street photos with labels (ccp) and {len(self._flat)} flat phone photos with U²-Netp's cut and the "
            f"class of their label (clothing), some laid on drawn or photographed grounds; cross-entropy, soft Dice over classes, "
            f"and cross-entropy and Dice of garment against the rest.{self._before()} Held out: one street photo in {HELD_OUT_STREET_OF}, one sender "
            f"in three. Limits: an open jacket's lining and layered knitwear are told apart badly; flat garments are judged against "
            f"U²-Netp's cut, not against people's outlines; jewellery and belts are small and often missed; an even ground with nothing on it may "
            f"be taken for fabric. Made by intake lab train and intake lab export."
        )

    def _before(self) -> str:
        if self._first is None:
            return ""
        return f" Training began with the best weights of an earlier run of this recipe ({self._first['epochs']} epochs)."


def make_network(name: str) -> nn.Module:
    """A network by its name in the configuration."""
    if name == "light":
        return LightSegmenter(len(CLASSES), weights_file(VisionSettings()))
    return tiramisu(int(name.removeprefix("tiramisu")), len(CLASSES))


def normalised(rgb: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 to the (n, 3, h, w) float32 that the networks take."""
    return (rgb.permute(0, 3, 1, 2).float() - BYTE_CENTRE) / BYTE_SPREAD


def _by_class(samples: Sequence[Sample]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for index, sample in enumerate(samples):
        known = sample.label[(sample.label != IGNORE) & (sample.label != GARMENT)]
        groups.setdefault(int(known.max()), []).append(index)
    return [groups[key] for key in sorted(groups)]


def _tell(what: str, done: int, total: int) -> None:
    if os.environ.get("INTAKE_LAB_QUIET") is None:
        sys.stderr.write(f"{what}: {done} of {total}\n")
