"""Crops grouped by article: what the instance recipe learns to tell apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worker.lab.embed import Starter, quiet
from worker.lab.splits import Part
from worker.lab.training.crops import Crops, load_crops
from worker.vision.crop import NOT_FOUND_FLAG
from worker.vision.types import ByteArray, FloatArray

MAIN = "main"
NEIGHBOURS = 8
# Neighbours are those of a picture this small: likeness of colour and outline, which is what confuses an embedder that has learned nothing yet.
THUMB = 12
NOTICE = (
    "Trained on photos of the clothing dataset by Alexey Grigorev and contributors (CC0) and on studio photos of the Luma (Magento sample "
    "data, OSL-3.0 / AFL-3.0) and Venia (PMET-public sample data, OSL-3.0) shops; no photo is part of this file."
)


@dataclass(frozen=True, slots=True)
class Article:
    """One garment: `photos` are rows of the crops, its catalogue view first."""

    name: str
    style: str
    photos: tuple[int, ...]
    is_shop: bool


@dataclass(frozen=True, slots=True, eq=False)
class Articles:
    """Articles and their crops.

    Attributes:
        rgb: (n, side, side, 3) uint8; mask: (n, side, side) uint8.
        articles: the garments.
        by_style: articles that differ in colour only.
        neighbours: of each article, others that look like it.
        provenance: what they were made of.
        notice: whose photos they are.
    """

    rgb: ByteArray
    mask: ByteArray
    articles: tuple[Article, ...]
    by_style: dict[str, tuple[int, ...]]
    neighbours: tuple[tuple[int, ...], ...]
    provenance: dict[str, Any]
    notice: str = NOTICE


def load_articles(data: Path, side: int, part: Part, starter: Starter = quiet, laid: int = 0) -> Articles:
    """The articles of one part of the split; photos without a garment are left out. `laid` as in `load_crops`.

    Raises:
        ConfigurationError: a data set is missing.
    """
    return group(load_crops(data, side, part, laid=laid, starter=starter))


def group(crops: Crops) -> Articles:
    """Group crops by article."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, photo in enumerate(crops.photos):
        if NOT_FOUND_FLAG not in photo.flags:
            rows[photo.instance].append(row)
    articles = []
    for name, own in sorted(rows.items()):
        photos = sorted(own, key=lambda row: (crops.photos[row].laid, crops.photos[row].view != MAIN, row))
        first = crops.photos[photos[0]]
        articles.append(Article(name, f"{first.source}/{first.style}" if first.style else name, tuple(photos), bool(first.style)))
    by_style: dict[str, list[int]] = defaultdict(list)
    for at, article in enumerate(articles):
        by_style[article.style].append(at)
    return Articles(
        crops.rgb,
        crops.mask,
        tuple(articles),
        {style: tuple(own) for style, own in by_style.items()},
        neighbours([crops.rgb[article.photos[0]] for article in articles]),
        {
            "crops_sha256": crops.digest,
            "crops": len(crops),
            "laid": sum(photo.laid > 0 for photo in crops.photos),
            "articles": len(articles),
            "shop_articles": sum(article.is_shop for article in articles),
            "photos_by_source": {
                source: sum(photo.source == source for photo in crops.photos)
                for source in sorted({photo.source for photo in crops.photos})
            },
        },
    )


def neighbours(pictures: Sequence[ByteArray], count: int = NEIGHBOURS) -> tuple[tuple[int, ...], ...]:
    """For each picture (s, s, 3) the `count` most like it as thumbnails, nearest first."""
    small = np.stack([cv2.resize(each, (THUMB, THUMB), interpolation=cv2.INTER_AREA).ravel() for each in pictures])
    thumbs: FloatArray = small.astype(np.float32) / np.float32(255)
    squares = np.square(thumbs).sum(axis=1)
    found = []
    for at, row in enumerate(thumbs):
        distance = squares - 2 * (thumbs @ row)
        distance[at] = np.inf
        nearest = np.argsort(distance, kind="stable")[:count]
        found.append(tuple(int(each) for each in nearest if each != at))
    return tuple(found)
