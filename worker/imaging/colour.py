"""Every colour model a photo may come in, to sRGB of 8 bits: training and serving see the same pixels because both come through here."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

# The profile, or the lack of one, leaves the colours in doubt: two colourways are two articles, so a person should know.
COLOURS_UNCERTAIN = "photo-colours-uncertain"

# Printers' profiles reach some MB; cameras' have a few KB. Larger ones are not read.
MAX_PROFILE_BYTES = 8_000_000
WHITE = 255
# HEIF colour primaries (ITU-T H.273) that are sRGB's, or unspecified.
SRGB_PRIMARIES = frozenset({0, 1, 2})


def eight_bits(image: Image.Image) -> Image.Image:
    """`image` in one of the modes L, RGB, CMYK, RGBA or LA, 8 bits a channel. 16 bits are scaled by 255/65535, not cut."""
    mode = image.mode
    if mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        # The libraries give 16-bit greys as I;16 or, older, as 32-bit I: the range is 0..65535 in both.
        return Image.fromarray(((np.clip(wide, 0, 65535) * 255 + 32767) // 65535).astype(np.uint8))
    transparent = "transparency" in image.info
    if transparent and mode in {"P", "L", "RGB", "1"}:
        return image.convert("RGBA")
    if mode in {"L", "RGB", "CMYK", "RGBA", "LA"}:
        return image
    if mode == "1":
        return image.convert("L")
    if mode in {"PA", "La", "RGBa"}:
        return image.convert("RGBA")
    return image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    """Alpha laid on white: LA becomes L, RGBA becomes RGB; others are given back as they are."""
    if image.mode not in {"LA", "RGBA"}:
        return image
    opaque = image.mode[:-1]
    ground = Image.new(opaque, image.size, (WHITE,) * len(opaque) if len(opaque) > 1 else WHITE)
    ground.paste(image.convert(opaque), mask=image.getchannel("A"))
    return ground


def to_srgb(image: Image.Image, profile: bytes | None, primaries: int | None = None) -> tuple[Image.Image, tuple[str, ...]]:
    """`image` (L, RGB or CMYK) as sRGB in mode RGB, and flags.

    Args:
        image: without alpha.
        profile: embedded ICC profile; one that cannot be used is ignored and flagged.
        primaries: H.273 colour primaries, where the file names them instead of a profile.
    """
    if profile and len(profile) <= MAX_PROFILE_BYTES:
        try:
            return _by_profile(image, profile), ()
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image.convert("RGB"), (COLOURS_UNCERTAIN,)
    in_doubt = bool(profile) or image.mode == "CMYK" or (primaries is not None and primaries not in SRGB_PRIMARIES)
    return image.convert("RGB"), (COLOURS_UNCERTAIN,) if in_doubt else ()


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space == "GRAY" and image.mode == "RGB":
        image = image.convert("L")
    elif space == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if image.mode == "RGB" and (source.profile.profile_description or "").startswith("sRGB"):
        return image
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    if converted is None:
        raise ImageCms.PyCMSError("no transform")
    return converted
