"""Categories and similarity learned together (Park et al., "Study on Fashion Image Retrieval Methods for Efficient Fashion Visual Search", 2019).

An ImageNet network with a new last layer, whose output is the vector that is searched. Two losses (section 2, equation 1): cross-entropy on
the category through a feature relaxation module (conv, ReLU, dropout, conv), and the triplet loss on the vector itself, whose positives
share the category (OS) or the article (IS). OC is the first loss alone.

The paper prints alpha = 0, beta = 0.1, delta = 0.3. alpha weighs the cross-entropy, and 0 cannot be meant: OC would have no loss at all, and OC+IS,
which the paper finds best, would be the triplet loss alone, without the categories its name says. Here alpha is 1.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from worker.lab.training.config import RunConfig, parse
from worker.lab.training.embedders import Maskless, exportable
from worker.lab.training.garments import BackbonePart, Garments, data_folder, load_garments, provenance_of, trunk_of
from worker.lab.training.judging import Judge, Judging
from worker.lab.training.nets.trunk import Trunk, pooled
from worker.lab.training.pair_recipe import PairRecipe
from worker.lab.training.recipe import Batch, Exportable

Losses = Literal["OC", "OC+OS", "OC+IS"]
PRINTED_BETA = 0.1
MARGIN = 0.3


class CategorySimilarityConfig(BackbonePart):
    """The `[recipe]` part of kind `category-similarity`."""

    kind: Literal["category-similarity"]
    losses: Losses = "OC+IS"
    alpha: float = Field(default=1.0, gt=0, description="Weight of the cross-entropy. Printed as 0, which cannot be meant.")
    beta: float = Field(default=PRINTED_BETA, gt=0, description="Weight of the triplet loss, as printed.")
    margin: float = Field(default=MARGIN, gt=0, description="Of squared distances of unit vectors, as printed (delta).")
    triplets: Literal["all", "hard", "semihard"] = Field(
        default="all", description="Which of a batch's triplets count; the paper names none."
    )
    dimension: int = Field(default=512, ge=8, le=4096, description="Of the new last layer: the vector that is searched.")
    relaxed: int = Field(default=256, ge=8, description="Channels between the two convolutions of the relaxation module.")
    dropout: float = Field(default=0.5, ge=0, lt=1)
    dense_lr: float = Field(default=1.0, gt=0, description="Learning rate of new layers, as a multiple of the network's.")


class Relaxation(nn.Module):
    """The feature relaxation module: (n, c, h, w) maps to (n, categories) logits, the mean over places of conv, ReLU, dropout, conv."""

    def __init__(self, channels: int, relaxed: int, categories: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, relaxed, 1), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(relaxed, categories, 1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """As the class says."""
        return pooled(self.layers(maps))


class CategorySimilarityNet(nn.Module):
    """Trunk, new last layer, and the classification path beside it."""

    def __init__(self, trunk: Trunk, dimension: int, relaxed: int, categories: int, dropout: float) -> None:
        super().__init__()
        self.trunk = trunk
        # A dense layer on pooled maps and a 1 x 1 convolution before pooling are the same; this way the relaxation module sees maps.
        self.last = nn.Conv2d(trunk.channels, dimension, 1)
        self.relaxation = Relaxation(dimension, relaxed, categories, dropout)

    def maps(self, rgb: Tensor) -> Tensor:
        """Rgb (n, s, s, 3) uint8 to (n, dimension, h, w)."""
        return self.last(self.trunk(rgb))

    def forward(self, rgb: Tensor) -> Tensor:
        """Rgb to the vector that is searched, (n, dimension), L2-normalised (section 2, at test time)."""
        return nn.functional.normalize(pooled(self.maps(rgb)).float(), dim=1)

    def both(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors as `forward`, and logits (n, categories)."""
        maps = self.maps(rgb)
        return nn.functional.normalize(pooled(maps).float(), dim=1), self.relaxation(maps).float()


