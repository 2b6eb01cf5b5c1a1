"""What the imaging room hands on: photo bytes, then pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from worker.events import PhotoLocation


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo as it lies in S3: undecoded bytes, and the etag they were read under."""

    location: PhotoLocation
    data: bytes
    etag: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """One decoded photo.

    Attributes:
        location: where the photo came from.
        rgb: (height, width, 3) uint8, sRGB, upright (EXIF orientation applied), alpha laid on white; reduced so that the shorter
            side is at or just above `ImagingSettings.target_side` (never enlarged).
        original_size: (width, height) upright, before reduction.
        format: ``jpeg``, ``png``, ``webp``, ``heif`` or ``avif``, by content.
        flags: what a person should know, such as ``photo-blurred`` or ``photo-dark``; never a reason to refuse.
    """

    location: PhotoLocation
    rgb: npt.NDArray[np.uint8]
    original_size: tuple[int, int]
    format: str
    flags: tuple[str, ...] = field(default=())
