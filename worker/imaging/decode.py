"""The seam of decoding: one photo, or a batch, to `Pixels`; and back to JPEG for pictures that are stored."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.errors import PhotoRefused
from worker.imaging.codec import Decoded, Limits, decode_bytes
from worker.imaging.places import describe
from worker.imaging.types import Photo, Pixels
from worker.settings.imaging import ImagingSettings

# Of stored crops and overlays: beyond it files grow faster than what people see.
DEFAULT_JPEG_QUALITY = 90


class PhotoDecoder(Protocol):
    """Decodes photos; in this process or in others."""

    def decode(self, photos: Sequence[Photo]) -> list[Pixels | PhotoRefused]:
        """One answer for each photo, in order: its pixels, or why it was refused. Never raises for one photo."""

    def close(self) -> None:
        """Give back processes and memory."""


class InProcessDecoder:
    """`PhotoDecoder` in the calling thread: for the lab, the catalogue loader and tests. A crash of a codec ends this process."""

    def __init__(self, settings: ImagingSettings) -> None:
        self._settings = settings

    def decode(self, photos: Sequence[Photo]) -> list[Pixels | PhotoRefused]:
        """See `PhotoDecoder`."""
        answers: list[Pixels | PhotoRefused] = []
        for photo in photos:
            try:
                answers.append(decode_photo(photo, self._settings))
            except PhotoRefused as refusal:
                answers.append(refusal)
        return answers

    def close(self) -> None:
        """Nothing to give back."""


def make_decoder(settings: ImagingSettings) -> PhotoDecoder:
    """The decoder that `settings.isolation` asks for.

    Raises:
        ConfigurationError: decoder processes cannot be started.
    """
    if settings.isolation == "none":
        return InProcessDecoder(settings)
    from worker.imaging.decoder_pool import DecoderPool  # noqa: PLC0415  the pool imports this module

    return DecoderPool(settings)


def decode_photo(photo: Photo, settings: ImagingSettings) -> Pixels:
    """Decode one photo in this thread; raises `PhotoRefused` with the place in its message. See `codec.decode_bytes`."""
    try:
        return as_pixels(photo, decode_bytes(photo.data, limits_of(settings)))
    except PhotoRefused as refusal:
        raise refused(photo, refusal) from refusal


def limits_of(settings: ImagingSettings) -> Limits:
    """The part of the settings a decoder needs."""
    return Limits(
        max_pixels=settings.max_pixels,
        min_side=settings.min_side,
        max_aspect=settings.max_aspect,
        target_side=settings.target_side,
        blur_threshold=settings.blur_threshold,
        dark_threshold=settings.dark_threshold,
        overexposed_share=settings.overexposed_share,
    )


def as_pixels(photo: Photo, decoded: Decoded) -> Pixels:
    """What was decoded, with where it came from."""
    return Pixels(photo.location, decoded.rgb, decoded.original_size, decoded.format, decoded.flags)


def refused(photo: Photo, refusal: PhotoRefused) -> PhotoRefused:
    """`refusal` with the place in its message."""
    return PhotoRefused(refusal.reason, f"{describe(photo.location)}: {refusal}")


def encode_jpeg(rgb: npt.NDArray[np.uint8], quality: int = DEFAULT_JPEG_QUALITY) -> bytes:
    """(height, width, 3) uint8 sRGB as a JPEG without metadata; the same pixels give the same bytes."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(out, "JPEG", quality=quality, subsampling="4:2:0", optimize=False)
    return out.getvalue()
