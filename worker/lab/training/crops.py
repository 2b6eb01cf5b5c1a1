"""Crops that recipes learn from, of folders with luma/, venia/ and clothing/: cut out as the worker does, each photo once.

Masks are kept in the lab's cache by content and segmenter; the arrays beside it, under a name made of everything that decides them, so
that a second start reads them from disk as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from worker.errors import ConfigurationError, DeadLetterError, PhotoRefused
from worker.events import PhotoLocation
from worker.imaging.decode import InProcessDecoder
from worker.imaging.types import Photo, Pixels
from worker.lab.bench_data import PHONES, SHOPS
from worker.lab.cache import LabCache, cache_folder
from worker.lab.embed import Starter, quiet
from worker.lab.files import writing
from worker.lab.models import Workbench, key_of
from worker.lab.photo_sets import SUFFIX, PhotoSet
from worker.lab.splits import PARTS, Part
from worker.lab.training.crop_photos import CropPhoto, listed
from worker.settings import Settings, load_settings
from worker.vision.crop import make_crop
from worker.vision.load import load_segmenter
from worker.vision.registry import Registry
from worker.vision.segmenters import mask_of
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, Segmenter

Which = Part | Literal["all"]
# The bytes of a photo; None: there is nothing to see.
Reader = Callable[[CropPhoto], bytes | None]
SOURCES = (*SHOPS, PHONES)
DEFAULT_SEGMENTER = "default"
VERSION = 2  # of the arrays' layout: raised where a kept array would no longer be what is read
FOLDER = "crops"


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
        self._knows_classes = self._row.output is not None and self._row.output.classes is not None
        self.key = Workbench(self._settings).segmenter_key(self._row)

    def crop(self, data: bytes, side: int, category: str | None = None) -> tuple[ByteArray, ByteArray, tuple[str, ...]]:
        """Rgb (side, side, 3), mask (side, side) and flags; of the garment `category` names, where the segmenter knows classes.

        Raises:
            DeadLetterError: the photo cannot be read or shows nothing.
        """
        rgb, alpha = self.mask(data, category)
        crop = make_crop(rgb, mask_of(alpha), side)
        return crop.rgb, crop.mask, crop.flags

    def mask(self, data: bytes, category: str | None = None) -> tuple[ByteArray, ByteArray]:
        """Rgb (h, w, 3) and alpha (h, w) of a photo.

        Raises:
            DeadLetterError: the photo cannot be read.
        """
        [pixels] = self._decoder.decode([Photo(PhotoLocation(bucket="lab", key="photo"), data)])
        if not isinstance(pixels, Pixels):
            raise pixels
        content = hashlib.sha256(data).digest()
        key = key_of(self.key, category if self._knows_classes else None)
        kept = self._cache.mask(key, content)
        if kept is not None and kept[0].shape == pixels.rgb.shape[:2]:
            return pixels.rgb, kept[0]
        if self._segmenter is None:  # loaded when the first mask is missing: usually none is
            store = ModelStore(self._settings.vision, self._registry.user_dir)
            self._segmenter = load_segmenter(self._row, store, self._settings.vision)
        alpha = self._segmenter.segment([pixels.rgb], [category])[0].alpha
        self._cache.put_mask(key, content, alpha, 0.0)
        return pixels.rgb, alpha

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
    laid: int = 0,
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
        laid: shots of each photo's garment on other floors, cut out again, beside the photo itself.
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

        def content(photo: CropPhoto) -> bytes:
            return sets[photo.source].read(photo.name + SUFFIX)

        shots = [replace(photo, laid=number) for photo in wanted for number in range(1, laid + 1)]
        read = _shooter(sets, cutter, content) if shots else content
        return cut([*wanted, *shots], read, side, cutter, (folder or cache_folder()) / FOLDER, starter, content)


def _shooter(sets: Mapping[str, PhotoSet], cutter: Cutter, content: Callable[[CropPhoto], bytes]) -> Reader:
    from worker.lab.training.laid import Floors, laid_shot  # noqa: PLC0415  torch

    floors = Floors(sets[PHONES])

    def read(photo: CropPhoto) -> bytes | None:
        return laid_shot(photo, content(photo), floors, cutter.mask) if photo.laid else content(photo)

    return read


def cut(
    photos: Sequence[CropPhoto],
    read: Reader,
    side: int,
    cutter: Cutter,
    folder: Path,
    starter: Starter,
    content: Reader | None = None,
) -> Crops:
    """Crops of photos, kept in `folder`; photos that cannot be read or show nothing are left out.

    `content` gives the bytes that decide what `read` gives, where those cost more to make.

    Raises:
        ConfigurationError: none is left.
    """
    digest = hashlib.sha256(json.dumps([VERSION, side, cutter.key], sort_keys=True).encode())
    for photo in photos:
        digest.update(json.dumps(asdict(photo), sort_keys=True).encode())
        digest.update(hashlib.sha256((content or read)(photo) or b"").digest())
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
    photos: Sequence[CropPhoto], read: Reader, side: int, cutter: Cutter, starter: Starter
) -> Iterator[tuple[CropPhoto, ByteArray, ByteArray]]:
    advance = starter(f"crops of {side} pixels", len(photos))
    for photo in photos:
        advance(1)
        data = read(photo)
        if data is None:
            continue
        try:
            rgb, mask, flags = cutter.crop(data, side, photo.label if photo.by_category else None)
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


def batches(count: int, size: int) -> Iterator[slice]:
    """`count` rows in slices of at most `size`."""
    return (slice(start, stop) for start, stop in pairwise([*range(0, count, size), count]))
