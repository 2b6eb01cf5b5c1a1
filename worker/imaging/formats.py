"""What a photo is, by its content, and how large, by its header: before any decoder sees it.

Nothing here allocates by what the file says, and every loop is bounded, so it may run on anything.
"""

from __future__ import annotations

import re
import struct

from worker.errors import PhotoRefused, Reason

JPEG, PNG, WEBP, HEIF, AVIF = "jpeg", "png", "webp", "heif", "avif"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"})
MAX_FTYP_BYTES = 512  # a ftyp box lists a handful of brands of four bytes

# What people upload by mistake, so that the message names it.
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"<?xml", "XML"),
    (b"<svg", "an SVG"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)

# Start-of-frame markers: C0..CF but DHT (C4), JPG (C8) and DAC (CC).
SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE_MARKERS = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
STANDALONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
SOS, EOI = 0xDA, 0xD9
# A photo has some dozens of segments; metadata in 64 KB pieces makes some hundreds.
MAX_JPEG_SEGMENTS = 5_000
# Every scan of a progressive JPEG passes over the whole picture. Encoders write about ten; thousands are an attack on the clock.
MAX_JPEG_SCANS = 100
# The next marker in entropy-coded data: FF, but not a stuffed FF (00), a restart marker or a fill byte.
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

Size = tuple[int, int]


def sniff(data: bytes) -> str:
    """The format of `data` by content: one of JPEG, PNG, WEBP, HEIF, AVIF. The name or content type it came with never matters.

    Raises:
        PhotoRefused: PHOTO_EMPTY or PHOTO_FORMAT.
    """
    if not data:
        raise PhotoRefused(Reason.PHOTO_EMPTY, "it is empty: its upload failed; photograph the item again")
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(PNG_SIGNATURE):
        return PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        brands = _brands(data)
        if brands & AVIF_BRANDS:
            return AVIF
        if brands & HEIF_BRANDS:
            return HEIF
    raise PhotoRefused(Reason.PHOTO_FORMAT, f"it is {_guess(data)}, not a JPEG, PNG, WebP, HEIC or AVIF photo")


def header_size(data: bytes, kind: str) -> Size | None:
    """(width, height) as the header says, before orientation. None for HEIF and AVIF: their libraries read it without decoding.

    Raises:
        PhotoRefused: PHOTO_CORRUPT: there is no such header, or a JPEG with more scans than any camera writes.
    """
    try:
        if kind == JPEG:
            return _jpeg_size(data)
        if kind == PNG:
            return _png_size(data)
        if kind == WEBP:
            return _webp_size(data)
    except (struct.error, IndexError) as error:
        raise _corrupt("it ends within its header") from error
    return None


def _brands(data: bytes) -> set[bytes]:
    end = min(int.from_bytes(data[:4], "big"), len(data), MAX_FTYP_BYTES)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}


def _guess(data: bytes) -> str:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, name in OTHERS:
        if start.startswith(magic) or data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return "a video or an unknown kind of HEIF"
    return "no known picture format"


def _png_size(data: bytes) -> Size:
    if data[12:16] != b"IHDR":
        raise _corrupt("its header chunk is missing")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp_size(data: bytes) -> Size:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise _corrupt("its VP8 start code is missing")
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        if data[20] != 0x2F:
            raise _corrupt("its VP8L signature is missing")
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        if len(data) < 30:
            raise _corrupt("it ends within its header")
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    raise _corrupt("its first chunk is no picture")


def _jpeg_size(data: bytes) -> Size:
    at = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0:
            raise _corrupt("it ends before its frame header")
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker in STANDALONE_MARKERS or marker == 0:
            continue
        if marker in {SOS, EOI}:
            raise _corrupt("it has no frame header")
        (length,) = struct.unpack_from(">H", data, at)
        if marker in SOF_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 3)
            if marker in PROGRESSIVE_MARKERS:
                _check_scans(data, at + length)
            return width, height
        at += max(length, 2)
    raise _corrupt(f"it has more than {MAX_JPEG_SEGMENTS} segments before its frame header")


def _check_scans(data: bytes, at: int) -> None:
    """Refuse a progressive JPEG whose scans outnumber `MAX_JPEG_SCANS`. What follows its end (a video, a thumbnail) does not count."""
    scans = 0
    for _ in range(MAX_JPEG_SEGMENTS):
        found = MARKER_IN_SCAN.search(data, at)
        if found is None or data[found.start() + 1] == EOI:
            return
        at = found.end()
        if data[at - 1] == SOS:
            scans += 1
            if scans > MAX_JPEG_SCANS:
                raise _corrupt(f"it has more than {MAX_JPEG_SCANS} scans, which no camera writes")
        at += int.from_bytes(data[at : at + 2], "big")


def _corrupt(how: str) -> PhotoRefused:
    return PhotoRefused(Reason.PHOTO_CORRUPT, f"{how}; photograph the item again")
