"""Flags for people, and pictures stored for them."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from tests.imaging.pictures import RgbArray, encoded, photo, smooth
from worker.imaging import quality
from worker.imaging.decode import decode_photo, encode_jpeg
from worker.settings.imaging import ImagingSettings

SETTINGS = ImagingSettings()


def textured(seed: int = 0) -> RgbArray:
    """A drawn garment: a weave, sharp edges, middling light."""
    noise = np.random.default_rng(seed).integers(-40, 41, (480, 400, 1))
    picture = np.clip(smooth(400, 480, seed).astype(int) * 0.6 + 50 + noise, 0, 255)
    return picture.astype(np.uint8)


def flags_of(picture: RgbArray) -> tuple[str, ...]:
    return decode_photo(photo(encoded(picture, "PNG")), SETTINGS).flags


def test_a_sharp_well_lit_photo_has_no_flags() -> None:
    assert flags_of(textured()) == ()


def test_a_blurred_photo_is_flagged() -> None:
    assert flags_of(np.asarray(cv2.GaussianBlur(textured(), (0, 0), 8), np.uint8)) == (quality.BLURRED,)


def test_a_photo_in_the_dark_is_flagged_and_a_black_garment_with_a_light_spot_is_not() -> None:
    dark = (textured() * 0.2).astype(np.uint8)
    assert quality.DARK in flags_of(dark)
    dark[200:280, 180:220] = 180
    assert quality.DARK not in flags_of(dark)


def test_a_blown_out_photo_is_flagged_and_a_garment_on_white_is_not() -> None:
    assert quality.OVEREXPOSED in flags_of(np.clip(textured().astype(int) * 4, 0, 255).astype(np.uint8))
    studio = np.full((480, 400, 3), 255, np.uint8)
    studio[100:400, 120:280] = textured()[100:400, 120:280]
    assert quality.OVEREXPOSED not in flags_of(studio)


def test_sharpness_is_measured_at_one_scale() -> None:
    large = np.asarray(cv2.resize(textured(), (1600, 1920), interpolation=cv2.INTER_CUBIC), np.uint8)
    small = np.asarray(cv2.resize(large, (640, 768), interpolation=cv2.INTER_AREA), np.uint8)
    one = quality.measure(decode_photo(photo(encoded(large, "PNG", compress_level=1)), SETTINGS).rgb).sharpness
    assert 0.5 < one / quality.measure(small).sharpness < 2
    assert quality.measure(large).sharpness < one / 4  # at its own scale, the same photo would count as far less sharp


def test_thresholds_are_settings() -> None:
    measured = quality.Quality(sharpness=30, highlights=100, shadows=140, clipped=0.4)
    assert quality.flags(measured, blur_threshold=20, dark_threshold=60, overexposed_share=0.5) == ()
    assert quality.flags(measured, blur_threshold=31, dark_threshold=101, overexposed_share=0.4) == (
        quality.BLURRED,
        quality.DARK,
        quality.OVEREXPOSED,
    )


def test_a_stored_picture_is_a_plain_jpeg_and_the_same_every_time() -> None:
    picture = textured()
    data = encode_jpeg(picture)
    assert data == encode_jpeg(picture.copy())
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size, image.info.get("exif")) == ("JPEG", (400, 480), None)
    assert np.abs(np.asarray(Image.open(io.BytesIO(encode_jpeg(smooth(64, 48), 95)))).astype(int) - smooth(64, 48)).mean() < 3
    assert len(encode_jpeg(picture, 50)) < len(data)
    assert encode_jpeg(picture[:, ::-1]) != data  # a view, not contiguous
