"""Which locations events may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.errors import EventRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.places import allowed_place, describe, key_fault, plain_etag
from worker.settings.imaging import LOCAL_BUCKET, AllowedLocation, StorageSettings

PLACES = (AllowedLocation(bucket="photos", prefix="inbox/"), AllowedLocation(bucket="whole"))


def location(key: str, bucket: str = "photos", version_id: str | None = None, etag: str | None = None) -> PhotoLocation:
    """Without validation, as a bug or a forged object might hand it on."""
    return PhotoLocation.model_construct(bucket=bucket, key=key, version_id=version_id, etag=etag, view="front")


@pytest.mark.parametrize(
    "key", ["inbox/a.jpg", "inbox/2026/11/a b.jpg", "inbox/50%.jpg", "inbox/50%25.jpg", "inbox/été/写真.heic", "inbox/a..b"]
)
def test_a_plain_key_under_an_allowed_prefix_is_allowed(key: str) -> None:
    assert allowed_place(location(key), PLACES) == PLACES[0]


def test_a_place_without_prefix_allows_the_whole_bucket() -> None:
    assert allowed_place(location("anything.jpg", "whole"), PLACES) == PLACES[1]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/inbox/a.jpg",
        "inbox//a.jpg",
        "inbox/",
        "inbox/../secret/a.jpg",
        "inbox/..",
        "inbox/./a.jpg",
        "inbox/%2e%2e/a.jpg",
        "inbox/%2E%2E%2Fsecret",
        "inbox/%252e%252e%252fsecret",
        "inbox/%25252e%25252e/secret",
        "inbox/..%2fsecret",
        "inbox/a%00.jpg",
        "inbox/a%5c..%5cb",
        "inbox/a\x00.jpg",
        "inbox/a\r\nHost: evil",
        "inbox/a\u2028b",
        "inbox\\..\\secret",
        "inbox/\ud800.jpg",
        "inbox/" + "a" * 1024,
        "inbox/" + "é" * 512,
        "inbox/http://169.254.169.254/latest/meta-data",
    ],
)
def test_a_key_that_readers_may_understand_differently_is_refused(key: str) -> None:
    with pytest.raises(EventRefused) as refusal:
        allowed_place(location(key), PLACES)
    assert refusal.value.reason is Reason.LOCATION_FORBIDDEN
    str(refusal.value).encode()  # the message can be published


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("photos", "other/a.jpg"),
        ("photos", "inbox"),
        ("photos", "inboxes/a.jpg"),
        ("photos", "Inbox/a.jpg"),
        ("other", "inbox/a.jpg"),
        ("photos.evil.example", "inbox/a.jpg"),
        ("169.254.169.254", "inbox/a.jpg"),
        ("", "inbox/a.jpg"),
        (LOCAL_BUCKET, "etc/passwd"),
        ("arn:aws:s3:::photos", "inbox/a.jpg"),
    ],
)
def test_anything_outside_the_allow_list_is_refused(bucket: str, key: str) -> None:
    with pytest.raises(EventRefused, match="may not be read"):
        allowed_place(location(key, bucket), PLACES)


@pytest.mark.parametrize("field", ["etag", "version_id"])
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a b", 'a"b', "é", "\x00", "x" * 300])
def test_a_version_or_etag_that_could_split_a_header_is_refused(field: str, value: str) -> None:
    with pytest.raises(EventRefused, match=field):
        allowed_place(location("inbox/a.jpg", **{field: value}), PLACES)


@pytest.mark.parametrize(
    "etag", ["d41d8cd98f00b204e9800998ecf8427e", '"d41d8cd98f00b204e9800998ecf8427e"', 'W/"abc-2"', "abc-17"]
)
def test_an_etag_may_come_with_its_quotes(etag: str) -> None:
    assert allowed_place(location("inbox/a.jpg", etag=etag), PLACES)
    assert '"' not in plain_etag(etag)


@given(st.text(min_size=1, max_size=60))
def test_whatever_passes_stays_inside_its_prefix_for_every_reader(tail: str) -> None:
    import posixpath
    from urllib.parse import unquote

    key = f"inbox/{tail}"
    if key_fault(key) is not None:
        return
    seen = key
    for _ in range(4):
        assert posixpath.normpath(seen) == seen
        assert seen.startswith("inbox/")
        seen = unquote(seen)


@given(st.text(max_size=1200))
def test_no_key_breaks_the_check_or_its_message(key: str) -> None:
    fault = key_fault(key)
    assert fault is None or fault
    assert describe(location(key)).isprintable()


def test_the_local_bucket_cannot_be_allowed_and_prefixes_are_plain() -> None:
    for bad in ({"bucket": LOCAL_BUCKET}, {"bucket": "b", "prefix": "/a"}, {"bucket": "b", "prefix": "a/../b"}, {"bucket": ""}):
        with pytest.raises(ValidationError):
            AllowedLocation(**bad)
    with pytest.raises(ValidationError, match="at least one"):
        StorageSettings(allowed=())
