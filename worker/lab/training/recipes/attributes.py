"""A network retrained on attribute classes, and linear SVMs on its features (Yam, "Optimizing Fashion Retail Inventory Management", 2018, method 3).

ResNet18 with its top layer replaced by one that tells attribute classes; afterwards a linear SVM for each class on the features, and the
distances from their planes are the vector. Yam gave each photo one attribute and names that as the method's weakness: with more than one attribute
here each has a layer of its own, and photos whose value is not known do not count in it.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.reduction import AttributeScores, fit_svm
from worker.lab.training.config import RunConfig, parse
from worker.lab.training.crop_photos import CropPhoto
from worker.lab.training.embedders import Maskless, exportable
from worker.lab.training.garments import (
    BackbonePart,
    Garments,
    data_folder,
    load_garments,
    provenance_of,
    rows_by_label,
    trunk_of,
)
from worker.lab.training.judging import Judge, Judging
from worker.lab.training.nets.trunk import BackboneName, Trunk, pooled
from worker.lab.training.pair_recipe import PairRecipe
from worker.lab.training.recipe import Batch, Exportable, Job
from worker.vision.types import FloatArray

Attribute = Literal["category", "colour"]
UNKNOWN = -1
EXTRACT_BATCH = 32


class AttributesConfig(BackbonePart):
    """The `[recipe]` part of kind `attributes`."""

    kind: Literal["attributes"]
    backbone: BackboneName = "resnet18"
    attributes: tuple[Attribute, ...] = Field(
        default=("category",), min_length=1, description="What is told apart; one alone is the paper's."
    )
    least: int = Field(default=8, ge=2, description="Garments that a value must have to be a class.")
    vector: Literal["scores", "features"] = Field(
        default="scores", description="What is searched: the SVMs' scores, or the features."
    )
    svm_garments: int = Field(default=600, ge=10, description="Garments the SVMs are fitted on, each clean and seen.")


class AttributesNet(nn.Module):
    """Trunk and one dense layer an attribute."""

    def __init__(self, trunk: Trunk, classes: Sequence[int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(nn.Linear(trunk.channels, count) for count in classes)

    def forward(self, rgb: Tensor) -> Tensor:
        """Rgb (n, s, s, 3) uint8 to features (n, channels)."""
        return pooled(self.trunk(rgb)).float()


class FeatureVector(nn.Module):
    """Features, L2-normalised."""

    def __init__(self, net: AttributesNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, s, s, 3) uint8 to (n, channels)."""
        return nn.functional.normalize(self.net(rgb), dim=1)


class ScoreVector(nn.Module):
    """The SVMs' scores of the features, less the mean scores, L2-normalised."""

    def __init__(self, net: AttributesNet, svm: AttributeScores) -> None:
        super().__init__()
        self.net = net
        weights = svm.weights / svm.spread[:, None]
        # Less the mean scores: the offsets and the features' mean fall away.
        self.register_buffer("centre", torch.from_numpy(svm.mean).float())
        self.register_buffer("weights", torch.from_numpy(weights).float())

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, s, s, 3) uint8 to (n, classes)."""
        return nn.functional.normalize((self.net(rgb) - self.centre) @ self.weights, dim=1)


def value_of(photo: CropPhoto, attribute: Attribute) -> str:
    """The value a photo's garment has; empty where it is not known. Shops name colours in an article's last part."""
    if attribute == "category":
        return photo.label
    return f"{photo.source} {photo.article.rpartition('-')[2]}" if "-" in photo.article else ""


def classes_of(garments: Garments, attribute: Attribute, least: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the classes, and each garment's class (-1: not known, or too rare to be one)."""
    values = [value_of(garments.crops.photos[article.photos[0]], attribute) for article in garments.articles.articles]
    counts = Counter(value for value in values if value)
    names = tuple(sorted(value for value, count in counts.items() if count >= least))
    number = {name: at for at, name in enumerate(names)}
    return names, tuple(number.get(value, UNKNOWN) for value in values)


