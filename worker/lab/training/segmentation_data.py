"""Photos with masks for training and judging segmenters: street photos with labels, flat phone photos with U²-Netp's cut.

Street photos (ccp) are split by photo, flat ones (clothing) by sender: `parts` is the one place that decides.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from worker.errors import ConfigurationError
from worker.lab.splits import Part, part_of_sender
from worker.lab.training.segmentation_labels import FLAT_CLASSES, GARMENT, IGNORE, street_table
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import BACKGROUND
from worker.vision.load import load_segmenter
from worker.vision.registry import Registry
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, Segmenter

TEACHER = "u2netp"
HELD_OUT_STREET_OF = 6  # one street photo in six: about 140 to judge by, and most of the few there are to learn from
LONGEST = 400  # pixels of the longer side that are kept: as much as any network here is shown
# Of a cut, what is surely garment and surely not; between them lies the soft edge, of which no class is taught.
SURE, SURE_NOT = 0.7, 0.3
# A cut that leaves more than this share of the photo undecided, or takes next to nothing or nearly everything for garment, has failed: it neither teaches nor judges.
MOST_UNSURE, LEAST, MOST = 0.12, 0.04, 0.9
# Every so many photos of a long wait are told of.
TELL_EVERY = 100

# `phone`: a studio photo that was laid on a floor, for judging.
Kind = Literal["street", "flat", "studio", "phone"]
Teller = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One photo.

    Attributes:
        name: file name without its ending; of a shop's, with the shop: ``venia/vt01-aa_main``.
        rgb: (h, w, 3) uint8.
        label: (h, w) uint8: class numbers, `IGNORE`, `GARMENT`.
        alpha: (h, w) uint8: garment 0..255, whatever its class.
    """

    name: str
    kind: Kind
    rgb: ByteArray
    label: ByteArray
    alpha: ByteArray


@dataclass(frozen=True, slots=True)
class Source:
    """One photo before it is read. `category` is a flat photo's label, `sender` whose photo it is."""

    name: str
    kind: Kind
    sender: int = 0
    category: str = ""


def part_of_street_photo(name: str) -> Part:
    """Which part a street photo belongs to, by its number."""
    digest = hashlib.sha256(name.encode()).digest()
    return "held-out" if digest[0] % HELD_OUT_STREET_OF == 0 else "development"


def part_of(source: Source) -> Part:
    """Which part a photo belongs to."""
    return part_of_street_photo(source.name) if source.kind == "street" else part_of_sender(source.sender)


def street_sources(folder: Path) -> list[Source]:
    """All street photos below `folder` (``photos/N.jpg`` with ``masks/N.png``), by name.

    Raises:
        ConfigurationError: there are none.
    """
    names = sorted(path.stem for path in (folder / "photos").glob("*.jpg") if (folder / "masks" / f"{path.stem}.png").is_file())
    if not names:
        raise ConfigurationError(f"{folder} holds no photos/N.jpg with masks/N.png: unpack the street photos there")
    return [Source(name, "street") for name in names]


