"""A seeded corpus of hostile and odd files, each with what must become of it. Families are generated one by one; nothing is stored.

Three expectations: it decodes to a size; it is refused for one of some reasons; or either (damage that a tolerant codec may repair).
In no case may a decoder crash, run out of memory or time, or raise anything else.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from tests.imaging.pictures import corners, encoded, exif_with, smooth
from worker.errors import Reason

SEED = 20261121
WIDTH, HEIGHT = 120, 80
SIZE = (WIDTH, HEIGHT)

EMPTY = frozenset({Reason.PHOTO_EMPTY})
FORMAT = frozenset({Reason.PHOTO_FORMAT})
CORRUPT = frozenset({Reason.PHOTO_CORRUPT})
PIXELS = frozenset({Reason.PHOTO_TOO_MANY_PIXELS})
SMALL = frozenset({Reason.PHOTO_TOO_SMALL})
# What damage may lead to: a header that lies, a file no longer recognised, or data that do not decode.
DAMAGED = CORRUPT | FORMAT | PIXELS | SMALL


@dataclass(frozen=True, slots=True)
class Specimen:
    """One file. `size` set and `reasons` empty: must decode to it; `reasons` alone: must be refused; both empty is not possible."""

    name: str
    data: bytes
    size: tuple[int, int] | None = None
    reasons: frozenset[Reason] = frozenset()
    either: bool = False


# A thousand times the file: enough to tell a decoder that inflates it.
BOMB_BYTES = 1 << 26

Family = Callable[[random.Random], Iterator[Specimen]]


def accepted(name: str, data: bytes, size: tuple[int, int] = SIZE) -> Specimen:
    return Specimen(name, data, size)


def refused(name: str, data: bytes, reasons: frozenset[Reason]) -> Specimen:
    return Specimen(name, data, None, reasons)


def either(name: str, data: bytes, reasons: frozenset[Reason] = DAMAGED) -> Specimen:
    return Specimen(name, data, None, reasons, either=True)


@lru_cache
def sound_files() -> dict[str, bytes]:
    """One good file of each kind: what the damage is done to."""
    rgb = Image.fromarray(smooth(*SIZE))
    rgba = rgb.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(SIZE))
    frames = [Image.fromarray(smooth(*SIZE, seed=seed)) for seed in (1, 2)]
    wide = Image.fromarray((np.arange(WIDTH * HEIGHT, dtype=np.uint16) * 6).reshape(HEIGHT, WIDTH))
    return {
        "jpeg": encoded(rgb, "JPEG"),
        "jpeg-progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg-444": encoded(rgb, "JPEG", subsampling=0, quality=100),
        "jpeg-grey": encoded(rgb.convert("L"), "JPEG"),
        "jpeg-cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "jpeg-restart": encoded(rgb, "JPEG", restart_marker_blocks=4),
        "jpeg-exif": encoded(rgb, "JPEG", exif=exif_with(3)),
        "jpeg-mpo": encoded(rgb, "MPO", save_all=True, append_images=frames),
        "png": encoded(rgb, "PNG"),
        "png-rgba": encoded(rgba, "PNG"),
        "png-palette": encoded(rgb.quantize(32), "PNG"),
        "png-grey": encoded(rgb.convert("L"), "PNG"),
        "png-16": encoded(wide, "PNG"),
        "png-bilevel": encoded(rgb.convert("1"), "PNG"),
        "png-animated": encoded(rgb, "PNG", save_all=True, append_images=frames, duration=50),
        "webp": encoded(rgb, "WEBP"),
        "webp-lossless": encoded(rgb, "WEBP", lossless=True),
        "webp-alpha": encoded(rgba, "WEBP"),
        "webp-animated": encoded(rgb, "WEBP", save_all=True, append_images=frames, duration=50),
        "heif": encoded(rgb, "HEIF"),
        "heif-alpha": encoded(rgba, "HEIF"),
        "avif": encoded(rgb, "AVIF", speed=9),
        "avif-alpha": encoded(rgba, "AVIF", speed=9),
        "avif-animated": without_times(encoded(rgb, "AVIF", speed=9, save_all=True, append_images=frames)),
    }


def without_times(data: bytes) -> bytes:
    """An AVIF sequence notes when it was made; the corpus is the same whenever it is."""
    copy = bytearray(data)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(box) + 4
        length = 16 if data[at] == 1 else 8  # created and modified, of 64 or 32 bits by the box's version
        copy[at + 4 : at + 4 + length] = bytes(length)
    return bytes(copy)


def sound(_: random.Random) -> Iterator[Specimen]:
    """Good files of every kind, and every orientation of every format."""
    for name, data in sound_files().items():
        yield accepted(name, data)
    for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
        for orientation in range(1, 9):
            picture = Image.fromarray(corners(*SIZE))
            exif = exif_with(orientation)
            picture.info["exif"] = exif.tobytes()
            data = encoded(picture, kind) if kind == "HEIF" else encoded(picture, kind, exif=exif)
            yield accepted(f"{kind.lower()}-orientation-{orientation}", data, SIZE if orientation < 5 else SIZE[::-1])


def truncated(_: random.Random) -> Iterator[Specimen]:
    """Cut at every kind of place: in the signature, the headers, the data, and just before the end."""
    for name, data in sound_files().items():
        yield refused(f"{name}-cut-0", data[:0], EMPTY)
        for place in (1, 3, 8, 12, 16, 24, 40):
            yield refused(f"{name}-cut-{place}", data[:place], CORRUPT | FORMAT)
        # An animation or a second picture may lie behind the cut: then the first is whole.
        later = either if "animated" in name or "mpo" in name or "alpha" in name else refused
        for part in (25, 50):
            yield later(f"{name}-cut-{part}-percent", data[: len(data) * part // 100], CORRUPT | FORMAT)
        for place in (-len(data) // 10, -12, -4, -2, -1):
            yield either(f"{name}-without-last{place}", data[:place])


def flipped(chance: random.Random) -> Iterator[Specimen]:
    """Single bits, runs of bytes, and zeroed stretches."""
    for name, data in sound_files().items():
        for index in range(6):
            copy = bytearray(data)
            at = chance.randrange(len(copy) if index % 2 else min(len(copy), 200))
            copy[at] ^= 1 << chance.randrange(8)
            yield either(f"{name}-bit-{index}-at-{at}", bytes(copy))
        copy = bytearray(data)
        for at in chance.sample(range(12, len(copy)), 20):
            copy[at] = chance.randrange(256)
        yield either(f"{name}-bytes", bytes(copy))
        start = chance.randrange(12, len(data) - 20)
        yield either(f"{name}-zeroed", data[:start] + bytes(20) + data[start + 20 :])
        yield either(f"{name}-inserted", data[:start] + chance.randbytes(33) + data[start:])
        yield either(f"{name}-removed", data[:start] + data[start + 17 :])


def shuffled(chance: random.Random) -> Iterator[Specimen]:
    """Two files spliced, halves swapped, a file in itself."""
    files = sound_files()
    names = list(files)
    for index in range(20):
        one, other = chance.sample(names, 2)
        cut = chance.randrange(len(files[one]))
        yield either(
            f"spliced-{index}-{one}-{other}", files[one][:cut] + files[other][min(cut, len(files[other]) - 1) :], DAMAGED | EMPTY
        )
    for name, data in files.items():
        middle = len(data) // 2
        yield either(f"{name}-halves-swapped", data[middle:] + data[:middle])
        if not name.startswith(("heif", "avif")):
            yield either(f"{name}-twice", data + data)


def other_formats(chance: random.Random) -> Iterator[Specimen]:
    """Everything people and scanners upload under the name of a photo."""
    rgb = Image.fromarray(smooth(*SIZE))
    for kind in ("GIF", "TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "JPEG2000", "EPS", "SGI", "IM", "DDS"):
        yield refused(f"is-{kind.lower()}", encoded(rgb, kind), FORMAT)
    texts = {
        "pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>",
        "html": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "html-after-space": b"\r\n\r\n   <HTML>",
        "html-with-bom": b"\xef\xbb\xbf<html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='100' height='100'/>",
        "xml-bomb": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>",
        "json": b'{"error": "not found"}',
        "text": b"photo",
        "newline": b"\n",
        "zip": b"PK\x03\x04" + bytes(60),
        "gzip": b"\x1f\x8b\x08" + bytes(60),
        "elf": b"\x7fELF" + bytes(60),
        "php": b"<?php system($_GET['c']); ?>",
        "mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(60),
        "mov": b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(60),
        "jpeg-xl": b"\xff\x0a" + bytes(60),
        "riff-wave": b"RIFF\x00\x01\x00\x00WAVEfmt " + bytes(60),
        "wrong-magic-jpeg": b"\xff\xd9\xff" + encoded(rgb, "JPEG")[3:],
        "wrong-magic-png": b"\x89PNG\r\n\x1a\r" + encoded(rgb, "PNG")[8:],
        "png-with-unix-newlines": encoded(rgb, "PNG").replace(b"\r\n", b"\n"),
        "utf-16-jpeg": encoded(rgb, "JPEG").decode("latin-1").encode("utf-16"),
        "zeros": bytes(10_000),
        "ones": b"\xff" * 10_000,
    }
    for name, data in texts.items():
        yield refused(f"is-{name}", data, FORMAT | CORRUPT)
    for size in (1, 2, 11, 12, 100, 5000):
        yield refused(f"random-{size}", b"\x01" + chance.randbytes(size), FORMAT)
    for name, magic in {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF\xff\xff\x00\x00WEBP", "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "avif": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"}.items():  # fmt: skip
        for size in (0, 1, 20, 3000):
            yield refused(f"{name}-magic-then-random-{size}", magic + chance.randbytes(size), CORRUPT | PIXELS | SMALL)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(
    width: int, height: int, rows: bytes, *, before: bytes = b"", bits: int = 8, colour: int = 2, interlace: int = 0
) -> bytes:
    """A PNG that says what it is told to say."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


