"""What the papers' recipes share: garments with a category each, and batches of a clean and a phone-like view of every garment in them."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from worker.errors import ConfigurationError
from worker.lab.training.articles import Articles, group
from worker.lab.training.config import Part
from worker.lab.training.crops import Crops, load_crops
from worker.lab.training.nets.trunk import BackboneName, Trunk, Weights, load_trunk
from worker.lab.training.recipe import Batch
from worker.lab.training.views import MILD, WILD, as_crop, view

CROP_SIDE = 288  # crops are kept at: views are drawn in it and then made smaller


class GarmentPart(Part):
    """What the `[recipe]` parts of the papers' recipes have in common."""

    data: Path = Field(description="Folder with luma/, venia/ and clothing/ (jpg files or images.zip; images.csv in clothing/).")
    side: int = Field(default=224, ge=32, le=384, description="Of the crops, in pixels.")
    crop_side: int = Field(default=CROP_SIDE, ge=32, le=512, description="Crops are kept at this side.")
    most_phones: int | None = Field(
        default=None, ge=1, description="Photos of clothing/, by a draw that is always the same; unset: all."
    )
    steps: int = Field(default=0, ge=0, description="Batches of an epoch; 0: every garment once.")
    together: int = Field(default=4, ge=1, description="Colourways of a style that come in one batch.")
    mild: float = Field(default=0.5, ge=0, le=1, description="Share of mild views; the others are wild.")
    real_views: float = Field(
        default=0.5, ge=0, le=1, description="Share of views that begin with another real photo of the garment."
    )


class BackbonePart(GarmentPart):
    """The same for recipes that begin with an ImageNet network."""

    backbone: BackboneName = "resnet50"
    weights: Path | None = Field(
        default=None, description="File with ImageNet weights; unset: the package or library that has them."
    )
    first: Weights = Field(default="required", description="`random` begins without ImageNet weights.")
    frozen_stages: int = Field(default=0, ge=-1, description="Lowest stages that never learn; -1: all.")
    frozen_norms: bool = Field(default=True, description="Batch norms keep their ImageNet statistics: batches are small.")


@dataclass(frozen=True, slots=True, eq=False)
class Garments:
    """Articles with a category each.

    Attributes:
        crops: what they are cut from.
        articles: grouped; `articles.articles[i]` is garment i.
        labels: (garments,) the number of each one's category.
        names: of the categories.
    """

    crops: Crops
    articles: Articles
    labels: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def garments_of(crops: Crops) -> Garments:
    """Group crops by garment."""
    articles = group(crops)
    of = [crops.photos[article.photos[0]].label for article in articles.articles]
    names = tuple(sorted(set(of)))
    number = {name: at for at, name in enumerate(names)}
    return Garments(crops, articles, tuple(number[label] for label in of), names)


def load_garments(part: GarmentPart, source: Path) -> Garments:
    """The garments of the development part.

    Raises:
        ConfigurationError: the data folder is not there, or lacks a data set.
    """
    return garments_of(load_crops(data_folder(part, source), part.crop_side, "development", most_phones=part.most_phones))


def data_folder(part: GarmentPart, source: Path) -> Path:
    """`part.data`, seen from the folder of the configuration. Raises ConfigurationError."""
    data = part.data if part.data.is_absolute() else source.parent / part.data
    if not data.is_dir():
        raise ConfigurationError(f"recipe.data is {data}, which is no folder; it must hold luma/, venia/ and clothing/")
    return data


def trunk_of(part: BackbonePart, source: Path) -> Trunk:
    """The network a part names."""
    weights = part.weights if part.weights is None or part.weights.is_absolute() else source.parent / part.weights
    return load_trunk(
        part.backbone, weights=weights, first=part.first, frozen_stages=part.frozen_stages, frozen_norms=part.frozen_norms
    )


