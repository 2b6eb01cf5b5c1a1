"""Crops of a data folder: what they are, that they are kept, and that the split goes by style and sender."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.lab.conftest import drawn
from tests.lab.training.leakage import assert_follows_the_rule, assert_held_apart
from worker.errors import ConfigurationError
from worker.events import PhotoLocation
from worker.imaging.decode import decode_photo
from worker.imaging.types import Photo
from worker.lab.training.crop_photos import SHOP_LABELS
from worker.lab.training.crops import Cutter, batches, load_crops
from worker.settings import load_settings
from worker.vision.crop import make_crop
from worker.vision.segmenters import mask_of
from worker.vision.types import ByteArray, Mask

SIDE = 48
STUDIO = {
    "luma": ("mh01-red_main", "mh01-red_back", "mh01-blue_main", "ms02-red_main", "mh02-red_main", "mh03-red_main", "mb01-red-0"),
    "venia": ("vd01-ll_main", "vd01-ll_alt", "vd02-ll_main", "vd03-ll_main"),
}


def jpeg(seed: int) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(drawn(seed), cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


def write_data(place: Path) -> Path:
    """One shop zipped, one unpacked, and phone photos of six senders."""
    folder = place / "data"
    for source in ("luma", "venia", "clothing"):
        (folder / source).mkdir(parents=True)
    with zipfile.ZipFile(folder / "luma" / "images.zip", "w") as file:
        for number, name in enumerate(STUDIO["luma"]):
            file.writestr(f"{name}.jpg", jpeg(number))
    for number, name in enumerate(STUDIO["venia"]):
        (folder / "venia" / f"{name}.jpg").write_bytes(jpeg(20 + number))
    with (folder / "clothing" / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "sender_id", "label", "kids"))
        for number in range(12):
            writer.writerow((f"p{number}", number % 6, "Skip" if number == 7 else "Dress", "False"))
            (folder / "clothing" / f"p{number}.jpg").write_bytes(jpeg(40 + number))
    return folder


def test_every_photo_of_a_garment_becomes_a_crop_with_its_facts(data: Path, tmp_path: Path) -> None:
    crops = load_crops(data, SIDE, segmenter="none", folder=tmp_path / "cache")
    assert crops.rgb.shape == (len(crops), SIDE, SIDE, 3)
    assert crops.mask.shape == (len(crops), SIDE, SIDE)
    assert crops.side == SIDE
    assert Counter(photo.source for photo in crops.photos) == {"luma": 7, "venia": 4, "clothing": 11}
    by_name = {photo.name: photo for photo in crops.photos}
    hoodie, dress = by_name["mh01-red_back"], by_name["p3"]
    assert (hoodie.article, hoodie.style, hoodie.view, hoodie.label, hoodie.sender) == ("mh01-red", "mh01", "back", "Hoodie", -1)
    assert (dress.article, dress.style, dress.view, dress.label, dress.sender) == ("", "", "", "Dress", 3)
    assert hoodie.instance == by_name["mh01-red_main"].instance != by_name["mh01-blue_main"].instance
    assert dress.instance != by_name["p9"].instance
    assert hoodie.origin == ("style", "luma/mh01")
    assert dress.origin == ("sender", "clothing/3")


def test_a_crop_is_the_one_the_worker_makes(data: Path, tmp_path: Path) -> None:
    crops = load_crops(data, SIDE, sources=("venia",), segmenter="grabcut", folder=tmp_path / "cache")
    row = next(row for row, photo in enumerate(crops.photos) if photo.name == "vd01-ll_alt")
    content = (data / "venia" / "vd01-ll_alt.jpg").read_bytes()
    settings = load_settings()
    pixels = decode_photo(Photo(PhotoLocation(bucket="lab", key="photo"), content), settings.imaging)
    cutter = Cutter("grabcut", settings, tmp_path / "other")
    try:
        rgb, mask, flags = cutter.crop(content, SIDE)
        alpha = cutter._cache.mask(cutter.key, hashlib.sha256(content).digest())
    finally:
        cutter.close()
    assert alpha is not None
    wanted = make_crop(pixels.rgb, mask_of(alpha[0]), SIDE)
    assert (crops.rgb[row] == wanted.rgb).all()
    assert (crops.mask[row] == wanted.mask).all()
    assert (rgb == wanted.rgb).all()
    assert (mask == wanted.mask).all()
    assert flags == wanted.flags == crops.photos[row].flags


def test_a_second_start_cuts_nothing_out_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_crops(data, SIDE, segmenter="none", folder=tmp_path / "cache")

    def never(*_: object) -> object:
        raise AssertionError("a photo was cut out again")

    monkeypatch.setattr(Cutter, "crop", never)
    again = load_crops(data, SIDE, segmenter="none", folder=tmp_path / "cache")
    assert again.digest == first.digest
    assert again.photos == first.photos
    assert (again.rgb == first.rgb).all()
    with pytest.raises(AssertionError, match="cut out again"):
        load_crops(data, SIDE + 16, segmenter="none", folder=tmp_path / "cache")


def test_a_changed_photo_is_cut_out_anew(data: Path, tmp_path: Path) -> None:
    first = load_crops(data, SIDE, sources=("venia",), segmenter="none", folder=tmp_path / "cache")
    (data / "venia" / "vd01-ll_alt.jpg").write_bytes(jpeg(99))
    second = load_crops(data, SIDE, sources=("venia",), segmenter="none", folder=tmp_path / "cache")
    assert second.digest != first.digest
    changed = [photo.name for photo, a, b in zip(first.photos, first.rgb, second.rgb, strict=True) if (a != b).any()]
    assert changed == ["vd01-ll_alt"]


def test_writing_into_a_crop_leaves_the_cache_as_it_was(data: Path, tmp_path: Path) -> None:
    crops = load_crops(data, SIDE, sources=("venia",), segmenter="none", folder=tmp_path / "cache")
    before = np.array(crops.rgb[0])
    crops.rgb[0] = 7
    again = load_crops(data, SIDE, sources=("venia",), segmenter="none", folder=tmp_path / "cache")
    assert (again.rgb[0] == before).all()
    assert (before != 7).any()


def test_the_parts_share_no_style_and_no_sender_and_lose_nothing(data: Path, tmp_path: Path) -> None:
    parts = {
        part: load_crops(data, SIDE, part, segmenter="none", folder=tmp_path / "cache") for part in ("development", "held-out")
    }
    origins = {part: [photo.origin for photo in crops.photos] for part, crops in parts.items()}
    assert_held_apart(origins["development"], origins["held-out"])
    assert_follows_the_rule(origins["development"], origins["held-out"])
    both = load_crops(data, SIDE, segmenter="none", folder=tmp_path / "cache")
    assert sum(len(crops) for crops in parts.values()) == len(both)


def test_of_the_phone_photos_the_same_are_drawn_whatever_else_is_there(data: Path, tmp_path: Path) -> None:
    few = load_crops(data, SIDE, sources=("clothing",), most_phones=4, segmenter="none", folder=tmp_path / "cache")
    assert len(few) == 4
    unused = next(name for name in ("p1", "p2", "p3", "p4", "p5") if name not in {photo.name for photo in few.photos})
    (data / "clothing" / f"{unused}.jpg").unlink()
    again = load_crops(data, SIDE, sources=("clothing",), most_phones=4, segmenter="none", folder=tmp_path / "cache")
    assert again.photos == few.photos


def test_a_photo_that_cannot_be_read_is_left_out(data: Path, tmp_path: Path) -> None:
    (data / "venia" / "vd02-ll_main.jpg").write_bytes(b"no photo")
    crops = load_crops(data, SIDE, sources=("venia",), segmenter="none", folder=tmp_path / "cache")
    assert "vd02-ll_main" not in {photo.name for photo in crops.photos}
    assert len(crops) == len(STUDIO["venia"]) - 1 == len(crops.rgb)


def test_what_cannot_be_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no part"):
        load_crops(data, SIDE, "some", segmenter="none", folder=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="holds neither"):
        load_crops(data / "luma", SIDE, segmenter="none", folder=tmp_path)
    (data / "clothing" / "images.csv").write_text("image,label\np1,Dress\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="sender_id"):
        load_crops(data, SIDE, segmenter="none", folder=tmp_path)
    for path in (data / "venia").glob("*.jpg"):
        path.write_bytes(b"no photo")
    with pytest.raises(ConfigurationError, match="none can be cut out"):
        load_crops(data, SIDE, sources=("venia",), segmenter="none", folder=tmp_path)


def test_shops_speak_of_categories_in_words_not_letters() -> None:
    assert all(name.split()[0] in {"luma", "venia"} and label[0].isupper() for name, label in SHOP_LABELS.items())


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (4, 4), (5, 4), (9, 2)])
def test_batches_cover_every_row_once(count: int, size: int) -> None:
    rows = [row for part in batches(count, size) for row in range(count)[part]]
    assert rows == list(range(count))
    assert all(part.stop - part.start <= size for part in batches(count, size))


class HalvesByCategory:
    """Cuts out the upper half for a dress and everything where nothing is asked for."""

    model_id = "halves"

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        [photo], [category] = photos, categories or [None]
        self.asked.append(category)
        alpha = np.full(photo.shape[:2], 255, np.uint8)
        if category == "Dress":
            alpha[len(alpha) // 2 :] = 0
        return [mask_of(alpha)]


@pytest.mark.parametrize("segmenter", ["garment-light", "none"])
def test_what_a_category_asks_for_is_cut_out_and_kept_apart_where_the_segmenter_knows_classes(
    tmp_path: Path, segmenter: str
) -> None:
    halves = HalvesByCategory()
    cutter = Cutter(segmenter, folder=tmp_path / "cache")
    cutter._segmenter = halves
    masks = [cutter.crop(jpeg(1), SIDE, category)[1] for category in (None, "Dress", None, "dresses")]
    cutter.close()
    if segmenter == "garment-light":
        assert halves.asked == [None, "Dress"]  # the rest is kept, by class and not by word
        assert not np.array_equal(masks[0], masks[1])
        assert np.array_equal(masks[1], masks[3])
    else:
        assert halves.asked == [None]
        assert all(np.array_equal(masks[0], mask) for mask in masks)
    assert np.array_equal(masks[0], masks[2])
