"""Small drawn pictures with four corners that tell every rotation and mirror apart, and encoders for them."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from worker.events import PhotoLocation
from worker.imaging.codec import Limits
from worker.imaging.types import Photo

pillow_heif.register_heif_opener()  # so that Pillow can write HEIC here

RgbArray = npt.NDArray[np.uint8]

# Small enough for small test pictures; the limits under test are set by each test.
LIMITS = Limits(
    max_pixels=4_000_000, min_side=32, max_aspect=20, target_side=640, blur_threshold=20, dark_threshold=60, overexposed_share=0.5
)
LOCATION = PhotoLocation(bucket="intake-photos", key="inbox/photo")

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 180, 40), (30, 50, 200), (230, 220, 40)


def corners(width: int = 96, height: int = 64) -> RgbArray:
    """Red top left, green top right, blue bottom left, yellow bottom right."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = GREEN
    picture[height // 2 :, : width // 2] = BLUE
    picture[height // 2 :, width // 2 :] = YELLOW
    return picture


def smooth(width: int, height: int, seed: int = 0) -> RgbArray:
    """A smooth coloured field, the same for every size: what formats and scales can be compared on."""
    few = np.random.default_rng(seed).integers(30, 226, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def encoded(picture: RgbArray | Image.Image, kind: str, **options: Any) -> bytes:
    """`picture` as a file of `kind` (Pillow's name)."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif_with(orientation: int) -> Image.Exif:
    """EXIF that holds an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def photo(data: bytes) -> Photo:
    return Photo(LOCATION, data)


def corner_colours(rgb: RgbArray) -> list[tuple[int, int, int]]:
    """The named colour nearest to each corner: top left, top right, bottom left, bottom right."""
    height, width = rgb.shape[:2]
    names = np.array([RED, GREEN, BLUE, YELLOW])
    found = []
    for row in (height // 4, height * 3 // 4):
        for column in (width // 4, width * 3 // 4):
            distance = np.abs(names - rgb[row, column].astype(int)).sum(axis=1)
            assert distance.min() < 60, rgb[row, column]
            red, green, blue = (int(value) for value in names[int(distance.argmin())])
            found.append((red, green, blue))
    return found
