"""Photos for the loader by their location text: local files and S3 in one list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.s3 import new_bucket
from worker.embedded.s3 import S3Endpoint
from worker.errors import EventRefused, PhotoRefused
from worker.imaging.store import PhotoStore
from worker.imaging.types import Photo
from worker.loading import AnyPhotos
from worker.settings import Settings, load_settings

pytestmark = pytest.mark.integration


@pytest.fixture
def bucket(s3_plain: S3Endpoint) -> str:
    return new_bucket(s3_plain)


@pytest.fixture
def settings(s3_plain: S3Endpoint, bucket: str) -> Settings:
    return load_settings(storage=s3_plain.settings(bucket))


@pytest.fixture
def photos(settings: Settings) -> Iterator[AnyPhotos]:
    opened = AnyPhotos(settings)
    yield opened
    opened.close()


def test_local_and_s3_photos_come_back_in_the_order_they_were_asked_for(
    photos: AnyPhotos, settings: Settings, bucket: str, tmp_path: Path
) -> None:
    store = PhotoStore(settings.storage)
    store.put(bucket, "studio/größe 1.jpg", b"remote", "image/jpeg")
    store.close()
    (tmp_path / "local 1.jpg").write_bytes(b"local")

    first, second, third = photos.fetch(
        [f"s3://{bucket}/studio/größe 1.jpg", str(tmp_path / "local 1.jpg"), str(tmp_path / "none")]
    )

    assert isinstance(first, Photo)
    assert isinstance(second, Photo)
    assert (first.data, second.data) == (b"remote", b"local")
    assert isinstance(third, PhotoRefused)


def test_what_may_not_be_read_or_is_no_place_is_an_error_in_its_place_not_the_end(photos: AnyPhotos, bucket: str) -> None:
    outside, missing, nonsense = photos.fetch(["s3://another-bucket/a.jpg", f"s3://{bucket}/none.jpg", "s3://NO_BUCKET/../a.jpg"])

    assert isinstance(outside, EventRefused)
    assert "INTAKE_STORAGE__ALLOWED" in str(outside)
    assert isinstance(missing, PhotoRefused)
    assert isinstance(nonsense, PhotoRefused)


def test_who_reads_local_files_only_needs_no_s3(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"local")
    photos = AnyPhotos(load_settings(storage={"endpoint_url": "http://127.0.0.1:1"}))

    [photo] = photos.fetch([str(tmp_path / "a.jpg")])

    assert isinstance(photo, Photo)
    photos.close()
