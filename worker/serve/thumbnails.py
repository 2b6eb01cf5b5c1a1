"""The catalogue's photos, small, for the page. What is shown must be a photo of the catalogue *and* lie where showing is allowed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import structlog

from worker.catalogue.entries import S3_SCHEME
from worker.catalogue.protocol import Catalogue
from worker.errors import DeadLetterError, IntakeError
from worker.imaging.decode import PhotoDecoder, encode_jpeg
from worker.imaging.types import Photo, Pixels
from worker.vision.types import ByteArray

_log = structlog.get_logger(__name__)

THUMBNAIL_QUALITY = 82
# About 15 kB each at 320 pixels: 15 MB at most.
KEPT = 1000

Fetch = Callable[[Sequence[str]], list[Photo | IntakeError]]


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Thumbnails by the id of the catalogue's point. Thread-safe.

    Attributes:
        fetch: reads photos by the location a point carries; for S3 it keeps to the allow-list itself.
        folders: local folders whose photos may be shown, resolved (see `resolved_folders`).
    """

    catalogue: Catalogue
    fetch: Fetch
    decoder: PhotoDecoder
    folders: tuple[Path, ...]
    side: int
    _kept: OrderedDict[UUID, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def jpeg(self, point_id: UUID) -> bytes | None:
        """The thumbnail as a JPEG; None if there is no such photo, or it may not be shown (which is which stands in the log).

        Raises:
            CatalogueUnavailable, StorageUnavailable, StopError: as the rooms raise them.
        """
        with self._lock:
            kept = self._kept.get(point_id)
            if kept is not None:
                self._kept.move_to_end(point_id)
                return kept
        made = self._make(point_id)
        if made is not None:
            with self._lock:
                self._kept[point_id] = made
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return made

    def _make(self, point_id: UUID) -> bytes | None:
        point = self.catalogue.points([point_id]).get(point_id)
        if point is None:
            return None
        location = self._allowed(point.location)
        if location is None:
            _log.warning(
                "a photo of the catalogue is not shown: it is not there, or lies outside INTAKE_SERVE__PHOTO_FOLDERS",
                point_id=str(point_id),
                location=point.location,
            )
            return None
        [photo] = self.fetch([location])
        if isinstance(photo, DeadLetterError):
            _log.warning(
                "a photo of the catalogue cannot be shown", point_id=str(point_id), reason=str(photo.reason), why=str(photo)
            )
            return None
        if isinstance(photo, IntakeError):
            raise photo
        [pixels] = self.decoder.decode([photo])
        if not isinstance(pixels, Pixels):
            _log.warning(
                "a photo of the catalogue cannot be shown", point_id=str(point_id), reason=str(pixels.reason), why=str(pixels)
            )
            return None
        return encode_jpeg(shrunk(pixels.rgb, self.side), THUMBNAIL_QUALITY)

    def _allowed(self, location: str) -> str | None:
        """What is read: a location in S3 as it stands, a local path with every link followed; None if it may not be."""
        if location.startswith(S3_SCHEME):
            return location
        try:
            path = Path(location).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # not there, a circle of links, a null character
            return None
        return str(path) if any(path.is_relative_to(folder) for folder in self.folders) else None


def resolved_folders(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Folders with every link followed, as `Thumbnails` compares with."""
    return tuple(folder.expanduser().resolve() for folder in folders)


def shrunk(rgb: ByteArray, side: int) -> ByteArray:
    """(h, w, 3) uint8 with a longer side of at most `side`."""
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1.0:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
