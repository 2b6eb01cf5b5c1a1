from __future__ import annotations

import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest

from worker.errors import PhotoRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.decode import decode_photo
from worker.imaging.types import Photo
from worker.settings import ImagingSettings
from worker.simulate.arrays import ByteArray
from worker.simulate.garments import garment, studio_photo
from worker.simulate.photos import Drawn, RealPhoto, Shot, SimulatedPhoto, draw_photo, draw_photos, draw_shot, read_rgb
from worker.simulate.spoiling import RIGHT_REASONS, Spoiling, spoiled

DRESS = Drawn(12, 0, "front")


def decoded(data: bytes) -> ByteArray | None:
    if not data:
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else np.asarray(pixels, dtype=np.uint8)


def phone(key: int, shot: Shot = Shot.MILD, spoiling: Spoiling | None = None) -> SimulatedPhoto:
    return SimulatedPhoto("front", DRESS, shot, (1, key), spoiling)


def test_the_same_description_gives_the_same_bytes() -> None:
    assert draw_photo(phone(1)) == draw_photo(phone(1))
    assert draw_photo(phone(1)) != draw_photo(phone(2))


@pytest.mark.parametrize("shot", list(Shot))
def test_every_shot_is_a_jpeg_that_can_be_read(shot: Shot) -> None:
    data = draw_photo(phone(3, shot))
    assert data.startswith(b"\xff\xd8\xff")
    pixels = decoded(data)
    assert pixels is not None
    assert min(pixels.shape[:2]) >= 480


def test_a_shot_comes_with_its_mask() -> None:
    image, mask = draw_shot(phone(4, Shot.HARSH))
    assert image.shape[:2] == mask.shape
    assert mask.max() == 255


def test_other_processes_draw_the_same_photos_in_order() -> None:
    photos = [phone(key) for key in range(5)]
    assert list(draw_photos(photos, processes=2)) == list(draw_photos(photos, processes=0))


def test_photos_are_drawn_only_when_asked_for() -> None:
    asked: list[int] = []

    def planned() -> list[SimulatedPhoto]:
        return [phone(key) for key in range(1000)]

    def noted() -> object:
        for number, photo in enumerate(planned()):
            asked.append(number)
            yield photo

    drawn = draw_photos(noted(), processes=0)  # type: ignore[arg-type]
    next(drawn)
    assert asked == [0]


def test_a_failure_in_a_process_reaches_the_caller(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    photo = SimulatedPhoto("front", RealPhoto(str(broken)), Shot.MILD, (1,))
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        list(draw_photos([photo], processes=1))


def test_a_real_studio_photo_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "shirt.png"
    cv2.imwrite(str(file), studio_photo(garment(2), side=256).rgb)
    photo = SimulatedPhoto("front", RealPhoto(str(file)), Shot.STUDIO, (1,))
    assert draw_photo(photo) == file.read_bytes()
    assert photo.suffix == ".png"


def test_a_phone_shot_is_made_of_a_real_studio_photo(tmp_path: Path) -> None:
    file = tmp_path / "shirt.png"
    cv2.imwrite(str(file), studio_photo(garment(2), side=256).rgb[..., ::-1])
    photo = SimulatedPhoto("front", RealPhoto(str(file)), Shot.MILD, (1,))
    _, mask = draw_shot(photo)
    assert 0.05 < (mask > 127).mean() < 0.9
    assert photo.suffix == ".jpg"


def test_a_photo_without_a_plain_ground_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "scene.png"
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"scene\.png"):
        draw_photo(SimulatedPhoto("front", RealPhoto(str(file)), Shot.MILD, (1,)))


def test_real_backgrounds_take_the_place_of_drawn_ones(tmp_path: Path) -> None:
    floor = tmp_path / "floor.png"
    cv2.imwrite(str(floor), np.full((200, 150, 3), (0, 200, 0), dtype=np.uint8))
    photo = SimulatedPhoto("front", DRESS, Shot.MILD, (7,), backgrounds=(str(floor),))
    image, mask = draw_shot(photo)
    outside = cv2.dilate(mask, np.ones((41, 41), np.uint8)) == 0
    green = image[..., 1].astype(int) - image[..., 0]
    assert np.median(green[outside]) > 60


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.jpg"):
        read_rgb(str(empty))


# --- spoiled photos


@pytest.mark.parametrize("how", [Spoiling.EMPTY, Spoiling.NOISE, Spoiling.TEXT, Spoiling.BOMB])
def test_a_spoiled_photo_cannot_be_read(how: Spoiling) -> None:
    data = draw_photo(phone(1, spoiling=how))
    if how is Spoiling.BOMB:
        assert data.startswith(b"\x89PNG")
        assert int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) > 1_000_000_000
        assert len(data) < 1000
    else:
        assert decoded(data) is None


def test_a_truncated_photo_keeps_its_beginning() -> None:
    whole, cut = draw_photo(phone(1)), draw_photo(phone(1, spoiling=Spoiling.TRUNCATED))
    assert cut.startswith(b"\xff\xd8")
    assert 0.1 < len(cut) / len(whole) < 0.7
    assert not cut.endswith(b"\xff\xd9")


def test_a_tiny_photo_is_a_whole_picture_of_few_pixels() -> None:
    pixels = decoded(draw_photo(phone(1, spoiling=Spoiling.TINY)))
    assert pixels is not None
    assert pixels.shape == (8, 8, 3)


def test_every_way_of_spoiling_has_its_reasons() -> None:
    assert set(RIGHT_REASONS) == set(Spoiling)
    assert all(RIGHT_REASONS.values())


def test_spoiling_is_the_same_for_the_same_generator() -> None:
    for how in Spoiling:
        assert spoiled(b"x" * 1000, how, np.random.default_rng(1)) == spoiled(b"x" * 1000, how, np.random.default_rng(1))


@pytest.mark.parametrize("how", list(Spoiling))
def test_the_worker_refuses_each_spoiled_photo_for_a_right_reason(how: Spoiling) -> None:
    for key in range(6):
        data = draw_photo(phone(key, spoiling=how))
        location = PhotoLocation(bucket="photos", key="in/a/front.jpg")
        if not data:  # nothing to decode: fetching refuses it
            assert RIGHT_REASONS[how] == (Reason.PHOTO_EMPTY,)
            continue
        with pytest.raises(PhotoRefused) as refusal:
            decode_photo(Photo(location, data), ImagingSettings())
        assert refusal.value.reason in RIGHT_REASONS[how]


def test_drawing_can_be_left_off_and_leaves_no_process() -> None:
    before = set(multiprocessing.active_children())
    drawn = draw_photos((phone(key) for key in range(1000)), processes=1)
    next(drawn)
    drawn.close()  # type: ignore[attr-defined]
    assert set(multiprocessing.active_children()) <= before