class Attributes(PairRecipe[AttributesNet]):
    """See the module."""

    def __init__(self, wanted: AttributesConfig, run: RunConfig, garments: Garments, judge: Judging, trunk: Trunk) -> None:
        """`judge`: holds the held-out photos. `trunk`: with its first weights.

        Raises:
            ConfigurationError: an attribute has no two classes.
        """
        self._wanted = wanted
        self._classes = {name: classes_of(garments, name, wanted.least) for name in wanted.attributes}
        for name, (values, _) in self._classes.items():
            if len(values) < 2:
                raise ConfigurationError(
                    f"recipe.attributes: {name} has {len(values)} values with {wanted.least} garments; lower recipe.least or leave it out"
                )
        super().__init__(
            wanted, run, garments, judge, lambda: AttributesNet(trunk, [len(values) for values, _ in self._classes.values()])
        )

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """As `Recipe.parameters`."""
        own = list(self._net.trunk.learning())
        return [*([{"params": own, "lr": lr}] if own else []), {"params": list(self._net.heads.parameters()), "lr": lr}]

    def load(self, job: Job) -> Batch:
        """Rgb (2n, side, side, 3) uint8, and the class of each in each attribute, (2n, attributes) int64."""
        clean, seen, numbers, _ = self._pairs.load(job)
        targets = torch.tensor([[own[number] for _, own in self._classes.values()] for number in numbers.tolist()])
        return torch.cat([clean, seen]), torch.cat([targets, targets])

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy, the mean over attributes that the batch has values of."""
        rgb, targets = batch
        features = self._net(rgb)
        losses, figures = [], {}
        for at, (name, head) in enumerate(zip(self._classes, self._net.heads, strict=True)):
            known = targets[:, at] != UNKNOWN
            if not bool(known.any()):
                continue
            logits = head(features[known]).float()
            losses.append(nn.functional.cross_entropy(logits, targets[known, at]))
            figures[f"right_{name}"] = float((logits.argmax(1) == targets[known, at]).float().mean())
        # A batch without a single known value teaches nothing; the sum keeps the graph.
        return (torch.stack(losses).mean() if losses else features.sum() * 0), figures

    def evaluate(self) -> dict[str, float]:
        """Held-out figures of what is searched; with `features` or `scores` before them those of the other."""
        vectors = {"scores": ScoreVector(self._net, self.svm()).to(self._device), "features": FeatureVector(self._net)}
        figures = self._judge.figures(Maskless(vectors[self._wanted.vector]), self._wanted.side)
        other = "features" if self._wanted.vector == "scores" else "scores"
        found = self._judge.figures(Maskless(vectors[other]), self._wanted.side)
        return figures | {f"{other}_{name}": value for name, value in found.items()}

    def svm(self) -> AttributeScores:
        """A linear SVM for each class, on features of training garments as the network is now."""
        rows = rows_by_label(self._garments, self._wanted.svm_garments, self._run.seed)
        rng = np.random.default_rng(self._run.seed)
        photos = [self._garments.articles.articles[row].photos[0] for row in rows]
        crops = [*(self._pairs.clean(photo) for photo in photos), *(self._pairs.seen(photo, rng) for photo in photos)]
        values: dict[str, dict[str, str]] = {
            str(row): {name: names[own[row]] for name, (names, own) in self._classes.items() if own[row] != UNKNOWN}
            for row in rows
        }
        return fit_svm(self._features(crops), [str(row) for row in (*rows, *rows)], values)

    def export(self) -> Exportable:
        """The vector that `recipe.vector` names."""
        wanted = self._wanted
        if wanted.vector == "scores":
            svm = self.svm()
            module: nn.Module = ScoreVector(self._net, svm)
            dimension, what = svm.dimension, f"scores of {svm.dimension} linear SVMs on its features"
        else:
            module, dimension, what = FeatureVector(self._net), self._net.trunk.channels, "its features"
        return exportable(
            module,
            wanted.side,
            dimension,
            backbone=wanted.backbone,
            weights=self._net.trunk.weights,
            photos=self._garments.articles.notice,
            recipe=(
                f"{wanted.backbone} retrained on {', '.join(f'{len(names)} values of {name}' for name, (names, _) in self._classes.items())} "
                f"({len(self._garments)} garments); the vector is {what}. Yam 2018, method 3."
            ),
        )

    def provenance(self) -> dict[str, Any]:
        """As `Recipe.provenance`."""
        return {
            **provenance_of(self._garments, self._judge.provenance, self._net.trunk.weights),
            "classes": {name: list(values) for name, (values, _) in self._classes.items()},
        }

    @property
    def _device(self) -> torch.device:
        return next(self._net.parameters()).device

    @torch.inference_mode()
    def _features(self, crops: Sequence[Any]) -> FloatArray:
        training = self._net.training
        self._net.eval()
        parts = [
            self._net(torch.from_numpy(np.stack(crops[start : start + EXTRACT_BATCH])).to(self._device)).cpu().numpy()
            for start in range(0, len(crops), EXTRACT_BATCH)
        ]
        self._net.train(training)
        return np.concatenate(parts)


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> Attributes:
    """As `recipe.Builder`."""
    wanted = parse(AttributesConfig, content, f"{source} [recipe]")
    judge = Judge(data_folder(wanted, source), wanted.crop_side, run.seed, wanted.most_phones)
    return Attributes(wanted, run, load_garments(wanted, source), judge, trunk_of(wanted, source))
