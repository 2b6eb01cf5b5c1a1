"""Crops that recipes learn from, of folders with luma/, venia/ and clothing/: cut out as the worker does, each photo once.

Masks are kept in the lab's cache by content and segmenter; the arrays beside it, under a name made of everything that decides them, so
that a second start reads them from disk as they are.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from worker.errors import ConfigurationError, DeadLetterError, PhotoRefused
from worker.events import PhotoLocation
from worker.imaging.decode import InProcessDecoder
from worker.imaging.types import Photo, Pixels
from worker.lab.bench_data import NO_GARMENT, PHONES, SHOPS, TABLE, StudioPhoto
from worker.lab.cache import LabCache, cache_folder
from worker.lab.embed import Starter, quiet
from worker.lab.files import writing
from worker.lab.models import Workbench
from worker.lab.photo_sets import SUFFIX, PhotoSet
from worker.lab.splits import PARTS, Part, part_of_sender, part_of_style, style_of
from worker.settings import Settings, load_settings
from worker.vision.crop import make_crop
from worker.vision.load import load_segmenter
from worker.vision.registry import Registry
from worker.vision.segmenters import mask_of
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, Segmenter

Which = Part | Literal["all"]
SOURCES = (*SHOPS, PHONES)
DEFAULT_SEGMENTER = "default"
VERSION = 1  # of the arrays' layout: raised where a kept array would no longer be what is read
FOLDER = "crops"
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

    @property
    def origin(self) -> tuple[Literal["style", "sender"], str]:
        """What it must not share with a photo on the other side of the split: ``("style", "luma/mh01")``, ``("sender", "clothing/17")``."""
        return ("style", f"{self.source}/{self.style}") if self.style else ("sender", f"{self.source}/{self.sender}")

    @property
    def instance(self) -> str:
        """What photos of one and the same garment share: the article; in clothing/ every photo is a garment of its own."""
        return f"{self.source}/{self.article or self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Crops and what they are of, in the same order.

    Attributes:
        rgb: (n, side, side, 3) uint8, the garment on white. On disk: rows are read as they are used.
        mask: (n, side, side) uint8.
        photos: n of them.
        digest: hash of the photos, the segmenter and all else that decides the arrays.
    """

    rgb: ByteArray
    mask: ByteArray
    photos: tuple[CropPhoto, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def side(self) -> int:
        """Of each crop, in pixels."""
        return int(self.rgb.shape[1])

    def rows(self, wanted: Callable[[CropPhoto], bool]) -> list[int]:
        """Numbers of the crops whose photo is wanted."""
        return [row for row, photo in enumerate(self.photos) if wanted(photo)]


class Cutter:
    """Photo bytes to crops, masks from the lab's cache where they are kept."""

    def __init__(self, segmenter: str = DEFAULT_SEGMENTER, settings: Settings | None = None, folder: Path | None = None) -> None:
        """`segmenter`: of the registry. `folder`: of the cache; None: the user's.

        Raises:
            ModelError: the segmenter cannot be had.
        """
        self._settings = settings or load_settings()
        self._cache = LabCache(folder or cache_folder())
        self._decoder = InProcessDecoder(self._settings.imaging)
        self._registry = Registry(self._settings.vision)
        self._row = self._registry.row(segmenter, "segment")
        self._segmenter: Segmenter | None = None
        self.key = Workbench(self._settings).segmenter_key(self._row)

    def crop(self, data: bytes, side: int) -> tuple[ByteArray, ByteArray, tuple[str, ...]]:
        """Rgb (side, side, 3), mask (side, side) and flags.

        Raises:
            DeadLetterError: the photo cannot be read or shows nothing.
        """
        [pixels] = self._decoder.decode([Photo(PhotoLocation(bucket="lab", key="photo"), data)])
        if not isinstance(pixels, Pixels):
            raise pixels
        content = hashlib.sha256(data).digest()
        kept = self._cache.mask(self.key, content)
        if kept is not None and kept[0].shape == pixels.rgb.shape[:2]:
            mask = mask_of(kept[0])
        else:
            if self._segmenter is None:  # loaded when the first mask is missing: usually none is
                store = ModelStore(self._settings.vision, self._registry.user_dir)
                self._segmenter = load_segmenter(self._row, store, self._settings.vision)
            mask = self._segmenter.segment([pixels.rgb])[0]
            self._cache.put_mask(self.key, content, mask.alpha, 0.0)
        crop = make_crop(pixels.rgb, mask, side)
        return crop.rgb, crop.mask, crop.flags

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()


def load_crops(
    data: Path,
    side: int,
    part: Which = "all",
    *,
    sources: Sequence[str] = SOURCES,
    most_phones: int | None = None,
    segmenter: str = DEFAULT_SEGMENTER,
    settings: Settings | None = None,
    folder: Path | None = None,
    starter: Starter = quiet,
) -> Crops:
    """Crops of the photos in `data`/luma, /venia and /clothing (images.zip or *.jpg, as `PhotoSet` reads them).

    Args:
        data: the folder of the data sets.
        side: of the crops, in pixels.
        part: of the split, or all.
        sources: which data sets.
        most_phones: of clothing/, by a draw that is the same every time; None: all that show one garment.
        segmenter: of the registry.
        settings: of decoding and models; None: the environment's.
        folder: of the cache; None: the user's.
        starter: begins to show progress.

    Raises:
        ConfigurationError: a data set is missing, or no photo is left.
        ModelError: the segmenter cannot be had.
    """
    if part not in {"all", *PARTS}:
        raise ConfigurationError(f"there is no part {part!r}; there are {', '.join(('all', *PARTS))}")
    with ExitStack() as stack:
        sets = {name: stack.enter_context(closing(PhotoSet(data / name))) for name in sources}
        wanted = [photo for name in sources for photo in listed(sets[name], name, most_phones) if part in {"all", photo.part}]
        cutter = stack.enter_context(closing(Cutter(segmenter, settings, folder)))

        def read(photo: CropPhoto) -> bytes:
            return sets[photo.source].read(photo.name + SUFFIX)

        return cut(wanted, read, side, cutter, (folder or cache_folder()) / FOLDER, starter)


def cut(
    photos: Sequence[CropPhoto], read: Callable[[CropPhoto], bytes], side: int, cutter: Cutter, folder: Path, starter: Starter
) -> Crops:
    """Crops of photos, kept in `folder`; photos that cannot be read or show nothing are left out.

    Raises:
        ConfigurationError: none is left.
    """
    digest = hashlib.sha256(json.dumps([VERSION, side, cutter.key], sort_keys=True).encode())
    for photo in photos:
        digest.update(json.dumps(asdict(photo), sort_keys=True).encode())
        digest.update(hashlib.sha256(read(photo)).digest())
    key = digest.hexdigest()
    place = folder / key[:24]
    if not (place / "photos.json").is_file():
        _write(place, _cropped(photos, read, side, cutter, starter), len(photos), side)
    listed: list[dict[str, Any]] = json.loads((place / "photos.json").read_text(encoding="utf-8"))
    found = tuple(CropPhoto(**{**each, "flags": tuple(each["flags"])}) for each in listed)
    if not found:
        raise ConfigurationError("of the photos asked for none can be cut out: is the data folder the right one?")
    # Copy on write: a recipe that writes into a row by mistake does not spoil the cache.
    arrays = [np.load(place / f"{name}.npy", mmap_mode="c") for name in ("rgb", "mask")]
    return Crops(arrays[0][: len(found)], arrays[1][: len(found)], found, key)


def _cropped(
    photos: Sequence[CropPhoto], read: Callable[[CropPhoto], bytes], side: int, cutter: Cutter, starter: Starter
) -> Iterator[tuple[CropPhoto, ByteArray, ByteArray]]:
    advance = starter(f"crops of {side} pixels", len(photos))
    for photo in photos:
        advance(1)
        try:
            rgb, mask, flags = cutter.crop(read(photo), side)
        except (DeadLetterError, PhotoRefused):
            continue
        yield CropPhoto(**{**asdict(photo), "flags": flags}), rgb, mask


def _write(place: Path, crops: Iterator[tuple[CropPhoto, ByteArray, ByteArray]], most: int, side: int) -> None:
    found: list[CropPhoto] = []
    with writing(place / "rgb.npy") as rgb_part, writing(place / "mask.npy") as mask_part:
        rgb = np.lib.format.open_memmap(rgb_part, "w+", np.uint8, (most, side, side, 3))
        mask = np.lib.format.open_memmap(mask_part, "w+", np.uint8, (most, side, side))
        for row, (photo, own_rgb, own_mask) in enumerate(crops):
            rgb[row], mask[row] = own_rgb, own_mask
            found.append(photo)
        rgb.flush()
        mask.flush()
    # Last: where it is, the arrays are whole.
    with writing(place / "photos.json") as part:
        part.write_text(json.dumps([asdict(photo) for photo in found]), encoding="utf-8")


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


def batches(count: int, size: int) -> Iterator[slice]:
    """`count` rows in slices of at most `size`."""
    return (slice(start, stop) for start, stop in pairwise([*range(0, count, size), count]))
