"""A Siamese head that scores pairs (Menezes and Kanitkar, "Using Siamese Networks and Pre-Trained CNNs for Fashion Similarity Matching", 2018, part 3).

Two photos go through one pretrained network; the absolute difference of their features goes into a head whose sigmoid says whether they show the
same garment, trained with binary cross-entropy. The network itself is left as it was (the paper extracts its features once); unfreezing stages is
possible. The paper does not print the head: here it is one layer, or two with `hidden`.

One layer is a distance, score = bias - sum_i w_i |a_i - b_i|, and where its weights are not negative the vector w_i a_i compared by L1
ranks exactly as the head does: that is what a vector index can hold. A head with a hidden layer yields no such vector, and pairs must be scored.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.training.config import RunConfig, parse
from worker.lab.training.embedders import Maskless, exportable
from worker.lab.training.garments import BackbonePart, Garments, data_folder, load_garments, provenance_of, trunk_of
from worker.lab.training.judging import Compare, Judge, Judging
from worker.lab.training.nets.trunk import Trunk, pooled
from worker.lab.training.pair_recipe import PairRecipe
from worker.lab.training.recipe import Batch, Exportable
from worker.vision.types import FloatArray


class SiameseConfig(BackbonePart):
    """The `[recipe]` part of kind `siamese`."""

    kind: Literal["siamese"]
    frozen_stages: int = Field(default=-1, ge=-1, description="Lowest stages that never learn; -1: all, as in the paper.")
    hidden: int = Field(
        default=0, ge=0, description="Numbers between the differences and the score; 0: one layer, which yields a vector."
    )
    negatives: int = Field(default=3, ge=1, description="Wrong pairs for each right one; colourways first.")


class SiameseHead(nn.Module):
    """Features of two photos, each (n, d), to the logit that they show one garment, (n,)."""

    def __init__(self, features: int, hidden: int = 0) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers: nn.Module
        if hidden:
            self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        else:
            self.layers = nn.Linear(features, 1)
            # It begins as the plain L1 distance: every difference counts against the pair, and the same.
            nn.init.constant_(self.layers.weight, -(features**-0.5))
            nn.init.constant_(self.layers.bias, 1.0)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """As the class says."""
        return self.layers((one - other).abs()).squeeze(-1)

    def weights(self) -> Tensor:
        """(d,) what each difference counts, not below 0. Only of one layer."""
        return (-self.layers.weight[0]).clamp(min=0)  # type: ignore[index,operator,union-attr]


class SiameseNet(nn.Module):
    """Trunk and head. Features are L2-normalised, so that differences are of one size whatever the network."""

    def __init__(self, trunk: Trunk, hidden: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, SiameseHead(trunk.channels, hidden)

    def forward(self, rgb: Tensor) -> Tensor:
        """Rgb (n, s, s, 3) uint8 to features (n, channels) of unit length."""
        return nn.functional.normalize(pooled(self.trunk(rgb)).float(), dim=1)


def pair_loss(head: SiameseHead, one: Tensor, other: Tensor, negatives: int) -> tuple[Tensor, Tensor, Tensor]:
    """Binary cross-entropy, right and wrong pairs weighing the same.

    Args:
        head: scores pairs.
        one: features (n, d) of n garments.
        other: features of the same garments in other photos.
        negatives: garment i is also paired with the next so many of `other`, which are not it.

    Returns:
        loss, logits of right pairs (n,), logits of wrong pairs (n * min(negatives, n - 1),).
    """
    shifts = range(1, min(negatives, len(one) - 1) + 1)
    right = head(one, other)
    wrong = torch.cat([head(one, other.roll(-shift, dims=0)) for shift in shifts])
    loss = nn.functional.binary_cross_entropy_with_logits
    return loss(right, torch.ones_like(right)) / 2 + loss(wrong, torch.zeros_like(wrong)) / 2, right, wrong


class Siamese(PairRecipe[SiameseNet]):
    """See the module."""

    def __init__(self, wanted: SiameseConfig, run: RunConfig, garments: Garments, judge: Judging, trunk: Trunk) -> None:
        """`judge`: holds the held-out photos. `trunk`: with its first weights."""
        self._wanted = wanted
        super().__init__(wanted, run, garments, judge, lambda: SiameseNet(trunk, wanted.hidden))

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """As `Recipe.parameters`."""
        own = list(self._net.trunk.learning())
        return [*([{"params": own, "lr": lr}] if own else []), {"params": list(self._net.head.parameters()), "lr": lr}]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Right pairs are a garment's two views; wrong ones take the view of a neighbour in the batch, where its colourways are."""
        clean, seen = batch[0], batch[1]
        one, other = self._net(torch.cat([clean, seen])).chunk(2)
        loss, right, wrong = pair_loss(self._net.head, one, other, self._wanted.negatives)
        share = (float((right > 0).float().mean()) + float((wrong <= 0).float().mean())) / 2
        return loss, {"right": share}

    def evaluate(self) -> dict[str, float]:
        """By the head's score of every pair; and with `vector` before them the figures of the vector, where there is one."""
        side = self._wanted.side
        figures = self._judge.figures(Maskless(self._net), side, scorer(self._net.head))
        if not self._wanted.hidden:
            by_vector = self._judge.figures(Maskless(SiameseVector(self._net)), side)
            figures |= {f"vector_{name}": value for name, value in by_vector.items()}
        return figures

    def export(self) -> Exportable:
        """The vector of a head of one layer.

        Raises:
            ConfigurationError: the head has a hidden layer.
        """
        wanted = self._wanted
        if wanted.hidden:
            raise ConfigurationError(
                f"a Siamese head with {wanted.hidden} hidden numbers scores pairs and yields no vector: train with recipe.hidden = 0 to export one"
            )
        return exportable(
            SiameseVector(self._net),
            wanted.side,
            self._net.trunk.channels,
            backbone=wanted.backbone,
            weights=self._net.trunk.weights,
            photos=self._garments.articles.notice,
            recipe=(
                f"{wanted.backbone} features weighted by a Siamese head trained with binary cross-entropy on |a - b| "
                f"({len(self._garments)} garments, {wanted.negatives} wrong pairs for each right one). Menezes and Kanitkar 2018. The head "
                "compares by L1; an index compares these vectors by cosine, which ranks nearly the same."
            ),
        )

    def provenance(self) -> dict[str, Any]:
        """As `Recipe.provenance`."""
        return provenance_of(self._garments, self._judge.provenance, self._net.trunk.weights)