@lru_cache
def zeros_compressed(size: int) -> bytes:
    packer = zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(bytes(size & 0xFFFFF)), packer.flush()])


def bombs(_: random.Random) -> Iterator[Specimen]:
    """Small files that would be large pictures, or large anything."""
    yield refused("png-20000x20000", png_of(20_000, 20_000, zeros_compressed(1 << 24)), PIXELS)
    yield refused("png-2-to-the-31", png_of(2**31 - 1, 2**31 - 1, zeros_compressed(1000)), PIXELS)
    yield refused("png-2-to-the-32", png_of(2**32 - 1, 2**32 - 1, zeros_compressed(1000)), PIXELS)
    yield accepted("png-7000x7000-of-zeros", png_of(7000, 7000, zeros_compressed(7000 * (1 + 7000 * 3))), (7000, 7000))
    yield accepted(
        "png-7000x7000-rgba-16", png_of(7000, 7000, zeros_compressed(7000 * (1 + 7000 * 8)), bits=16, colour=6), (7000, 7000)
    )
    yield accepted(
        "png-7000x7000-interlaced", png_of(7000, 7000, zeros_compressed(2 * 7000 * (1 + 7000 * 3)), interlace=1), (7000, 7000)
    )
    yield refused("png-7000x7000-without-data", png_of(7000, 7000, zlib.compress(b"")), CORRUPT)
    small = zeros_compressed(64 * (1 + 64 * 3))
    yield either("png-text-bomb", png_of(64, 64, small, before=png_chunk(b"zTXt", b"Comment\0\0" + zeros_compressed(BOMB_BYTES))))
    yield either(
        "png-itxt-bomb", png_of(64, 64, small, before=png_chunk(b"iTXt", b"XML\0\1\0\0\0" + zeros_compressed(BOMB_BYTES)))
    )
    yield either("png-icc-bomb", png_of(64, 64, small, before=png_chunk(b"iCCP", b"icc\0\0" + zeros_compressed(BOMB_BYTES))))
    yield either("png-many-texts", png_of(64, 64, small, before=png_chunk(b"tEXt", b"a\0" + b"b" * 50) * 20_000))
    yield either("png-data-bomb", png_of(64, 64, zeros_compressed(BOMB_BYTES)))
    webp = bytearray(sound_files()["webp-lossless"])
    webp[21:25] = struct.pack("<I", 16382 | 16382 << 14 | struct.unpack_from("<I", webp, 21)[0] & 0xF000_0000)
    yield refused("webp-lossless-16383", bytes(webp), PIXELS)
    webp = bytearray(sound_files()["webp"])
    webp[26:30] = struct.pack("<HH", 16383, 16383)
    yield refused("webp-16383", bytes(webp), PIXELS)
    webp = bytearray(sound_files()["webp-animated"])
    webp[24:30] = b"\xff\xff\xff\xff\xff\xff"
    yield refused("webp-canvas-2-to-the-24", bytes(webp), PIXELS)
    webp[24:30] = (6999).to_bytes(3, "little") * 2
    yield either("webp-canvas-7000", bytes(webp))
    yield accepted(
        "webp-7000x7000",
        encoded(Image.new("RGB", (7000, 7000), (9, 99, 199)), "WEBP", lossless=True, quality=0, method=0),
        (7000, 7000),
    )
    for kind in ("heif", "avif"):
        for side in (7000, 30_000, 2**31 - 1):
            yield either(f"{kind}-says-{side}", with_ispe(sound_files()[kind], side, side))
    yield refused("gif-bomb", b"GIF89a\xff\xff\xff\xff" + bytes(100), FORMAT)
    for side in (65_500, 65_535):
        yield refused(f"jpeg-says-{side}", with_frame(sound_files()["jpeg"], side, side), PIXELS)
    yield either("jpeg-says-7000", with_frame(sound_files()["jpeg"], 7000, 7000))
    yield either("jpeg-progressive-says-7000", with_frame(sound_files()["jpeg-progressive"], 7000, 7000))
    yield refused("jpeg-scan-bomb", scan_bomb(1000), CORRUPT)
    yield either("jpeg-some-scans", scan_bomb(60))


