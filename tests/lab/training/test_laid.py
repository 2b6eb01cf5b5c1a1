"""Shots of garments on other floors: the same every time, cut out anew, kept beside the photos they are of."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from tests.lab.training.test_crops import jpeg, write_data
from worker.lab.photo_sets import PhotoSet
from worker.lab.training.articles import group
from worker.lab.training.crop_photos import CropPhoto, listed
from worker.lab.training.crops import load_crops
from worker.lab.training.laid import QUALITY, SHAPE, Floors, laid_shot
from worker.vision.types import ByteArray

pytestmark = pytest.mark.lab
RED = (200, 30, 30)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data folders whose studio photos show a red thing before a white ground."""
    folder = write_data(tmp_path)
    for path in (folder / "venia").glob("*.jpg"):
        path.write_bytes(studio())
    return folder


def studio(left: int = 60) -> bytes:
    rgb = np.full((240, 200, 3), 253, np.uint8)
    rgb[40:200, left:140] = RED
    done, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return encoded.tobytes()


def pixels(data: bytes) -> ByteArray:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def ellipse(data: bytes) -> tuple[ByteArray, ByteArray]:
    rgb = pixels(data)
    height, width = rgb.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 4, height // 4), 0, 0, 360, 255, -1)
    return rgb, mask


def shot_of(photo: CropPhoto, content: bytes, data: Path) -> bytes | None:
    return laid_shot(photo, content, Floors(PhotoSet(data / "clothing")), ellipse)


DRESS = CropPhoto("venia", "vd01-ll_main", "Dress", "development", "vd01-ll", "vd01", "main", laid=1)


def test_a_shot_shows_the_garment_on_a_floor_and_is_the_same_every_time(data: Path) -> None:
    first, again, other = (shot_of(replace(DRESS, laid=number), studio(), data) for number in (1, 1, 2))
    assert first is not None
    assert other is not None
    assert first == again != other
    seen = pixels(first)
    assert seen.shape[:2] == SHAPE
    assert 0 < QUALITY <= 100
    red = (seen[..., 0] > 1.6 * seen[..., 1].astype(float)) & (seen[..., 0] > 1.6 * seen[..., 2].astype(float))
    assert 0.02 < red.mean() < 0.9


def test_a_studio_photo_is_cut_from_its_ground_and_a_phone_photo_by_the_segmenter(data: Path) -> None:
    asked: list[bytes] = []

    def masker(content: bytes) -> tuple[ByteArray, ByteArray]:
        asked.append(content)
        rgb, mask = ellipse(content)
        return rgb, np.zeros_like(mask)  # a segmenter that finds nothing

    floors = Floors(PhotoSet(data / "clothing"))
    assert laid_shot(DRESS, studio(), floors, masker) is not None
    phone = CropPhoto("clothing", "p3", "Dress", "development", sender=3, laid=1)
    assert laid_shot(phone, jpeg(43), floors, masker) is None
    assert shot_of(phone, jpeg(43), data) is not None
    assert len(asked) == 2


def test_a_close_up_has_no_outline_to_lay_anywhere(data: Path) -> None:
    full = np.full((200, 160, 3), RED, np.uint8)
    full[:3] = 253
    done, encoded = cv2.imencode(".jpg", full[..., ::-1])
    assert done
    assert shot_of(DRESS, encoded.tobytes(), data) is None


def test_floors_are_of_senders_that_models_learn_from(data: Path) -> None:
    phones = PhotoSet(data / "clothing")
    floors = Floors(phones)
    names = {photo.name for photo in listed(phones, "clothing") if photo.part == "development"}
    assert set(floors._names) == names
    assert 0 < len(names) < 11
    assert floors.draw(np.random.default_rng(1)).shape[:2] == SHAPE


def test_shots_stand_beside_the_photos_they_are_of_and_catalogue_views_stay_first(data: Path, tmp_path: Path) -> None:
    crops = load_crops(data, 48, "development", laid=2, segmenter="none", folder=tmp_path / "cache")
    plain = load_crops(data, 48, "development", segmenter="none", folder=tmp_path / "cache")
    assert plain.digest != crops.digest
    assert [photo for photo in crops.photos if not photo.laid] == list(plain.photos)
    kinds = Counter((photo.source, photo.laid) for photo in crops.photos)
    assert kinds["venia", 1] == kinds["venia", 2] > 0
    articles = group(crops)
    assert articles.provenance["laid"] == sum(photo.laid > 0 for photo in crops.photos)
    for article in articles.articles:
        rows = [crops.photos[row] for row in article.photos]
        assert rows[0].laid == 0
        assert {photo.instance for photo in rows} == {article.name}


def test_every_other_shot_is_cut_out_by_its_category() -> None:
    assert [replace(DRESS, laid=number).by_category for number in range(4)] == [False, True, False, True]


def test_a_second_start_reads_the_shots_from_disk(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_crops(data, 48, "development", laid=1, segmenter="none", folder=tmp_path / "cache")
    monkeypatch.setattr("worker.lab.training.laid.laid_shot", None)  # called again, it would break
    second = load_crops(data, 48, "development", laid=1, segmenter="none", folder=tmp_path / "cache")
    assert first.digest == second.digest
    assert np.array_equal(first.rgb, second.rgb)