class TripletLoss(nn.Module):
    """Mean over triplets of [margin + |a - p|^2 - |a - n|^2]+ (equation 1, second term, its sign mended: a loss is minimised).

    Vectors are unit vectors. Triplets are those of the batch in which the positive shares the anchor's label and the negative does not.
    """

    def __init__(self, margin: float, kind: str) -> None:
        super().__init__()
        squared = LpDistance(normalize_embeddings=True, p=2, power=2)
        self._miner = None if kind == "all" else TripletMarginMiner(margin=margin, distance=squared, type_of_triplets=kind)
        self._loss = TripletMarginLoss(margin=margin, distance=squared, reducer=MeanReducer())

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Vectors (n, d), labels (n,) to a scalar; 0 where the batch has no triplet."""
        chosen = None if self._miner is None else self._miner(vectors, labels)
        return self._loss(vectors, labels, chosen)


class CategorySimilarity(PairRecipe[CategorySimilarityNet]):
    """See the module."""

    def __init__(
        self, wanted: CategorySimilarityConfig, run: RunConfig, garments: Garments, judge: Judging, trunk: Trunk
    ) -> None:
        """`judge`: holds the held-out photos. `trunk`: with its first weights."""
        self._wanted = wanted
        super().__init__(
            wanted,
            run,
            garments,
            judge,
            lambda: CategorySimilarityNet(trunk, wanted.dimension, wanted.relaxed, len(garments.names), wanted.dropout),
        )
        self._triplet = TripletLoss(wanted.margin, wanted.triplets)

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """As `Recipe.parameters`."""
        new = [*self._net.last.parameters(), *self._net.relaxation.parameters()]
        return [{"params": list(self._net.trunk.learning()), "lr": lr}, {"params": new, "lr": lr * self._wanted.dense_lr}]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Equation 1."""
        clean, seen, numbers, categories = batch
        vectors, logits = self._net.both(torch.cat([clean, seen]))
        both = torch.cat([categories, categories])
        classification = nn.functional.cross_entropy(logits, both)
        figures = {"classification": float(classification.detach()), "right": float((logits.argmax(1) == both).float().mean())}
        total = self._wanted.alpha * classification
        if self._wanted.losses != "OC":
            of = both if self._wanted.losses == "OC+OS" else torch.cat([numbers, numbers])
            similarity = self._triplet(vectors, of)
            figures["similarity"] = float(similarity.detach())
            total = total + self._wanted.beta * similarity
        return total, figures

    def evaluate(self) -> dict[str, float]:
        """Held-out styles and senders, see `Judge`."""
        return self._judge.figures(Maskless(self._net), self._wanted.side)

    def export(self) -> Exportable:
        """The network up to the vector that is searched: the classification path stays behind."""
        wanted = self._wanted
        return exportable(
            Searching(self._net),
            wanted.side,
            wanted.dimension,
            backbone=wanted.backbone,
            weights=self._net.trunk.weights,
            photos=self._garments.articles.notice,
            recipe=(
                f"{wanted.backbone} with a new last layer of {wanted.dimension} numbers, {wanted.losses} (alpha {wanted.alpha:g}, beta "
                f"{wanted.beta:g}, margin {wanted.margin:g}), relaxation module of {wanted.relaxed} channels in the classification path; "
                f"{len(self._garments.names)} categories, {len(self._garments)} garments. Park et al. 2019."
            ),
        )

    def provenance(self) -> dict[str, Any]:
        """As `Recipe.provenance`."""
        return provenance_of(self._garments, self._judge.provenance, self._net.trunk.weights)


class Searching(nn.Module):
    """The part of the network that makes the searched vector."""

    def __init__(self, net: CategorySimilarityNet) -> None:
        super().__init__()
        self.trunk, self.last = net.trunk, net.last

    def forward(self, rgb: Tensor) -> Tensor:
        """Rgb (n, s, s, 3) uint8 to unit vectors."""
        return nn.functional.normalize(pooled(self.last(self.trunk(rgb))).float(), dim=1)


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> CategorySimilarity:
    """As `recipe.Builder`."""
    wanted = parse(CategorySimilarityConfig, content, f"{source} [recipe]")
    garments = load_garments(wanted, source)
    trunk = trunk_of(wanted, source)
    return CategorySimilarity(
        wanted, run, garments, Judge(data_folder(wanted, source), wanted.crop_side, run.seed, wanted.most_phones), trunk
    )