def flat_sources(table: Path, photos: Path) -> list[Source]:
    """All flat photos that `table` (image, sender_id, label) gives a garment class and `photos` holds, by name.

    Raises:
        ConfigurationError: there are none.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ConfigurationError(f"{table} cannot be read: {error}") from error
    there = {path.stem for path in photos.glob("*.jpg")}
    found = [
        Source(row["image"], "flat", int(row["sender_id"]), row["label"])
        for row in rows
        if row["label"] in FLAT_CLASSES and row["image"] in there
    ]
    if not found:
        raise ConfigurationError(f"{photos} holds none of the photos {table} names: unpack them there")
    return sorted(found, key=lambda source: source.name)


def unpacked(folder: Path, cache: Path) -> Path:
    """`folder`, or where its ``images.zip`` is unpacked (once, below `cache`)."""
    archive = folder / "images.zip"
    if not archive.is_file():
        return folder
    stat = archive.stat()
    digest = hashlib.sha256(f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:12]
    place = cache / f"{folder.name}-{digest}"
    done = place / ".complete"
    if not done.is_file():
        place.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as content:
            content.extractall(place)
        done.touch()
    return place


def read_street(folder: Path, sources: Sequence[Source], tell: Teller, labels: Path) -> list[Sample]:
    """Street photos with their labels as classes; `labels` holds ``labels.txt``."""
    table = street_table((labels / "labels.txt").read_text(encoding="utf-8"))
    samples = []
    for number, source in enumerate(sources):
        rgb = read_rgb(folder / "photos" / f"{source.name}.jpg")
        raw = cv2.imread(str(folder / "masks" / f"{source.name}.png"), cv2.IMREAD_GRAYSCALE)
        if raw is None or raw.shape != rgb.shape[:2]:
            raise ConfigurationError(f"{folder}/masks/{source.name}.png does not fit its photo")
        label = table[raw]
        rgb, label = fitted(rgb), fitted_label(label)
        alpha = np.where((label > 1) & (label != IGNORE), 255, 0).astype(np.uint8)
        samples.append(Sample(source.name, "street", rgb, label, alpha))
        if number % TELL_EVERY == 0:
            tell("reading street photos", number, len(sources))
    return samples


def read_flat(photos: Path, cuts: Path, sources: Sequence[Source], tell: Teller) -> list[Sample]:
    """Flat photos with the teacher's cut, which is made where `cuts` does not hold it (``<image>.png``); failed cuts are left out."""
    cuts.mkdir(parents=True, exist_ok=True)
    teacher: Segmenter | None = None
    samples = []
    for number, source in enumerate(sources):
        rgb = read_rgb(photos / f"{source.name}.jpg")
        path = cuts / f"{source.name}.png"
        alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
        if alpha is None or alpha.shape != rgb.shape[:2]:
            teacher = teacher or _teacher()
            alpha = teacher.segment([rgb])[0].alpha
            part = path.with_name(f".{path.name}")
            cv2.imwrite(str(part.with_suffix(".part.png")), alpha)
            part.with_suffix(".part.png").replace(path)
        if usable_cut(np.asarray(alpha, np.uint8)):
            rgb, small = fitted(rgb), fitted(np.asarray(alpha, np.uint8))
            samples.append(Sample(source.name, "flat", rgb, flat_label(small, FLAT_CLASSES[source.category]), small))
        if number % TELL_EVERY == 0:
            tell("reading flat photos", number, len(sources))
    return samples


def usable_cut(alpha: ByteArray) -> bool:
    """Whether a cut found a garment and is sure of it."""
    share = float(np.mean(alpha > 255 * SURE))
    unsure = float(np.mean((alpha > 255 * SURE_NOT) & (alpha <= 255 * SURE)))
    return LEAST < share < MOST and unsure < MOST_UNSURE * max(share, 0.2)


def flat_label(alpha: ByteArray, garment: int) -> ByteArray:
    """A cut as classes: its garment, background, and nothing taught between."""
    label = np.full(alpha.shape, IGNORE, np.uint8)
    label[alpha < 255 * SURE_NOT] = BACKGROUND
    label[alpha > 255 * SURE] = garment
    return label


def read_rgb(path: Path) -> ByteArray:
    """A photo as (h, w, 3) uint8 RGB.

    Raises:
        ConfigurationError: it cannot be read.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ConfigurationError(f"{path} is no photo that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def fitted(picture: ByteArray) -> ByteArray:
    """Smaller, where its longer side is above `LONGEST`."""
    size = _size(picture)
    return picture if size is None else np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def fitted_label(label: ByteArray) -> ByteArray:
    """As `fitted`, for class numbers."""
    size = _size(label)
    return label if size is None else np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def digest_of(sources: Sequence[Source]) -> str:
    """Short hash of which photos these are."""
    return hashlib.sha256("\n".join(f"{s.kind} {s.name}" for s in sources).encode()).hexdigest()[:16]


def _size(picture: npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    height, width = picture.shape[:2]
    scale = LONGEST / max(height, width)
    return None if scale >= 1 else (max(1, round(width * scale)), max(1, round(height * scale)))


def _teacher() -> Segmenter:
    settings = VisionSettings()
    registry = Registry(settings)
    return load_segmenter(registry.row(TEACHER, "segment"), ModelStore(settings, registry.user_dir), settings)


__all__ = ["GARMENT", "IGNORE", "Sample", "Source"]
