"""Every kind of photo becomes the same upright sRGB pixels."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from tests.imaging.pictures import BLUE, GREEN, LIMITS, RED, YELLOW, corner_colours, corners, encoded, exif_with, smooth
from worker.errors import PhotoRefused, Reason
from worker.imaging import formats
from worker.imaging.codec import decode_bytes
from worker.imaging.colour import COLOURS_UNCERTAIN

UPRIGHT = [RED, GREEN, BLUE, YELLOW]
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("JPEG", "jpeg", {"quality": 95}),
    ("PNG", "png", {}),
    ("WEBP", "webp", {"quality": 95}),
    ("WEBP", "webp", {"lossless": True}),
    ("HEIF", "heif", {"quality": 95}),
    ("AVIF", "avif", {"quality": 95}),
]


def refusal(data: bytes, **limits: Any) -> PhotoRefused:
    with pytest.raises(PhotoRefused) as caught:
        decode_bytes(data, replace(LIMITS, **limits))
    return caught.value


@pytest.mark.parametrize(("kind", "name", "options"), KINDS)
def test_every_format_gives_its_pixels_and_name(kind: str, name: str, options: dict[str, Any]) -> None:
    decoded = decode_bytes(encoded(corners(), kind, **options), LIMITS)
    assert decoded.format == name
    assert decoded.original_size == (96, 64)
    assert decoded.rgb.shape == (64, 96, 3)
    assert decoded.rgb.dtype == np.uint8
    assert decoded.rgb.flags.c_contiguous
    assert corner_colours(decoded.rgb) == UPRIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_every_orientation_of_every_format_comes_out_upright(kind: str, orientation: int) -> None:
    stored = Image.fromarray(corners())
    exif = exif_with(orientation)
    if kind == "HEIF":  # its encoder writes the container's own rotation and mirror from the picture's EXIF
        stored.info["exif"] = exif.tobytes()
        data = encoded(stored, kind, quality=95)
    else:
        data = encoded(stored, kind, exif=exif, quality=95)
    expected = Image.fromarray(corners())
    expected.getexif()[0x0112] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(expected))
    decoded = decode_bytes(data, LIMITS)
    assert decoded.rgb.shape == wanted.shape
    assert decoded.original_size == wanted.shape[1::-1]
    assert corner_colours(decoded.rgb) == corner_colours(wanted)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_is_none_leaves_the_photo_as_it_is(orientation: int) -> None:
    decoded = decode_bytes(encoded(corners(), "JPEG", exif=exif_with(orientation)), LIMITS)
    assert corner_colours(decoded.rgb) == UPRIGHT


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff",
    ],
)
def test_broken_exif_costs_nothing(exif: bytes) -> None:
    assert corner_colours(decode_bytes(encoded(corners(), "JPEG", exif=exif), LIMITS).rgb) == UPRIGHT


@pytest.mark.parametrize(("kind", "name", "options"), KINDS)
def test_a_large_photo_is_reduced_to_exactly_the_target_and_formats_agree(kind: str, name: str, options: dict[str, Any]) -> None:
    options = {"method": 1} | options if kind == "WEBP" else {"speed": 9} | options if kind == "AVIF" else options
    decoded = decode_bytes(encoded(smooth(750, 550), kind, **options), replace(LIMITS, target_side=128))
    reference = decode_bytes(encoded(smooth(750, 550), "PNG"), replace(LIMITS, target_side=128))
    assert decoded.rgb.shape == (128, 175, 3)
    assert decoded.original_size == (750, 550)
    assert np.abs(decoded.rgb.astype(int) - reference.rgb).mean() < 3


@pytest.mark.parametrize("size", [(640, 640), (641, 640), (1279, 1281), (1280, 1280), (1000, 650), (700, 3000), (5119, 641)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_photo_is_reduced_below_the_target_nor_enlarged(kind: str, size: tuple[int, int]) -> None:
    options = {"compress_level": 1} if kind == "PNG" else {}
    rgb = decode_bytes(encoded(smooth(*size), kind, **options), LIMITS).rgb
    assert min(rgb.shape[:2]) == 640
    assert abs(rgb.shape[1] / rgb.shape[0] - size[0] / size[1]) < 0.01 * size[0] / size[1]
    small = decode_bytes(encoded(smooth(100, 80), kind), LIMITS).rgb
    assert small.shape == (80, 100, 3)


def test_the_same_bytes_give_the_same_pixels() -> None:
    data = encoded(smooth(1500, 1100), "JPEG")
    assert np.array_equal(decode_bytes(data, LIMITS).rgb, decode_bytes(data, LIMITS).rgb)


def test_grey_palette_and_bilevel_become_rgb() -> None:
    grey = Image.fromarray(np.full((64, 64), 77, np.uint8))
    assert np.array_equal(decode_bytes(encoded(grey, "PNG"), LIMITS).rgb, np.full((64, 64, 3), 77))
    palette = Image.fromarray(corners()).quantize(8)
    assert corner_colours(decode_bytes(encoded(palette, "PNG"), LIMITS).rgb) == UPRIGHT
    bilevel = Image.new("1", (64, 64), 1)
    assert decode_bytes(encoded(bilevel, "PNG"), LIMITS).rgb.min() == 255


def test_sixteen_bits_are_scaled_and_not_cut() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(64, 0)
    decoded = decode_bytes(encoded(Image.fromarray(ramp), "PNG"), LIMITS).rgb
    assert np.abs(decoded[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    import cv2

    colour = (corners().astype(np.uint16) * 257)[..., ::-1]
    wide = cv2.imencode(".png", colour)[1].tobytes()
    assert corner_colours(decode_bytes(wide, LIMITS).rgb) == UPRIGHT


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "AVIF"])
def test_what_is_transparent_is_white(kind: str) -> None:
    rgba = np.dstack([corners(), np.full((64, 96), 255, np.uint8)])
    rgba[:, :48, 3] = 0
    rgba[:32, :48, :3] = 0  # black behind full transparency must not shine through
    rgb = decode_bytes(encoded(Image.fromarray(rgba), kind, quality=95), LIMITS).rgb
    assert rgb[:, :40].min() >= 250
    assert rgb[50, 80].tolist() != [255, 255, 255]


def test_half_transparent_is_half_white_also_when_reduced() -> None:
    rgba = np.zeros((400, 400, 4), np.uint8)
    rgba[..., 3] = 128
    for limits in (LIMITS, replace(LIMITS, target_side=64)):
        rgb = decode_bytes(encoded(Image.fromarray(rgba), "PNG"), limits).rgb
        assert np.abs(rgb.astype(int) - 127).max() <= 1
    grey = Image.merge("LA", [Image.new("L", (64, 64), 0), Image.new("L", (64, 64), 128)])
    assert np.abs(decode_bytes(encoded(grey, "PNG"), LIMITS).rgb.astype(int) - 127).max() <= 1


def test_a_transparent_colour_of_a_palette_or_of_rgb_is_white() -> None:
    palette = Image.fromarray(corners()).quantize(4)
    index = palette.getpixel((5, 5))
    keyed = decode_bytes(encoded(palette, "PNG", transparency=index), LIMITS).rgb
    assert keyed[5, 5].tolist() == [255, 255, 255]
    assert keyed[60, 90].tolist() != [255, 255, 255]
    plain = decode_bytes(encoded(corners(), "PNG", transparency=RED), LIMITS).rgb
    assert plain[5, 5].tolist() == [255, 255, 255]


def test_cmyk_comes_out_in_its_colours_and_is_flagged_without_a_profile() -> None:
    cmyk = Image.fromarray(corners()).convert("CMYK")
    decoded = decode_bytes(encoded(cmyk, "JPEG", quality=95), LIMITS)
    assert corner_colours(decoded.rgb) == UPRIGHT
    assert COLOURS_UNCERTAIN in decoded.flags


def linear_gamma_profile() -> bytes:
    """A grey profile whose curve is not sRGB's: middle grey must change."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def swapped_primaries_profile() -> bytes:
    """sRGB's profile with the red and blue primaries exchanged: pixels through it must exchange red and blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for index in range(int.from_bytes(profile[128:132], "big")):
        at = 132 + 12 * index
        tags[bytes(profile[at : at + 4])] = at
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = profile[blue : blue + 4], profile[red : red + 4]
    description = tags[b"desc"]
    start = int.from_bytes(profile[description + 4 : description + 8], "big")
    size = int.from_bytes(profile[description + 8 : description + 12], "big")
    text = bytes(profile[start : start + size]).replace(b"\0s\0R\0G\0B", b"\0t\0e\0s\0t").replace(b"sRGB", b"test")
    profile[start : start + size] = text
    return bytes(profile)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_an_embedded_profile_is_followed(kind: str) -> None:
    decoded = decode_bytes(encoded(corners(), kind, icc_profile=swapped_primaries_profile(), quality=95), LIMITS)
    red, blue = decoded.rgb[10, 10].astype(int), decoded.rgb[54, 10].astype(int)
    assert red[2] > 150 > red[0]
    assert blue[0] > 150 > blue[2]
    assert COLOURS_UNCERTAIN not in decoded.flags


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_profile = decode_bytes(encoded(corners(), "PNG", icc_profile=profile), LIMITS)
    assert np.array_equal(with_profile.rgb, corners())
    assert with_profile.flags == decode_bytes(encoded(corners(), "PNG"), LIMITS).flags


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 128, lab_profile(), linear_gamma_profile()[:200]])
def test_a_profile_that_cannot_be_used_is_ignored_and_flagged(profile: bytes) -> None:
    decoded = decode_bytes(encoded(corners(), "PNG", icc_profile=profile), LIMITS)
    assert corner_colours(decoded.rgb) == UPRIGHT
    assert COLOURS_UNCERTAIN in decoded.flags


def test_of_an_animation_the_first_picture_counts() -> None:
    others = [Image.fromarray(corners()[::-1].copy()) for _ in range(3)]
    for kind in ("PNG", "WEBP", "AVIF"):
        data = encoded(corners(), kind, save_all=True, append_images=others, duration=100, quality=90)
        assert corner_colours(decode_bytes(data, LIMITS).rgb) == UPRIGHT


def test_of_a_multi_picture_jpeg_the_first_picture_counts() -> None:
    data = encoded(corners(), "MPO", save_all=True, append_images=[Image.fromarray(corners()[::-1].copy())])
    decoded = decode_bytes(data, LIMITS)
    assert corner_colours(decoded.rgb) == UPRIGHT
    assert decoded.format == "jpeg"


def test_a_name_means_nothing_and_content_everything() -> None:
    assert refusal(b"<!DOCTYPE html><html></html>").reason is Reason.PHOTO_FORMAT
    assert "HTML" in str(refusal(b"  \n<html>"))
    assert "PDF" in str(refusal(b"%PDF-1.7 ..."))
    assert "GIF" in str(refusal(encoded(corners(), "GIF")))
    assert "TIFF" in str(refusal(encoded(corners(), "TIFF")))
    assert "video" in str(refusal(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"))
    assert refusal(b"").reason is Reason.PHOTO_EMPTY


@pytest.mark.parametrize(("kind", "name", "options"), KINDS)
def test_limits_hold_before_anything_is_decoded(
    kind: str, name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(smooth(300, 200), kind, **options)
    narrow = encoded(smooth(800, 36), kind, **options)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("pillow_heif.HeifImage.to_pillow", lambda self: pytest.fail("decoded"))
    assert refusal(data, max_pixels=59_999).reason is Reason.PHOTO_TOO_MANY_PIXELS
    assert refusal(data, min_side=201).reason is Reason.PHOTO_TOO_SMALL
    assert "too narrow" in str(refusal(narrow))


def test_a_photo_at_each_limit_is_decoded() -> None:
    data = encoded(smooth(300, 200), "PNG")
    assert decode_bytes(data, replace(LIMITS, max_pixels=60_000, min_side=200, max_aspect=1.5)).original_size == (300, 200)


def test_a_progressive_jpeg_is_read_and_one_of_endless_scans_is_not() -> None:
    data = encoded(smooth(300, 200), "JPEG", progressive=True)
    assert decode_bytes(data, LIMITS).original_size == (300, 200)
    start = data.index(b"\xff\xda")
    scan = data[start : data.index(b"\xff", start + 14)]
    bomb = data[:-2] + scan * 1000 + b"\xff\xd9"
    assert "scans" in str(refusal(bomb))


def test_what_follows_the_end_of_a_jpeg_is_not_counted_as_scans() -> None:
    motion_photo = encoded(smooth(300, 200), "JPEG", progressive=True) + b"\xff\xda\x00\x08" * 5000
    assert decode_bytes(motion_photo, LIMITS).original_size == (300, 200)


def test_many_jpeg_segments_end_the_search() -> None:
    data = encoded(smooth(64, 64), "JPEG")
    stuffed = data[:2] + b"\xff\xe1\x00\x02" * (formats.MAX_JPEG_SEGMENTS + 1) + data[2:]
    assert "segments" in str(refusal(stuffed))


def test_truncated_photos_are_corrupt() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
        data = encoded(smooth(300, 200), kind)
        assert refusal(data[: len(data) // 2]).reason is Reason.PHOTO_CORRUPT


def test_memory_that_runs_out_is_told_apart_from_a_corrupt_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    data = encoded(corners(), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_memory)
    assert refusal(data).reason is Reason.PHOTO_DECODER_CRASHED


def test_a_grey_profile_on_a_colour_photo_and_the_other_way_round_do_no_harm() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = Image.fromarray(np.full((64, 64), 77, np.uint8))
    assert decode_bytes(encoded(grey, "PNG", icc_profile=srgb), LIMITS).rgb[0, 0].tolist() == [77, 77, 77]


def test_jpeg_scales_agree_with_the_full_picture() -> None:
    full = np.asarray(Image.open(io.BytesIO(encoded(smooth(1600, 1200), "JPEG", quality=95))))
    for target in (600, 300, 150, 149, 151):
        rgb = decode_bytes(encoded(smooth(1600, 1200), "JPEG", quality=95), replace(LIMITS, target_side=target)).rgb
        import cv2

        wanted = cv2.resize(full, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_AREA)
        assert np.abs(rgb.astype(int) - wanted).mean() < 2
