"""Garment segmentation: street photos with labels, flat phone photos with U²-Netp's cut, and both laid on other grounds."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.errors import ConfigurationError
from worker.lab.lite0 import BYTE_CENTRE, BYTE_SPREAD
from worker.lab.training.config import RunConfig, parse
from worker.lab.training.earlier import begin_with
from worker.lab.training.nets.light_segmenter import LightSegmenter
from worker.lab.training.nets.lite import LITES, published_weights
from worker.lab.training.nets.tiramisu import tiramisu
from worker.lab.training.recipe import Batch, Exportable, Job, Score
from worker.lab.training.segmentation_augment import Frame, edges, framed, lit, make_ground, on_floor, on_ground, shot
from worker.lab.training.segmentation_data import HELD_OUT_STREET_OF, Sample, Source, digest_of
from worker.lab.training.segmentation_labels import GARMENT, IGNORE
from worker.lab.training.segmentation_loss import SegmentationLoss
from worker.lab.training.segmentation_score import judge
from worker.lab.training.segmentation_sets import Photos, SegmentConfig, load_photos
from worker.lab.training.views import WILD
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES, GARMENTS
from worker.vision.rows import InputSpec, OutputSpec
from worker.vision.types import ByteArray

LEARNED = ("street", "flat", "studio")
LICENCE = "Apache-2.0"
NOTICE = (
    "Weights trained by this project{start}. Learned from the clothing dataset (Alexey Grigorev and contributors, CC0), cut out by "
    "U²-Net (Xuebin Qin and others, Apache-2.0), and from the clothing co-parsing data (Wei Yang, Ping Luo, Liang Lin, repository Apache-2.0); "
    "no picture of either is contained."
)
START = (
    ", starting from {encoder} (Mingxing Tan and Quoc V. Le, TensorFlow authors, Apache-2.0; converted to PyTorch by ML Illustrated, "
    "Apache-2.0)"
)
SHOPS_NOTICE = (
    " Also learned from studio photos of the Luma (Magento sample data, OSL-3.0 / AFL-3.0) and Venia (PMET-public sample data, OSL-3.0) shops; "
    "no photo is part of this file."
)


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> SegmentRecipe:
    """As `Builder`."""
    config = parse(SegmentConfig, content, str(source))
    first = source.parent / config.first if config.first else None
    return SegmentRecipe(config, run, load_photos(config, source), first)


class SegmentRecipe:
    """As `Recipe`."""

    score = Score("score")

    def __init__(
        self,
        config: SegmentConfig,
        run: RunConfig,
        photos: Photos,
        first: Path | None = None,
    ) -> None:
        """`first` as in `SegmentConfig`."""
        self.config, self.run, self._chosen, self._judged = config, run, photos.chosen, photos.judged
        self._learned = {kind: [sample for sample in photos.learned if sample.kind == kind] for kind in LEARNED}
        self._street, self._flat, self._studio = (self._learned[kind] for kind in LEARNED)
        if not self._street or not self._flat or not self._judged or (config.studio and not self._studio):
            raise ConfigurationError(
                "recipe.data: there must be street photos, flat ones and what else is asked for, to learn from and held out"
            )
        # Seeded before the network is made: its first weights are drawn, too.
        torch.manual_seed(run.seed)
        # What comes in lies channels last: so do the weights, a fifth faster on a CPU.
        self._net = make_network(config).to(memory_format=torch.channels_last)
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
        street, studio = (round(self.run.batch * share) for share in (self.config.street, self.config.studio))
        order = np.concatenate(
            [rng.permutation(len(self._street)) for _ in range(1 + self.config.batches * street // len(self._street))]
        )
        jobs = []
        for number in range(self.config.batches):
            mine = order[number * street : (number + 1) * street]
            # Flat photos by class, so that there are as many hats as shirts.
            groups = rng.integers(len(self._by_class), size=self.run.batch - street - studio)
            rest = [int(rng.choice(self._by_class[int(group)])) for group in groups]
            shops = rng.integers(len(self._studio), size=studio) if studio else ()
            seeds = rng.integers(2**31, size=self.run.batch)
            photos = [("street", int(i)) for i in mine] + [("flat", i) for i in rest] + [("studio", int(i)) for i in shops]
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
            notice=self._notice(),
            recipe=self._card(),
            extra={"cpu_max_batch": 1},  # two cores run 54 photos/s one by one and 43 in batches of 16 (bench_models)
        )

    def provenance(self) -> dict[str, Any]:
        """Counts, splits and hashes of the photos; where the first weights came from."""
        return {
            "street": f"one photo in {HELD_OUT_STREET_OF} held out, by its number",
            "flat": "by sender",
            "learned": {"street": len(self._street), "flat": len(self._flat), "sha256": digest_of(self._chosen["development"])},
            **({"studio": self._studio_told()} if self._studio else {}),
            "judged": {"photos": len(self._judged), "sha256": digest_of(self._chosen["held-out"])},
            "first_weights": self._first_weights(),
            **({"earlier_run": self._first} if self._first else {}),
        }

    def _photo(self, kind: str, index: int, seed: int, *, whole: bool) -> tuple[ByteArray, ...]:
        rng = np.random.default_rng(seed)
        sample = self._learned[kind][index]
        config = self.config
        frame = self._whole_frame() if whole else Frame(config.window, (config.height, config.width), config.scales)
        parts = (sample.rgb, sample.label, sample.alpha)
        lying = kind == "flat"
        if rng.random() < (config.floor if kind == "studio" else config.ground):
            ground = self._grounds[int(rng.integers(len(self._grounds)))]
            lying = kind != "street"
            parts = (
                on_floor(sample, ground, frame, rng) if kind == "studio" else framed(on_ground(sample, ground), kind, frame, rng)
            )
        else:
            parts = framed(parts, kind, frame, rng)
        rgb, label, alpha = parts
        rough = lying and config.rough > 0 and rng.random() < config.rough
        return shot(rgb, rng, WILD) if rough else lit(rgb, rng), label, alpha, edges(label)

    def _whole_frame(self) -> Frame:
        size = (self.config.height, self.config.width)
        return Frame(size, size, self.config.whole_scales)

    def _card(self) -> str:
        if self.config.network == "light":
            what = f"{self.config.encoder} encoder (ImageNet), LR-ASPP gate and a separable U-Net way up"
        else:
            what = f"FC-DenseNet{self.config.network.removeprefix('tiramisu')} (Tiramisu), started at random"
        return (
            f"{what}, {self.config.height} x {self.config.width} pixels; classes {', '.join(CLASSES)}. Learned from "
            f"{len(self._street)} street photos with labels (ccp) and {len(self._flat)} flat phone photos with U²-Netp's cut and the "
            f"class of their label (clothing), some laid on drawn or photographed grounds{self._shops()}; cross-entropy, soft Dice over classes, "
            f"and cross-entropy and Dice of garment against the rest.{self._before()} Held out: one street photo in {HELD_OUT_STREET_OF}, one sender "
            f"in three. Limits: an open jacket's lining and layered knitwear are told apart badly; flat garments are judged against "
            f"U²-Netp's cut, not against people's outlines; jewellery and belts are small and often missed; an even ground with nothing on it may "
            f"be taken for fabric. Made by intake lab train and intake lab export."
        )

    def _first_weights(self) -> str:
        if self.config.network != "light":
            return "drawn"
        published = LITES[self.config.encoder]
        return f"{published.source} {published.sha256}"

    def _studio_told(self) -> dict[str, Any]:
        digest = digest_of([Source(sample.name, sample.kind) for sample in self._studio])
        return {"split": "by style", "learned": len(self._studio), "sha256": digest, "labels": self.config.studio_labels}

    def _notice(self) -> str:
        start = START.format(encoder=self.config.encoder) if self.config.network == "light" else ""
        return NOTICE.format(start=start) + (SHOPS_NOTICE if self._studio else "")

    def _shops(self) -> str:
        if not self._studio:
            return ""
        return (
            f"; and {len(self._studio)} studio photos (luma, venia; cut from their plain ground, with the classes {self.config.studio_labels} finds "
            "and the article's own), most laid on floors and photographed in hard light"
        )

    def _before(self) -> str:
        if self._first is None:
            return ""
        return f" Training began with the best weights of an earlier run of this recipe ({self._first['epochs']} epochs)."


def make_network(config: SegmentConfig) -> nn.Module:
    """The network that `config` names, with its encoder's published weights."""
    if config.network == "light":
        return LightSegmenter(len(CLASSES), config.encoder, published_weights(config.encoder, VisionSettings()))
    return tiramisu(int(config.network.removeprefix("tiramisu")), len(CLASSES))


def normalised(rgb: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 to the (n, 3, h, w) float32 that the networks take."""
    return (rgb.permute(0, 3, 1, 2).float() - BYTE_CENTRE) / BYTE_SPREAD


def _by_class(samples: Sequence[Sample]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for index, sample in enumerate(samples):
        known = sample.label[(sample.label != IGNORE) & (sample.label != GARMENT)]
        groups.setdefault(int(known.max()), []).append(index)
    return [groups[key] for key in sorted(groups)]