def with_ispe(data: bytes, width: int, height: int) -> bytes:
    """An HEIF or AVIF file whose every image size property says something else."""
    copy, at = bytearray(data), 0
    while (at := data.find(b"ispe", at)) >= 0:
        copy[at + 8 : at + 16] = struct.pack(">II", width, height)
        at += 4
    return bytes(copy)


def frame_at(data: bytes) -> int:
    return min(at for at in (data.find(b"\xff\xc0\x00\x11"), data.find(b"\xff\xc2\x00\x11")) if at >= 0)


def with_frame(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header says something else."""
    at = frame_at(data)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def scan_bomb(times: int) -> bytes:
    data = encoded(smooth(1000, 1000), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff\xc4", start)
    return data[:-2] + data[start:end] * times + b"\xff\xd9"


def sizes(_: random.Random) -> Iterator[Specimen]:
    """At, below and beyond every limit of size and shape."""
    for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
        for width, height in ((1, 1), (1, 64), (64, 1), (1, 5000), (31, 31), (31, 640), (16, 16), (2, 2000)):
            if kind != "HEIF" or min(width, height) >= 16:  # its encoder makes none smaller
                yield refused(f"{kind.lower()}-{width}x{height}", encoded(smooth(width, height), kind), SMALL)
        for width, height in ((32, 32), (33, 47), (640, 32), (32, 640), (65, 65)):
            yield accepted(f"{kind.lower()}-{width}x{height}", encoded(smooth(width, height), kind), (width, height))
        yield refused(f"{kind.lower()}-too-narrow", encoded(smooth(32, 641), kind), SMALL)
    for width, height in ((0, 0), (0, 80), (120, 0)):
        yield refused(f"png-says-{width}x{height}", png_of(width, height, b""), CORRUPT)
        yield refused(f"jpeg-says-{width}x{height}", with_frame(sound_files()["jpeg"], width, height), CORRUPT)
    yield refused("jpeg-1x65535", with_frame(sound_files()["jpeg"], 1, 65_535), SMALL)
    for bits, colour in ((3, 2), (8, 5), (16, 3), (0, 0)):
        yield refused(f"png-{bits}-bits-colour-{colour}", png_of(64, 64, b"", bits=bits, colour=colour), CORRUPT)


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def metadata(chance: random.Random) -> Iterator[Specimen]:
    """Metadata that is huge, broken, endless or a lie."""
    jpeg, png = sound_files()["jpeg"], sound_files()["png"]
    tiff = b"II*\x00\x08\x00\x00\x00"
    entry = struct.pack("<HHI", 0x0112, 3, 1)
    exifs = {
        "empty": b"",
        "only-header": tiff,
        "looping": tiff + struct.pack("<H", 1) + entry + struct.pack("<HH", 6, 0) + struct.pack("<I", 8),
        "orientation-as-text": tiff + struct.pack("<H", 1) + struct.pack("<HHI", 0x0112, 2, 4) + b"6\0\0\0" + bytes(4),
        "orientation-as-rational": tiff + struct.pack("<H", 1) + struct.pack("<HHII", 0x0112, 5, 1, 26) + bytes(12),
        "orientation-of-many": tiff + struct.pack("<H", 1) + struct.pack("<HHII", 0x0112, 3, 2**30, 8) + bytes(4),
        "many-entries": tiff + struct.pack("<H", 65_535) + entry * 4,
        "far-offset": b"II*\x00\xff\xff\xff\xff",
        "big-tiff": b"II+\x00\x08\x00\x00\x00" + bytes(40),
        "random": chance.randbytes(500),
        "huge": tiff + bytes(65_000),
    }
    for name, exif in exifs.items():
        size = SIZE[::-1] if name == "looping" else SIZE  # its first entry is a true orientation
        yield accepted(f"exif-{name}", jpeg[:2] + segment(0xE1, b"Exif\0\0" + exif) + jpeg[2:], size)
        yield accepted(f"png-exif-{name}", png[:33] + png_chunk(b"eXIf", exif) + png[33:], size)
    yield accepted("exif-of-20-megabytes", jpeg[:2] + segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 320 + jpeg[2:])
    yield accepted("comments-of-20-megabytes", jpeg[:2] + segment(0xFE, b"c" * 65_000) * 320 + jpeg[2:])
    yield refused("segments-without-end", jpeg[:2] + segment(0xFE, b"") * 100_000 + jpeg[2:], CORRUPT)
    yield accepted(
        "xmp-broken", jpeg[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation='9'") + jpeg[2:]
    )
    yield accepted("iptc-broken", jpeg[:2] + segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff") + jpeg[2:])
    yield either("jfif-broken", jpeg[:2] + segment(0xE0, b"JFIF\0") + jpeg[2:])
    yield either("adobe-broken", jpeg[:2] + segment(0xEE, b"Adobe\0d") + jpeg[2:])
    yield either("mpf-broken", jpeg[:2] + segment(0xE2, b"MPF\0" + chance.randbytes(200)) + jpeg[2:])
    yield accepted("fill-bytes", jpeg[:2] + b"\xff" * 1000 + jpeg[2:])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {
        "broken": b"profile" * 40,
        "cut": srgb[: len(srgb) // 2],
        "says-4-gigabytes": b"\xff\xff\xff\xff" + srgb[4:],
        "many-tags": srgb[:128] + b"\xff\xff\xff\xff" + srgb[132:],
        "lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "bits-flipped": bytes(byte ^ (chance.random() < 0.02) * 255 for byte in srgb),
        "huge": srgb + bytes(12_000_000),
    }
    for name, profile in profiles.items():
        # Pillow takes a PNG's profile of more than a megabyte for a bomb.
        yield (either if name == "huge" else accepted)(f"icc-{name}", encoded(smooth(*SIZE), "PNG", icc_profile=profile))
        if len(profile) < 60_000:
            yield accepted(f"jpeg-icc-{name}", encoded(smooth(*SIZE), "JPEG", icc_profile=profile))
            yield accepted(f"webp-icc-{name}", encoded(smooth(*SIZE), "WEBP", icc_profile=profile))
            yield accepted(f"avif-icc-{name}", encoded(smooth(*SIZE), "AVIF", icc_profile=profile, speed=9))
    for number, total in ((0, 0), (1, 255), (9, 2), (255, 255)):
        chunk = segment(0xE2, b"ICC_PROFILE\0" + bytes([number, total]) + srgb[:300])
        yield either(f"icc-part-{number}-of-{total}", jpeg[:2] + chunk + jpeg[2:])


def polyglots(chance: random.Random) -> Iterator[Specimen]:
    """Photos that are something else too: decoded as the photos they are, the rest never looked at."""
    files = sound_files()
    tails = {
        "zip": b"PK\x03\x04" + chance.randbytes(300),
        "html": b"<script>alert(1)</script>",
        "php": b"<?php evil(); ?>",
        "jpeg": files["jpeg"],
    }
    for name, tail in tails.items():
        for kind in ("jpeg", "png", "webp"):
            yield accepted(f"{kind}-then-{name}", files[kind] + tail)
    yield accepted("jpeg-with-script-comment", files["jpeg"][:2] + segment(0xFE, b"*/=alert(1)/*") + files["jpeg"][2:])
    yield accepted("jpeg-with-pdf-comment", files["jpeg"][:2] + segment(0xFE, b"%PDF-1.7\n1 0 obj") + files["jpeg"][2:])
    yield accepted("png-with-html-text", files["png"][:33] + png_chunk(b"tEXt", b"c\0<html>") + files["png"][33:])
    yield refused("gif-then-jpeg", b"GIF89a" + files["jpeg"], FORMAT)
    yield refused("pdf-then-jpeg", b"%PDF-1.4\n" + files["jpeg"], FORMAT)
    yield refused("space-then-jpeg", b" " + files["jpeg"], FORMAT)
    yield either("avif-says-heic", files["avif"].replace(b"ftypavif", b"ftypheic", 1))
    yield either("heic-says-avif", files["heif"].replace(b"ftypheic", b"ftypavif", 1))


def structures(chance: random.Random) -> Iterator[Specimen]:
    """Files whose parts are in order but whose order is not: missing, doubled, contradicting parts, rare coding."""
    jpeg, png = sound_files()["jpeg"], sound_files()["png"]
    frame = frame_at(jpeg)
    for marker in (0xC1, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        yield either(f"jpeg-coding-{marker:x}", jpeg[: frame + 1] + bytes([marker]) + jpeg[frame + 2 :])
    for precision in (0, 1, 12, 16, 255):
        yield either(f"jpeg-{precision}-bits", jpeg[: frame + 4] + bytes([precision]) + jpeg[frame + 5 :])
    for parts in (0, 1, 2, 4, 255):
        yield either(f"jpeg-{parts}-components", jpeg[: frame + 9] + bytes([parts]) + jpeg[frame + 10 :])
    header = jpeg[frame : frame + 19]
    yield either("jpeg-two-frames", jpeg[:frame] + header + jpeg[frame:])
    yield either(
        "jpeg-two-frames-that-differ", jpeg[: frame + 19] + with_frame(jpeg, 9000, 6000)[frame : frame + 19] + jpeg[frame + 19 :]
    )
    yield either("jpeg-without-quantisation", without(jpeg, 0xDB))
    yield either("jpeg-without-huffman", without(jpeg, 0xC4))
    yield refused("jpeg-without-frame", without(jpeg, 0xC0), CORRUPT)
    yield refused("jpeg-only-start", b"\xff\xd8\xff\xd9", CORRUPT)
    yield refused("jpeg-headers-only", jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xd9", CORRUPT)
    for factor in (0x00, 0x44, 0xFF, 0x41):
        yield either(f"jpeg-sampling-{factor:02x}", jpeg[: frame + 11] + bytes([factor]) + jpeg[frame + 12 :])
    yield either("jpeg-restarts-everywhere", jpeg.replace(b"\xff\x00", b"\xff\xd0"))
    yield either(
        "jpeg-noise", jpeg[: jpeg.index(b"\xff\xda") + 14] + chance.randbytes(5000).replace(b"\xff", b"\xfe") + b"\xff\xd9"
    )
    chunks = list(png_chunks(png))
    yield refused("png-without-data", b"\x89PNG\r\n\x1a\n" + b"".join(c for c in chunks if c[4:8] != b"IDAT"), CORRUPT)
    yield either("png-without-end", b"\x89PNG\r\n\x1a\n" + b"".join(chunks[:-1]))
    yield either("png-header-twice", b"\x89PNG\r\n\x1a\n" + chunks[0] + b"".join(chunks))
    yield refused("png-data-first", b"\x89PNG\r\n\x1a\n" + b"".join(chunks[1:]), CORRUPT)
    yield either("png-wrong-checksum", png[:29] + b"\0\0\0\0" + png[33:])
    yield either("png-palette-missing", png_of(64, 64, zeros_compressed(64 * 65), colour=3))
    yield either(
        "png-palette-index-beyond",
        png_of(64, 64, zlib.compress((b"\0" + b"\xff" * 64) * 64), before=png_chunk(b"PLTE", bytes(3)), colour=3),
    )
    yield either("png-unknown-filter", png_of(64, 64, zlib.compress((b"\x09" + bytes(192)) * 64)))
    yield either("png-chunk-of-2-gigabytes", png[:33] + b"\x7f\xff\xff\xffIDAT" + png[41:])
    yield either("png-animation-says-4-billion", png[:33] + png_chunk(b"acTL", b"\xff" * 8) + png[33:])
    webp = sound_files()["webp"]
    yield either("webp-says-4-gigabytes", webp[:4] + b"\xff\xff\xff\xff" + webp[8:])
    yield either("webp-says-nothing", webp[:4] + b"\0\0\0\0" + webp[8:])
    yield refused("webp-unknown-chunk", webp[:12] + b"XXXX" + webp[16:], CORRUPT)
    for kind in ("heif", "avif"):
        data = sound_files()[kind]
        for box in (b"meta", b"iloc", b"iinf", b"iprp", b"ipco", b"ipma", b"pitm", b"mdat", b"hdlr"):
            if box in data:
                at = data.index(box)
                yield either(f"{kind}-without-{box.decode()}", data[:at] + b"free" + data[at + 4 :])
                yield either(f"{kind}-{box.decode()}-of-4-gigabytes", data[: at - 4] + b"\xff\xff\xff\xff" + data[at:])
                yield either(f"{kind}-{box.decode()}-of-nothing", data[: at - 4] + b"\0\0\0\0" + data[at:])


def without(jpeg: bytes, marker: int) -> bytes:
    """`jpeg` with every segment of `marker` before the scan cut out."""
    out, at = bytearray(jpeg[:2]), 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != marker:
            out += jpeg[at:end]
        at = end
    return bytes(out) + jpeg[at:]


def png_chunks(png: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        yield png[at:end]
        at = end


FAMILIES: dict[str, Family] = {
    "sound": sound,
    "truncated": truncated,
    "flipped": flipped,
    "shuffled": shuffled,
    "other-formats": other_formats,
    "bombs": bombs,
    "sizes": sizes,
    "metadata": metadata,
    "polyglots": polyglots,
    "structures": structures,
}


def specimens(family: str) -> Iterator[Specimen]:
    """The files of one family, the same in every run."""
    return FAMILIES[family](random.Random(f"{SEED}-{family}"))