@dataclass(frozen=True, slots=True)
class PairJob:
    """One batch: which garments, and where its draws start."""

    epoch: int
    number: int
    garments: tuple[int, ...]


class Pairs:
    """Batches of garments, each as it is in the catalogue and as a phone would see it."""

    def __init__(self, garments: Garments, part: GarmentPart, seed: int) -> None:
        self._garments, self._part, self._seed = garments, part, seed

    def plan(self, epoch: int, size: int) -> list[PairJob]:
        """Batches of `size` garments, the colourways of a style side by side; all garments once, or as many batches as are wanted."""
        rng = np.random.default_rng((self._seed, epoch))
        jobs: list[PairJob] = []
        while True:
            order = self._order(rng)
            whole = [order[start : start + size] for start in range(0, len(order), size)]
            for own in whole:
                if len(own) < min(size, 2):
                    continue  # one garment alone has nothing to be told from
                jobs.append(PairJob(epoch, len(jobs), tuple(own)))
                if self._part.steps and len(jobs) == self._part.steps:
                    return jobs
            if not self._part.steps or not jobs:
                return jobs

    def load(self, job: PairJob) -> Batch:
        """Clean and seen rgb, each (n, side, side, 3) uint8; garment numbers and categories, each (n,) int64."""
        rng = np.random.default_rng((self._seed, job.epoch, job.number))
        clean, seen = [], []
        for garment in job.garments:
            photos = self._garments.articles.articles[garment].photos
            other = photos[int(rng.integers(len(photos)))] if rng.random() < self._part.real_views else photos[0]
            clean.append(self.clean(photos[0]))
            seen.append(self.seen(other, rng))
        labels = [self._garments.labels[garment] for garment in job.garments]
        return (
            torch.from_numpy(np.stack(clean)),
            torch.from_numpy(np.stack(seen)),
            torch.tensor(job.garments),
            torch.tensor(labels),
        )

    def clean(self, row: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """A crop as it is, (side, side, 3)."""
        crops = self._garments.crops
        return as_crop(np.asarray(crops.rgb[row]), np.asarray(crops.mask[row]), self._part.side)[0]

    def seen(self, row: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """A crop as a phone would see it, (side, side, 3)."""
        crops = self._garments.crops
        ground = np.asarray(crops.rgb[int(rng.integers(len(crops)))])
        strength = MILD if rng.random() < self._part.mild else WILD
        return view(np.asarray(crops.rgb[row]), np.asarray(crops.mask[row]), ground, rng, self._part.side, strength)[0]

    def _order(self, rng: np.random.Generator) -> list[int]:
        groups: list[list[int]] = []
        for own in self._garments.articles.by_style.values():
            mixed = [own[int(at)] for at in rng.permutation(len(own))]
            groups += [mixed[start : start + self._part.together] for start in range(0, len(mixed), self._part.together)]
        return [garment for at in rng.permutation(len(groups)) for garment in groups[int(at)]]


def provenance_of(garments: Garments, judged: dict[str, Any], weights: str) -> dict[str, Any]:
    """What a run's data were."""
    origins = sorted({f"{kind} {name}" for kind, name in (photo.origin for photo in garments.crops.photos)})
    return {
        **garments.articles.provenance,
        "categories": list(garments.names),
        "split": f"development: {len(origins)} styles and senders (worker.lab.splits)",
        "first_weights": weights,
        "held_out": judged,
    }


def rows_by_label(garments: Garments, most: int, seed: int) -> Sequence[int]:
    """At most `most` garments, drawn so that every category has its share."""
    rng = np.random.default_rng(seed)
    by_label: dict[int, list[int]] = {}
    for garment in rng.permutation(len(garments)):
        by_label.setdefault(garments.labels[int(garment)], []).append(int(garment))
    taken: list[int] = []
    depth = 0
    while len(taken) < min(most, len(garments)):
        taken += [own[depth] for own in by_label.values() if depth < len(own)]
        depth += 1
    return sorted(taken[:most])
