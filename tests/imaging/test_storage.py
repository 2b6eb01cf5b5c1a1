"""Fetching photos: one behaviour suite for every S3 server."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.infra.s3 import new_bucket
from worker.embedded.s3 import S3Endpoint
from worker.errors import ConfigurationError, EventRefused, IntakeError, PhotoRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.storage import S3Photos
from worker.imaging.store import PhotoStore
from worker.imaging.types import Photo
from worker.settings.imaging import AllowedLocation

pytestmark = pytest.mark.integration

LIMIT = 100_000


def reason_of(answer: Photo | IntakeError) -> Reason:
    assert isinstance(answer, (PhotoRefused, EventRefused)), answer
    return answer.reason


def at(bucket: str, key: str, **more: Any) -> PhotoLocation:
    return PhotoLocation(bucket=bucket, key=key, **more)


@pytest.fixture
def store(s3: S3Endpoint) -> PhotoStore:
    return PhotoStore(s3.settings())


@pytest.fixture
def photos(s3: S3Endpoint, s3_bucket: str) -> S3Photos:
    return S3Photos(s3.settings(s3_bucket), LIMIT)


def test_a_stored_photo_comes_back_with_its_etag(photos: S3Photos, store: PhotoStore, s3_bucket: str) -> None:
    etag = store.put(s3_bucket, "inbox/a b+c%20ü.jpg", b"photo", "image/jpeg")
    photo = photos.fetch(at(s3_bucket, "inbox/a b+c%20ü.jpg", view="back"))
    assert (photo.data, photo.etag, photo.location.view) == (b"photo", etag, "back")


def test_many_photos_come_back_in_order_with_an_error_for_each_that_failed(
    photos: S3Photos, store: PhotoStore, s3_bucket: str
) -> None:
    for index in range(0, 40, 2):
        store.put(s3_bucket, f"{index}.jpg", f"photo {index}".encode(), "image/jpeg")
    answers = photos.fetch_photos([at(s3_bucket, f"{index}.jpg") for index in range(40)])
    for index, answer in enumerate(answers):
        if index % 2:
            assert reason_of(answer) is Reason.PHOTO_MISSING
        else:
            assert isinstance(answer, Photo)
            assert answer.data == f"photo {index}".encode()


def test_no_photos_are_no_answers(photos: S3Photos) -> None:
    assert photos.fetch_photos([]) == []


def test_a_photo_of_exactly_the_limit_is_read_and_one_byte_more_is_refused(
    photos: S3Photos, store: PhotoStore, s3_bucket: str
) -> None:
    store.put(s3_bucket, "limit", b"x" * LIMIT, "image/jpeg")
    store.put(s3_bucket, "more", b"x" * (LIMIT + 1), "image/jpeg")
    allowed, refused = photos.fetch_photos([at(s3_bucket, "limit"), at(s3_bucket, "more")])
    assert isinstance(allowed, Photo)
    assert len(allowed.data) == LIMIT
    assert reason_of(refused) is Reason.PHOTO_TOO_LARGE
    assert "INTAKE_IMAGING__MAX_BYTES" in str(refused)


def test_an_empty_photo_is_refused(photos: S3Photos, store: PhotoStore, s3_bucket: str) -> None:
    store.put(s3_bucket, "empty", b"", "image/jpeg")
    assert reason_of(photos.fetch_photos([at(s3_bucket, "empty")])[0]) is Reason.PHOTO_EMPTY


def test_an_etag_that_still_holds_is_read_quoted_or_not(photos: S3Photos, store: PhotoStore, s3_bucket: str) -> None:
    etag = store.put(s3_bucket, "pinned", b"one", "image/jpeg")
    for form in (etag, f'"{etag}"'):
        assert photos.fetch(at(s3_bucket, "pinned", etag=form)).data == b"one"


def test_a_photo_replaced_after_the_event_is_refused(photos: S3Photos, store: PhotoStore, s3_bucket: str) -> None:
    etag = store.put(s3_bucket, "pinned", b"one", "image/jpeg")
    store.put(s3_bucket, "pinned", b"two", "image/jpeg")
    assert reason_of(photos.fetch_photos([at(s3_bucket, "pinned", etag=etag)])[0]) is Reason.PHOTO_CHANGED


def test_a_version_is_read_though_newer_ones_exist(s3: S3Endpoint, store: PhotoStore, s3_versioned_bucket: str) -> None:
    client = s3.client()
    first = client.put_object(Bucket=s3_versioned_bucket, Key="v", Body=b"first")["VersionId"]
    store.put(s3_versioned_bucket, "v", b"second", "image/jpeg")
    photos = S3Photos(s3.settings(s3_versioned_bucket), LIMIT)
    assert photos.fetch(at(s3_versioned_bucket, "v", version_id=first)).data == b"first"
    assert photos.fetch(at(s3_versioned_bucket, "v")).data == b"second"


def test_a_deleted_photo_is_missing_but_its_version_is_read(s3: S3Endpoint, s3_versioned_bucket: str) -> None:
    client = s3.client()
    first = client.put_object(Bucket=s3_versioned_bucket, Key="v", Body=b"first")["VersionId"]
    marker = client.delete_object(Bucket=s3_versioned_bucket, Key="v")["VersionId"]
    photos = S3Photos(s3.settings(s3_versioned_bucket), LIMIT)
    wanted = [
        at(s3_versioned_bucket, "v"),
        at(s3_versioned_bucket, "v", version_id=marker),
        at(s3_versioned_bucket, "v", version_id=first),
    ]
    gone, deleted, kept = photos.fetch_photos(wanted)
    assert reason_of(gone) is Reason.PHOTO_MISSING
    assert reason_of(deleted) is Reason.PHOTO_MISSING
    assert isinstance(kept, Photo)
    assert kept.data == b"first"


@pytest.mark.parametrize("version", ["nonsense", "3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", "01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_a_version_that_never_was_is_one_refusal(
    s3: S3Endpoint, store: PhotoStore, s3_versioned_bucket: str, version: str
) -> None:
    store.put(s3_versioned_bucket, "v", b"first", "image/jpeg")
    photos = S3Photos(s3.settings(s3_versioned_bucket), LIMIT)
    [answer] = photos.fetch_photos([at(s3_versioned_bucket, "v", version_id=version)])
    assert reason_of(answer) is Reason.PHOTO_MISSING


def test_a_forbidden_place_is_refused_though_the_object_is_there(s3: S3Endpoint, store: PhotoStore, s3_bucket: str) -> None:
    other = new_bucket(s3)
    for bucket, key in ((s3_bucket, "inbox/a"), (s3_bucket, "private/a"), (other, "inbox/a")):
        store.put(bucket, key, b"photo", "image/jpeg")
    settings = s3.settings(allowed=(AllowedLocation(bucket=s3_bucket, prefix="inbox/"),))
    answers = S3Photos(settings, LIMIT).fetch_photos([at(s3_bucket, "inbox/a"), at(s3_bucket, "private/a"), at(other, "inbox/a")])
    assert isinstance(answers[0], Photo)
    assert [reason_of(answer) for answer in answers[1:]] == [Reason.LOCATION_FORBIDDEN] * 2


def test_an_allowed_bucket_that_does_not_exist_stops_the_worker(s3: S3Endpoint) -> None:
    photos = S3Photos(s3.settings("intake-test-never-made"), LIMIT)
    with pytest.raises(ConfigurationError, match="INTAKE_STORAGE__"):
        photos.fetch(at("intake-test-never-made", "a"))
    with pytest.raises(ConfigurationError, match="INTAKE_STORAGE__"):
        photos.check()


def test_a_readable_place_passes_the_check_without_warnings(photos: S3Photos) -> None:
    assert photos.check() == []


def test_ensuring_a_bucket_twice_keeps_what_is_in_it(store: PhotoStore, s3: S3Endpoint) -> None:
    import uuid

    bucket = f"intake-test-{uuid.uuid4().hex[:20]}"
    store.ensure_bucket(bucket)
    store.put(bucket, "kept", b"kept", "image/jpeg")
    store.ensure_bucket(bucket)
    assert s3.client().get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"


def test_a_stored_picture_carries_its_content_type(store: PhotoStore, s3: S3Endpoint, s3_bucket: str) -> None:
    store.put(s3_bucket, "crops/a.jpg", b"jpeg", "image/jpeg")
    assert s3.client().head_object(Bucket=s3_bucket, Key="crops/a.jpg")["ContentType"] == "image/jpeg"
    with pytest.raises(ConfigurationError, match=r"'\.\.' segment"):
        store.put(s3_bucket, "crops/../a.jpg", b"jpeg", "image/jpeg")


def test_an_etag_of_a_single_upload_is_what_submit_may_pin(store: PhotoStore, photos: S3Photos, s3_bucket: str) -> None:
    data = bytes(range(256)) * 100
    etag = store.put(s3_bucket, "a", data, "image/jpeg")
    assert hashlib.sha256(photos.fetch(at(s3_bucket, "a", etag=etag)).data).digest() == hashlib.sha256(data).digest()


def test_threads_share_one_client(s3: S3Endpoint, store: PhotoStore, s3_bucket: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for index in range(8):
        store.put(s3_bucket, str(index), str(index).encode() * 1000, "image/jpeg")
    photos = S3Photos(s3.settings(s3_bucket, threads=4), LIMIT)
    locations = [at(s3_bucket, str(index)) for index in range(8)]
    with ThreadPoolExecutor(4) as callers:
        batches = list(callers.map(lambda _: photos.fetch_photos(locations), range(6)))
    for batch in batches:
        assert [photo.data for photo in batch if isinstance(photo, Photo)] == [str(index).encode() * 1000 for index in range(8)]
    photos.close()
