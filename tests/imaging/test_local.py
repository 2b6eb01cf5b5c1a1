"""Photos of local files: the same limits, and out of reach of events."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.errors import PhotoRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.local import LocalPhotos, local_location
from worker.imaging.places import describe
from worker.imaging.types import Photo
from worker.settings.imaging import LOCAL_BUCKET

LIMIT = 1000


def reason(location: PhotoLocation) -> Reason:
    with pytest.raises(PhotoRefused) as refusal:
        LocalPhotos(LIMIT).fetch(location)
    return refusal.value.reason


def test_files_are_read_in_order_with_an_error_for_each_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a b é.jpg").write_bytes(b"photo")
    locations = [local_location(tmp_path / "a b é.jpg", "back"), local_location(tmp_path / "missing.jpg")]
    found, missing = LocalPhotos(LIMIT).fetch_photos(locations)
    assert isinstance(found, Photo)
    assert (found.data, found.location.view) == (b"photo", "back")
    assert describe(found.location) == str(tmp_path / "a b é.jpg")
    assert isinstance(missing, PhotoRefused)
    assert missing.reason is Reason.PHOTO_MISSING


def test_the_etag_changes_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"one")
    first = LocalPhotos(LIMIT).fetch(local_location(file)).etag
    assert LocalPhotos(LIMIT).fetch(local_location(file)).etag == first
    file.write_bytes(b"other")
    assert LocalPhotos(LIMIT).fetch(local_location(file)).etag != first


def test_limits_are_those_of_s3(tmp_path: Path) -> None:
    (tmp_path / "limit").write_bytes(b"x" * LIMIT)
    (tmp_path / "more").write_bytes(b"x" * (LIMIT + 1))
    (tmp_path / "empty").write_bytes(b"")
    assert len(LocalPhotos(LIMIT).fetch(local_location(tmp_path / "limit")).data) == LIMIT
    assert reason(local_location(tmp_path / "more")) is Reason.PHOTO_TOO_LARGE
    assert reason(local_location(tmp_path / "empty")) is Reason.PHOTO_EMPTY


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it to read would wait for a writer
    assert reason(local_location(tmp_path)) is Reason.PHOTO_MISSING
    assert reason(local_location(tmp_path / "pipe")) is Reason.PHOTO_MISSING
    assert reason(local_location(Path("/dev/zero"))) is Reason.PHOTO_MISSING


def test_a_path_too_long_or_not_utf8_is_refused_by_name() -> None:
    for path in (Path("/" + "a/" * 600), Path(os.fsdecode(b"/tmp/\xff.jpg"))):
        with pytest.raises(PhotoRefused):
            local_location(path)


def test_only_local_locations_are_read(tmp_path: Path) -> None:
    assert reason(PhotoLocation(bucket="intake-photos", key="etc/passwd")) is Reason.LOCATION_FORBIDDEN
    assert local_location(tmp_path / "a").bucket == LOCAL_BUCKET
