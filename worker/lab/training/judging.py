"""How an embedder is judged while it learns: held-out styles and senders only, photographed by the simulators, which no recipe trains on."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from worker.errors import PhotoRefused
from worker.lab.training.crop_photos import CropPhoto
from worker.lab.training.crops import Crops, load_crops
from worker.lab.training.views import as_crop
from worker.simulate.phone import phone_shot
from worker.simulate.phone_harsh import phone_shot_harsh
from worker.vision.crop import make_crop
from worker.vision.types import ByteArray, FloatArray, Mask

FALSE_ALERTS = 0.01
CATALOGUE, PHONE, HARSH, UNSEEN = "catalogue", "phone", "harsh", "unseen"
# What the score weighs: the mission (a phone shot finds its article) first, then what simulation cannot teach.
WEIGHTS = {PHONE: 2.0, "found": 2.0, "phone_back": 1.5, "back": 1.5, "other": 1.0, HARSH: 1.5}
BATCH = 32
STRANGERS = 500  # of the real phone photos of held-out senders


class Embeds(Protocol):
    """rgb (n, s, s, 3) uint8, mask (n, s, s) uint8 to unit vectors (n, d)."""

    def __call__(self, rgb: Tensor, mask: Tensor) -> Tensor:
        """As the class says."""

    def parameters(self) -> Any:
        """Of a module."""


Compare = Callable[[FloatArray, FloatArray], FloatArray]
"""Vectors of queries (n, d) and of the catalogue (m, d) to similarities (n, m)."""


def inner_product(queries: FloatArray, catalogue: FloatArray) -> FloatArray:
    """Of unit vectors: the cosine."""
    return np.asarray(queries @ catalogue.T, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A crop that is searched for or in."""

    kind: str
    article: str
    rgb: ByteArray
    mask: ByteArray


class Judging(Protocol):
    """What a recipe asks for its held-out figures."""

    provenance: dict[str, Any]

    def figures(self, embedder: Embeds, side: int, compare: Compare = inner_product) -> dict[str, float]:
        """By name, `score` among them."""


class Judge:
    """The held-out crops, made once."""

    def __init__(self, data: Path, side: int, seed: int, most_phones: int | None = None) -> None:
        """`most_phones`: of clothing/, both parts together. Raises ConfigurationError where a data set is missing."""
        crops = load_crops(data, side, "all", most_phones=most_phones)
        # The whole catalogue is searched: development articles are what held-out ones are confused with in use, too.
        wanted = [
            row for row, photo in enumerate(crops.photos) if photo.article and (photo.view == "main" or photo.part == "held-out")
        ]
        strangers = [row for row, photo in enumerate(crops.photos) if not photo.article and photo.part == "held-out"]
        wanted += strangers[:: max(1, len(strangers) // STRANGERS)]
        self._items = [item for row in wanted for item in judged(crops, row, seed)]
        self.provenance: dict[str, Any] = {
            "crops_sha256": crops.digest,
            **{kind: sum(item.kind == kind for item in self._items) for kind in sorted({item.kind for item in self._items})},
        }

    def figures(self, embedder: Embeds, side: int, compare: Compare = inner_product) -> dict[str, float]:
        """Found first by kind, found at 1 % false alerts among unseen garments (phone), and the score, their weighted mean."""
        return figures_of(self._items, embed(self._items, embedder, side), compare)


def judged(crops: Crops, row: int, seed: int) -> list[Judged]:
    """What a photo is judged as: studio mains are the catalogue; held-out ones are photographed, too."""
    photo, rgb, mask = crops.photos[row], np.asarray(crops.rgb[row]), np.asarray(crops.mask[row])
    if not photo.article:
        return [Judged(UNSEEN, "", rgb, mask)]
    found = []
    if photo.view == "main":
        found.append(Judged(CATALOGUE, photo.instance, rgb, mask))
    else:
        found.append(Judged("back" if photo.view == "back" else "other", photo.instance, rgb, mask))
    if photo.part == "held-out" and photo.view in {"main", "back"}:
        suffix = "_back" if photo.view == "back" else ""
        for kind in (PHONE, HARSH):
            shot = photographed(rgb, mask, photo, kind, seed)
            if shot is not None:
                found.append(Judged(kind + suffix, photo.instance, *shot))
    return found


def photographed(rgb: ByteArray, mask: ByteArray, photo: CropPhoto, kind: str, seed: int) -> tuple[ByteArray, ByteArray] | None:
    """A crop as a phone would see it, cut out along its true mask; None where nothing of it is seen."""
    if not (mask >= 128).any():
        return None
    rng = np.random.default_rng((seed, zlib.crc32(f"{photo.source}/{photo.name}/{kind}".encode())))
    shot, cover = phone_shot(rgb, mask, None, rng) if kind == PHONE else phone_shot_harsh(rgb, mask, None, rng)
    try:
        crop = make_crop(shot, Mask(cover, float((cover >= 128).mean())), rgb.shape[0])
    except PhotoRefused:
        return None
    return crop.rgb, crop.mask


@torch.inference_mode()
def embed(items: Sequence[Judged], embedder: Embeds, side: int) -> FloatArray:
    """Vectors of the items, (n, d) float32."""
    device = next(iter(embedder.parameters())).device
    parts = []
    for start in range(0, len(items), BATCH):
        pairs = [as_crop(item.rgb, item.mask, side) for item in items[start : start + BATCH]]
        rgb, mask = (torch.from_numpy(np.stack([pair[which] for pair in pairs])).to(device) for which in (0, 1))
        parts.append(embedder(rgb, mask).float().cpu().numpy())
    return np.concatenate(parts)


def figures_of(items: Sequence[Judged], vectors: FloatArray, compare: Compare = inner_product) -> dict[str, float]:
    """As `Judge.figures`."""
    rows = {kind: [at for at, item in enumerate(items) if item.kind == kind] for kind in {item.kind for item in items}}
    catalogue = vectors[rows[CATALOGUE]]
    names = np.array([items[at].article for at in rows[CATALOGUE]])
    here = set(names)
    figures: dict[str, float] = {}
    limit = 1.0
    if rows.get(UNSEEN):
        limit = float(np.quantile(compare(vectors[rows[UNSEEN]], catalogue).max(axis=1), 1 - FALSE_ALERTS))
        figures["limit"] = limit
    for kind, own in sorted(rows.items()):
        known = [at for at in own if items[at].article in here]
        if kind in {CATALOGUE, UNSEEN} or not known:
            continue
        similarity = compare(vectors[known], catalogue)
        best = similarity.argmax(axis=1)
        right = names[best] == np.array([items[at].article for at in known])
        figures[kind] = float(right.mean())
        if kind == PHONE:
            figures["found"] = float((right & (similarity.max(axis=1) > limit)).mean())
    weights = {name: weight for name, weight in WEIGHTS.items() if name in figures}
    figures["score"] = sum(figures[name] * weight for name, weight in weights.items()) / max(1e-9, sum(weights.values()))
    return figures
