from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from tests.infra.needs import require
from worker.simulate.garments import garment, studio_photo
from worker.simulate.studio import cut_out_studio


def overlap(
    found: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], true: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> float:
    a, b = found > 127, true > 127
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_drawn_garments_are_cut_out_of_their_studio_photos() -> None:
    overlaps = [
        overlap(cut_out_studio(photo.rgb), photo.mask) for photo in (studio_photo(garment(s), side=384) for s in range(40))
    ]
    assert np.median(overlaps) > 0.97
    assert np.mean(np.array(overlaps) > 0.9) >= 0.9


def test_a_plain_ground_holds_nothing() -> None:
    assert cut_out_studio(np.full((200, 150, 3), 250, dtype=np.uint8)).max() == 0


@pytest.mark.parametrize("ground", [255, 244, 225])
def test_the_ground_need_not_be_pure_white(ground: int) -> None:
    rgb = np.full((200, 200, 3), ground, dtype=np.uint8)
    rgb[50:150, 60:140] = (30, 60, 120)
    mask = cut_out_studio(rgb)
    true = np.zeros((200, 200), dtype=np.uint8)
    true[50:150, 60:140] = 255
    assert overlap(mask, true) > 0.95


def test_a_soft_shadow_belongs_to_the_ground() -> None:
    rgb = np.full((240, 240, 3), 255, dtype=np.float32)
    shadow = np.zeros((240, 240), dtype=np.float32)
    shadow[150:200, 60:180] = 1
    rgb -= (cv2.GaussianBlur(shadow, (0, 0), 16) * 22)[..., None]
    rgb[60:160, 70:170] = (150, 30, 40)
    true = np.zeros((240, 240), dtype=np.uint8)
    true[60:160, 70:170] = 255
    assert overlap(cut_out_studio(rgb.astype(np.uint8)), true) > 0.93


def test_a_gap_between_arm_and_body_stays_open() -> None:
    rgb = np.full((200, 200, 3), 255, dtype=np.uint8)
    rgb[40:160, 40:160] = (20, 120, 60)
    rgb[80:130, 60:90] = 255
    mask = cut_out_studio(rgb)
    assert mask[105, 75] == 0
    assert mask[60, 100] == 255


def test_dust_is_no_garment() -> None:
    rgb = np.full((300, 300, 3), 255, dtype=np.uint8)
    rgb[60:240, 80:220] = (20, 30, 90)
    rgb[10:14, 10:14] = 0
    assert cut_out_studio(rgb)[5:20, 5:20].max() == 0


@pytest.mark.photos
def test_real_studio_photos_are_cut_out() -> None:
    root = Path(os.environ.get("INTAKE_DATASETS", Path(__file__).parents[2].parent / "shared" / "datasets"))
    archive = root / "luma" / "images.zip"
    require(archive.exists(), "the shared photos (INTAKE_DATASETS)")
    covered = []
    with ZipFile(archive) as photos:
        names = sorted(name for name in photos.namelist() if name.endswith(("_main.jpg", "_back.jpg")))[::12]
        for name in names:
            bgr = cv2.imdecode(np.frombuffer(photos.read(name), np.uint8), cv2.IMREAD_COLOR)
            assert bgr is not None
            mask = cut_out_studio(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8))
            covered.append(float((mask > 127).mean()))
            corners = [mask[0, 0], mask[0, -1]]
            assert max(corners) == 0, name
    assert len(covered) >= 10
    assert 0.15 < np.median(covered) < 0.7
    assert min(covered) > 0.02