class SiameseVector(nn.Module):
    """Rgb to the vector for an index that compares by cosine: features times the square roots of the head's weights, L2-normalised.

    The square root, because a weighted Euclidean distance squares what L1 takes as it is.
    """

    def __init__(self, net: SiameseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, s, s, 3) uint8 to (n, channels)."""
        return nn.functional.normalize(self.net(rgb) * self.net.head.weights().sqrt(), dim=1)


def l1_vectors(head: SiameseHead, features: FloatArray) -> FloatArray:
    """Features (n, d) to vectors whose L1 distance ranks as the head does. Raises ConfigurationError where the head yields none."""
    if head.hidden:
        raise ConfigurationError("a Siamese head with a hidden layer scores pairs and yields no vector")
    return np.asarray(features * head.weights().detach().cpu().numpy(), np.float32)


def scorer(head: SiameseHead) -> Compare:
    """The head as a comparison: sigmoid of its logits, (queries, catalogue)."""

    @torch.inference_mode()
    def compare(queries: FloatArray, catalogue: FloatArray) -> FloatArray:
        device = next(head.parameters()).device
        known = torch.from_numpy(catalogue).to(device)
        each = torch.from_numpy(queries).to(device)
        return np.stack([torch.sigmoid(head(query[None], known)).cpu().numpy() for query in each]).astype(np.float32)

    return compare


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> Siamese:
    """As `recipe.Builder`."""
    wanted = parse(SiameseConfig, content, f"{source} [recipe]")
    judge = Judge(data_folder(wanted, source), wanted.crop_side, run.seed, wanted.most_phones)
    return Siamese(wanted, run, load_garments(wanted, source), judge, trunk_of(wanted, source))
