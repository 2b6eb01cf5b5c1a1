"""Real phone snapshots, and photos as large as the limits allow."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.imaging.pictures import encoded, photo, smooth
from tests.infra.needs import require
from worker.imaging.decode import InProcessDecoder
from worker.imaging.decoder_pool import DecoderPool
from worker.imaging.quality import BLURRED, DARK, OVEREXPOSED
from worker.imaging.types import Pixels
from worker.settings.imaging import ImagingSettings

COUNT = 200


def datasets() -> Path:
    return Path(os.environ.get("INTAKE_DATASETS") or Path(__file__).resolve().parents[3] / "shared" / "datasets")


def snapshots() -> list[bytes]:
    """The first photos by name: a fixed choice."""
    archive = datasets() / "clothing" / "images.zip"
    require(archive.exists(), "the clothing photos (INTAKE_DATASETS)")
    with zipfile.ZipFile(archive) as files:
        return [files.read(name) for name in sorted(files.namelist()) if name.endswith(".jpg")][:COUNT]


@pytest.mark.photos
def test_real_snapshots_decode_alike_in_both_decoders() -> None:
    photos = [photo(data) for data in snapshots()]
    pool = DecoderPool(ImagingSettings(decoder_processes=2))
    try:
        isolated = pool.decode(photos)
    finally:
        pool.close()
    for one, other, source in zip(isolated, InProcessDecoder(ImagingSettings()).decode(photos), photos, strict=True):
        assert isinstance(one, Pixels)
        assert isinstance(other, Pixels)
        assert np.array_equal(one.rgb, other.rgb)
        assert one.rgb.shape[1::-1] == one.original_size  # 400 pixels: smaller than the target, so left as they are
        assert source.data.startswith(b"\xff\xd8")


@pytest.mark.photos
def test_few_real_snapshots_are_flagged() -> None:
    answers = InProcessDecoder(ImagingSettings()).decode([photo(data) for data in snapshots()])
    flags = [flag for answer in answers if isinstance(answer, Pixels) for flag in answer.flags]
    assert flags.count(BLURRED) <= COUNT * 0.02
    assert flags.count(DARK) <= COUNT * 0.03
    assert flags.count(OVEREXPOSED) <= COUNT * 0.01


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is Linux's")
@pytest.mark.parametrize(
    "kind", ["JPEG", "JPEG-progressive", "JPEG-CMYK", "PNG", "PNG-RGBA", "WEBP", "WEBP-RGBA", "HEIF", "AVIF"]
)
def test_a_photo_as_large_as_allowed_decodes_within_memory_and_time(kind: str) -> None:
    # The limit is on elapsed time, which a machine that pauses takes more of: what is promised is asserted of processor time.
    settings = ImagingSettings(decoder_processes=1, decode_timeout_s=120)
    size = (8900, 6700)  # 59.6 of the 60 million pixels
    # One colour is quick to encode, and takes a decoder as much memory as any picture.
    picture = Image.new("RGB", size, (200, 120, 40)) if kind in {"HEIF", "AVIF"} else Image.fromarray(smooth(*size))
    if kind.endswith("RGBA"):
        picture.putalpha(200)
    if kind.endswith("CMYK"):
        picture = picture.convert("CMYK")
    options: dict[str, dict[str, Any]] = {
        "WEBP": {"method": 0},
        "AVIF": {"speed": 10},
        "HEIF": {"enc_params": {"preset": "ultrafast"}},
        "PNG": {"compress_level": 1},
    }
    name = kind.split("-", maxsplit=1)[0]
    data = encoded(picture, name, **options.get(name, {}), **({"progressive": True} if kind.endswith("progressive") else {}))
    pool = DecoderPool(settings)
    try:
        pool.decode([photo(encoded(Image.new("RGB", (400, 300)), "PNG"))])  # imports and first steps are not the photo's
        [decoder] = [psutil.Process(pid) for pid in pool.pids]
        begun = sum(decoder.cpu_times()[:2])
        [answer] = pool.decode([photo(data)])
        assert isinstance(answer, Pixels), answer
        assert sum(decoder.cpu_times()[:2]) - begun < ImagingSettings().decode_timeout_s
        assert answer.original_size == size
        assert min(answer.rgb.shape[:2]) == settings.target_side
    finally:
        pool.close()
