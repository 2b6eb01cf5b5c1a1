"""Photo bytes to upright sRGB pixels: the one way, for serving, catalogue load, lab and demo alike.

The steps, in order: format by content; size by header, against the limits; decode, JPEG at the smallest DCT scale above the target; 8 bits;
alpha on white; reduce; colour to sRGB; reduce to the target; EXIF orientation; quality flags. Nothing of the worker but errors is
imported here, so that a decoder process starts fast.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import ExifTags, Image

from worker.errors import PhotoRefused, Reason
from worker.imaging import formats, quality
from worker.imaging.colour import eight_bits, on_white, to_srgb
from worker.imaging.formats import Size

RgbArray = npt.NDArray[np.uint8]

# EXIF orientation n is undone by a mirror (left to right) and then this many quarter turns counter-clockwise (EXIF 2.32, 4.6.4 A).
MIRROR_AND_TURNS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}
SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused, and what it is decoded to: the fields of `ImagingSettings` a decoder needs, in the order it is sent to one."""

    max_pixels: int
    min_side: int
    max_aspect: float
    target_side: int
    blur_threshold: float
    dark_threshold: float
    overexposed_share: float


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """As `Pixels`, without where it came from."""

    rgb: RgbArray
    original_size: Size
    format: str
    flags: tuple[str, ...]


def decode_bytes(data: bytes, limits: Limits) -> Decoded:
    """Decode one photo.

    Returns:
        rgb (height, width, 3) uint8 sRGB, C-contiguous, upright, shorter side exactly `limits.target_side` where the photo was larger
        (it is never enlarged).

    Raises:
        PhotoRefused: PHOTO_EMPTY, PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS, PHOTO_TOO_SMALL (also: too narrow), PHOTO_CORRUPT, or
            PHOTO_DECODER_CRASHED when memory ran out.
    """
    kind = formats.sniff(data)
    size = formats.header_size(data, kind)
    if size is not None:
        check_size(size, limits)
    try:
        return _decode(data, kind, limits)
    except PhotoRefused:
        raise
    except MemoryError as error:
        raise PhotoRefused(Reason.PHOTO_DECODER_CRASHED, f"decoding it as {kind} took more memory than is allowed") from error
    except Image.DecompressionBombError as error:
        raise PhotoRefused(Reason.PHOTO_TOO_MANY_PIXELS, f"it is a decompression bomb: {error}") from error
    except Exception as error:
        # Codec libraries raise nearly everything on damaged files (SyntaxError, struct.error, KeyError, ...): all of it is the file.
        text = f"it cannot be decoded as {kind} ({type(error).__name__}: {str(error)[:200]}); photograph the item again"
        raise PhotoRefused(Reason.PHOTO_CORRUPT, text) from error


def check_size(size: Size, limits: Limits) -> None:
    """Refuse a size outside the limits."""
    width, height = size
    if width < 1 or height < 1:
        raise PhotoRefused(Reason.PHOTO_CORRUPT, f"its header says {width} x {height} pixels")
    if width * height > limits.max_pixels:
        raise PhotoRefused(
            Reason.PHOTO_TOO_MANY_PIXELS,
            f"it has {width} x {height} pixels; the limit is {limits.max_pixels} in all (INTAKE_IMAGING__MAX_PIXELS)",
        )
    if min(size) < limits.min_side:
        raise PhotoRefused(
            Reason.PHOTO_TOO_SMALL,
            f"it has {width} x {height} pixels; each side needs {limits.min_side} (INTAKE_IMAGING__MIN_SIDE)",
        )
    if max(size) > limits.max_aspect * min(size):
        raise PhotoRefused(
            Reason.PHOTO_TOO_SMALL,
            f"it is too narrow: {width} x {height} pixels, more than {limits.max_aspect:g} to 1 (INTAKE_IMAGING__MAX_ASPECT)",
        )


def upright(rgb: RgbArray, orientation: int) -> RgbArray:
    """Undo an EXIF orientation (1..8; others are 1)."""
    mirror, turns = MIRROR_AND_TURNS.get(orientation, (False, 0))
    turned = np.rot90(rgb[:, ::-1] if mirror else rgb, turns)
    return np.ascontiguousarray(turned)


def _decode(data: bytes, kind: str, limits: Limits) -> Decoded:
    image, size = _open(data, kind, limits)
    orientation = _orientation(image, kind)
    nclx = image.info.get("nclx_profile")
    profile = image.info.get("icc_profile")
    image = on_white(_reduced(eight_bits(image), limits.target_side))
    image, doubts = to_srgb(image, profile, int(nclx["color_primaries"]) if isinstance(nclx, dict) else None)
    rgb = upright(_to_target(np.asarray(image), size, limits.target_side), orientation)
    found = quality.flags(
        quality.measure(rgb),
        blur_threshold=limits.blur_threshold,
        dark_threshold=limits.dark_threshold,
        overexposed_share=limits.overexposed_share,
    )
    return Decoded(rgb, size[::-1] if orientation in SIDEWAYS else size, kind, found + doubts)


def _open(data: bytes, kind: str, limits: Limits) -> tuple[Image.Image, Size]:
    """The decoded first picture, and its full size. The size is checked again: what the library found may not be what we found."""
    if kind == formats.HEIF:
        container = pillow_heif.open_heif(io.BytesIO(data))  # reads boxes only; decodes in to_pillow
        primary = container[container.primary_index]
        check_size(primary.size, limits)
        decoded: Image.Image = primary.to_pillow()
        return decoded, decoded.size
    image = Image.open(io.BytesIO(data), formats=(kind,))
    size = image.size
    check_size(size, limits)
    if kind == formats.JPEG:
        # The DCT gives 1/2, 1/4 or 1/8 of the size for less work: the smallest that is not below the target.
        shorter = min(size)
        if shorter > limits.target_side:
            image.draft(None, (size[0] * limits.target_side // shorter, size[1] * limits.target_side // shorter))
    image.load()
    return image, size


def _orientation(image: Image.Image, kind: str) -> int:
    if kind == formats.HEIF:
        return 1  # libheif has applied the container's own rotation and mirror; HEIF's EXIF orientation is informative only
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  broken metadata is no reason to refuse a photo, and Pillow raises nearly everything on it
        return 1
    return value if isinstance(value, int) and value in MIRROR_AND_TURNS else 1


def _reduced(image: Image.Image, target_side: int) -> Image.Image:
    """By a whole factor, as the DCT does for JPEG, so that later steps are cheap; alpha is premultiplied meanwhile."""
    factor = min(image.size) // target_side
    return image.reduce(factor) if factor > 1 else image


def _to_target(rgb: RgbArray, size: Size, target_side: int) -> RgbArray:
    """The rest of the way, by area, so that sharpness is measured at one scale and formats do not differ.

    The shape follows from the photo's full `size`, not from what the first reduction rounded it to.
    """
    if min(rgb.shape[:2]) <= target_side:
        return rgb
    width, height = (round(side * target_side / min(size)) for side in size)
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
