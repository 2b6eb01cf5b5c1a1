"""What the segmentation recipe is told, and the photos it learns from and is judged by."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc"

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from worker.lab.segmenting import labels_of, open_segmenter
from worker.lab.splits import Part as SplitPart
from worker.lab.training.config import Part
from worker.lab.training.nets.lite import LiteName
from worker.lab.training.segmentation_augment import Frame, make_ground, on_floor, shot
from worker.lab.training.segmentation_data import (
    Sample,
    Source,
    flat_sources,
    part_of,
    read_flat,
    read_street,
    street_sources,
    unpacked,
)
from worker.lab.training.segmentation_loss import Weights
from worker.lab.training.segmentation_studio import read_studio
from worker.lab.training.views import WILD
from worker.settings.vision import VisionSettings
from worker.vision.store import cache_dir
from worker.vision.types import ByteArray

STRIDE = 32  # of the coarsest map of every network here
Side = Annotated[int, Field(ge=STRIDE, multiple_of=STRIDE)]
JUDGED_SEED = 7  # of the floors and the light that held-out studio photos are judged on


class SegmentConfig(Part):
    """`[recipe]` of kind `segment`."""

    kind: Literal["segment"]
    network: Literal["light", "tiramisu56", "tiramisu67", "tiramisu103"] = "light"
    encoder: LiteName = Field(default="efficientnet-lite0", description="Of the network `light`.")
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
    studio: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of a shop's studio photos in a batch (luma/ and venia/ beside ccp/); the more, the fewer flat ones.",
    )
    studio_labels: str = Field(
        default="garment-light", description="Registry id of the segmenter whose classes teach on studio photos."
    )
    floor: float = Field(default=0.75, ge=0, le=1, description="Share of studio photos that are laid on a floor.")
    rough: float = Field(
        default=0.0, ge=0, le=1, description="Share of flat photos and floors that are photographed as an embedder's views are."
    )
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
    judged_studio: int = Field(default=80, ge=1, description="Held-out studio photos that are judged, laid on floors.")


@dataclass(frozen=True, slots=True)
class Photos:
    """What a run learns from and is judged by. `chosen`: which street and flat photos those are, by part."""

    learned: list[Sample]
    judged: list[Sample]
    chosen: dict[str, list[Source]]


def load_photos(config: SegmentConfig, source: Path) -> Photos:
    """Read what `config` names; relative paths are of `source`'s folder.

    Raises:
        ConfigurationError: photos are missing or cannot be read.
        ModelError: the segmenter that labels studio photos cannot be had.
    """
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
    learned, judged = samples["development"], samples["held-out"]
    if config.studio:
        learned += _studio(config, root, "development")
        shown = _studio(config, root, "held-out")
        judged += laid_out(spread(shown, config.judged_studio), judged, config)
    return Photos(learned, judged, chosen)


def choose(street: Sequence[Source], flat: Sequence[Source], count: int, judged: int) -> dict[str, list[Source]]:
    """Which photos are learned from and which are judged by."""
    mine = [source for source in flat if part_of(source) == "development"]
    other = [source for source in flat if part_of(source) == "held-out"]
    step = max(1, len(other) // judged)
    return {
        "development": [s for s in street if part_of(s) == "development"] + mine[: count or None],
        "held-out": [s for s in street if part_of(s) == "held-out"] + other[::step][:judged],
    }


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most `most`, evenly over all of them: the shops follow one another, and the first so many would be of one."""
    return [samples[int(at)] for at in np.linspace(0, len(samples) - 1, min(most, len(samples)))]


def laid_out(studio: Sequence[Sample], others: Sequence[Sample], config: SegmentConfig) -> list[Sample]:
    """Each studio photo on a floor of the flat ones among `others`, the same every time: how it is judged."""
    rng = np.random.default_rng(JUDGED_SEED)
    flats = [sample for sample in others if sample.kind == "flat"]
    whole = (config.height, config.width)
    made = []
    for sample in studio:
        rgb, label, alpha = on_floor(sample, make_ground(rng, flats), Frame(whole, whole, config.whole_scales), rng)
        made.append(Sample(sample.name, "phone", shot(rgb, rng, WILD), label, alpha))
    return made


def _studio(config: SegmentConfig, root: Path, part: SplitPart) -> list[Sample]:
    segmenter = open_segmenter(config.studio_labels, VisionSettings())

    def labeller(rgb: ByteArray, category: str) -> tuple[ByteArray, ByteArray]:
        return labels_of(segmenter, [rgb])[0], segmenter.segment([rgb], [category])[0].alpha

    return read_studio(root, part, labeller, _tell)


def _tell(what: str, done: int, total: int) -> None:
    if os.environ.get("INTAKE_LAB_QUIET") is None:
        sys.stderr.write(f"{what}: {done} of {total}\n")
