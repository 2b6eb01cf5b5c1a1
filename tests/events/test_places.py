from __future__ import annotations

import pytest

from tests.events.building import parse, reason, with_photo
from worker.errors import Reason

FORGED_KEYS = [
    "../etc/passwd",
    "in/../../other/secret.jpg",
    "in/..",
    "..",
    ".",
    "in/./front.jpg",
    "/etc/passwd",
    "//evil.example/x.jpg",
    "in\\..\\secret.jpg",
    "\\\\server\\share\\x.jpg",
    "http://169.254.169.254/latest/meta-data/iam",
    "https://evil.example/x.jpg",
    "HTTPS://EVIL.EXAMPLE/x.jpg",
    "http:/evil.example/x.jpg",
    "file:///etc/passwd",
    "s3://other-bucket/x.jpg",
    "C:/photos/x.jpg",
    "arn:aws:s3:::other-bucket/x.jpg",
    "in/%2e%2e/x.jpg",
    "in/%2E./x.jpg",
    "in/%252e%252e/x.jpg",
    "%2fetc%2fpasswd",
    "in%5c..%5cx.jpg",
    "%68ttp://evil.example/x.jpg",
    "in/x%00.jpg",
    "in/%25252525252e/x.jpg",
    "in/x\u0000.jpg",
    "in/x\r\nHost: evil.example",
    "in/x\u007f.jpg",
    "in/x\u0085.jpg",
    "in/x\u2028.jpg",
    "in/gpj.\u202etnorf.jpg",
    "in/\u2066x.jpg",
    "k" * 1024 + "%",
    "ä" * 513,
]


@pytest.mark.parametrize("key", FORGED_KEYS, ids=ascii)
def test_a_forged_key_is_refused(key: str) -> None:
    expected = Reason.EVENT_SCHEMA if len(key) > 1024 else Reason.LOCATION_FORBIDDEN
    assert reason(with_photo(key=key)) is expected


@pytest.mark.parametrize(
    "key",
    [
        "front.jpg",
        "in/A-1/front side (2).jpg",
        "in//front.jpg",
        "in/.hidden/front..jpg",
        "in/...jpg",
        "wäsche/größe/正面.jpg",
        "in/می‌خواهم.jpg",  # a zero-width non-joiner is ordinary spelling
        "in/50%25 off.jpg",
        "in/100%.jpg",
        "in/a%2Fb.jpg",
        "in/a+b&c=d;e,f@g:h.jpg",
        "in/2026-11-21T10:00:00.jpg",
        "k" * 1024,
        "ä" * 512,
        "in/😀.jpg",
    ],
    ids=ascii,
)
def test_an_ordinary_key_is_read_and_not_changed(key: str) -> None:
    assert parse(with_photo(key=key)).event.photos[0].key == key


@pytest.mark.parametrize("bucket", ["169.254.169.254", "127.0.0.1", "999.1.1.1", "intake..photos"])
def test_a_bucket_that_is_an_address_is_refused(bucket: str) -> None:
    assert reason(with_photo(bucket=bucket)) is Reason.LOCATION_FORBIDDEN


@pytest.mark.parametrize(
    "bucket", ["", "ab", "Intake", "a/b", "a:b", "s3://x", "../x", "-abc", "abc-", "a" * 64, "büro", "a\nb", "[::1]"]
)
def test_a_bucket_no_s3_allows_is_refused(bucket: str) -> None:
    assert reason(with_photo(bucket=bucket)) is Reason.EVENT_SCHEMA


def test_one_forged_photo_among_good_ones_refuses_the_event_and_is_named() -> None:
    event = with_photo()
    event["photos"] = [*event["photos"], {"bucket": "intake-photos", "key": "../x"}]
    assert reason(event) is Reason.LOCATION_FORBIDDEN
