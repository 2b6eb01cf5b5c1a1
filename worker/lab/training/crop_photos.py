"""The photos recipes learn from, and what is known of each without looking at it."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from typing import Literal

from worker.errors import ConfigurationError
from worker.lab.bench_data import NO_GARMENT, PHONES, TABLE, StudioPhoto
from worker.lab.photo_sets import SUFFIX, PhotoSet
from worker.lab.splits import Part, part_of_sender, part_of_style, style_of

NO_SENDER = -1

# What the letters of a shop's article names mean, in the words of clothing/'s labels where it has one.
SHOP_LABELS = {
    "luma mb": "Bag",
    "luma mg": "Watch",
    "luma mh": "Hoodie",
    "luma mj": "Outwear",
    "luma mp": "Pants",
    "luma ms": "T-Shirt",
    "luma msh": "Shorts",
    "luma mt": "Undershirt",
    "venia va": "Accessory",
    "venia vd": "Dress",
    "venia vp": "Pants",
    "venia vsk": "Skirt",
    "venia vsw": "Longsleeve",
    "venia vt": "Top",
}


@dataclass(frozen=True, slots=True)
class CropPhoto:
    """What is known of the photo a crop was made of.

    Attributes:
        source: `luma`, `venia` or `clothing`.
        name: of the file, without its suffix.
        label: category, in the words of clothing/.
        part: which part of the lab's split it belongs to.
        article: of a shop, `<style>-<colour>`; empty for clothing/.
        style: of a shop; empty for clothing/.
        view: of a shop, `main`, `back`, ...; empty for clothing/.
        sender: of clothing/; -1 for a shop.
        flags: of the crop.
        laid: 0: the photo itself; else which of the shots of what it shows, laid on a floor (`worker.lab.training.laid`).
    """

    source: str
    name: str
    label: str
    part: Part
    article: str = ""
    style: str = ""
    view: str = ""
    sender: int = NO_SENDER
    flags: tuple[str, ...] = ()
    laid: int = 0

    @property
    def origin(self) -> tuple[Literal["style", "sender"], str]:
        """What it must not share with a photo on the other side of the split: ``("style", "luma/mh01")``, ``("sender", "clothing/17")``."""
        return ("style", f"{self.source}/{self.style}") if self.style else ("sender", f"{self.source}/{self.sender}")

    @property
    def by_category(self) -> bool:
        """Whether the segmenter is told the category: of every other shot. Some events have one, some have none."""
        return self.laid % 2 == 1

    @property
    def instance(self) -> str:
        """What photos of one and the same garment share: the article; in clothing/ every photo is a garment of its own."""
        return f"{self.source}/{self.article or self.name}"


def listed(photos: PhotoSet, source: str, most_phones: int | None = None) -> list[CropPhoto]:
    """The photos of a data set that show one garment, and what is known of each without looking at it."""
    if source == PHONES:
        return _phones(photos, most_phones)
    found = []
    for name in photos.names:
        photo = StudioPhoto(source, name)
        style = style_of(photo.article)
        label = SHOP_LABELS.get(photo.category, photo.category)
        found.append(CropPhoto(source, name.removesuffix(SUFFIX), label, part_of_style(style), photo.article, style, photo.view))
    return found


def _phones(photos: PhotoSet, most: int | None) -> list[CropPhoto]:
    try:
        with (photos.folder / TABLE).open(encoding="utf-8", newline="") as file:
            rows = [(row["image"], int(row["sender_id"]), row["label"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(f"{photos.folder / TABLE} names no photos (image, sender_id, label): {error}") from error
    there = set(photos.names)
    shown = [row for row in rows if row[2] not in NO_GARMENT and f"{row[0]}{SUFFIX}" in there]
    # A draw by the hash of the name: the same whatever else is in the folder.
    drawn = sorted(sorted(shown, key=lambda row: hashlib.sha256(row[0].encode()).digest())[:most])
    return [CropPhoto(PHONES, image, label, part_of_sender(sender), sender=sender) for image, sender, label in drawn]
