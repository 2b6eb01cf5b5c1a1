"""Photos that cannot be read: every way an upload goes wrong, and the dead-letter reasons that are right for each."""

from __future__ import annotations

import struct
import zlib
from enum import StrEnum

import cv2
import numpy as np

from worker.errors import Reason
from worker.simulate.arrays import Rng


class Spoiling(StrEnum):
    """How a photo's file is spoiled."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    NOISE = "noise"
    TEXT = "text"
    TINY = "tiny"
    BOMB = "bomb"


# Reasons a worker may rightly give. A cut-off JPEG may be noticed as a broken header or as a broken body.
RIGHT_REASONS: dict[Spoiling, tuple[Reason, ...]] = {
    Spoiling.EMPTY: (Reason.PHOTO_EMPTY,),
    Spoiling.TRUNCATED: (Reason.PHOTO_CORRUPT,),
    Spoiling.NOISE: (Reason.PHOTO_FORMAT, Reason.PHOTO_CORRUPT),
    Spoiling.TEXT: (Reason.PHOTO_FORMAT,),
    Spoiling.TINY: (Reason.PHOTO_TOO_SMALL,),
    Spoiling.BOMB: (Reason.PHOTO_TOO_MANY_PIXELS, Reason.PHOTO_CORRUPT),
}

# Of a truncated photo, this share of the bytes is left: past the header, before the end.
_LEFT = (0.2, 0.6)
_TINY_SIDE = 8
# Far more pixels than any phone takes, in a few bytes.
_BOMB_SIDE = 60_000


def spoiled(data: bytes, how: Spoiling, rng: Rng) -> bytes:
    """The photo `data` (a JPEG file), spoiled."""
    if how is Spoiling.EMPTY:
        return b""
    if how is Spoiling.TRUNCATED:
        return data[: max(64, int(len(data) * rng.uniform(*_LEFT)))]
    if how is Spoiling.NOISE:
        return rng.bytes(2048)
    if how is Spoiling.TEXT:
        return b"<html><body>502 Bad Gateway</body></html>\n"
    if how is Spoiling.TINY:
        pixels = rng.integers(0, 256, (_TINY_SIDE, _TINY_SIDE, 3), dtype=np.uint8)
        return cv2.imencode(".png", pixels)[1].tobytes()
    return _png_header_only(_BOMB_SIDE)


def _png_header_only(side: int) -> bytes:
    """A PNG that claims side x side pixels, with a body of a few bytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
