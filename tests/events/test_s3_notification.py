from __future__ import annotations

import json
from typing import Any

import pytest

from tests.events.building import LIMITS, Headers, as_bytes, example
from worker.errors import ConfigurationError, EventRefused, Reason
from worker.events.codec import ParsedArrival
from worker.events.reading import EventLimits
from worker.events.s3_notification import IgnoredNotification, compile_key_pattern, parse_s3_notification
from worker.settings import StreamSettings

PATTERN = compile_key_pattern(StreamSettings().notification_key_pattern)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def read(value: Any, headers: Headers | None = None, limits: EventLimits = LIMITS) -> ParsedArrival | IgnoredNotification:
    data = value if isinstance(value, bytes) or value is None else as_bytes(value)
    return parse_s3_notification(data, headers or [], limits, PATTERN)


def arrival(value: Any, headers: Headers | None = None) -> ParsedArrival:
    found = read(value, headers)
    assert isinstance(found, ParsedArrival)
    return found


def refusal(value: Any, limits: EventLimits = LIMITS) -> EventRefused:
    with pytest.raises(EventRefused) as caught:
        read(value, limits=limits)
    return caught.value


def record(
    key: str = "in/A-1/front.jpg", *, event: str = "ObjectCreated:Put", bucket: str = "intake-photos", **stored: Any
) -> Any:
    return {
        "eventName": event,
        "eventTime": "2026-11-21T09:14:04.118Z",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "e1", "sequencer": "01", **stored}},
    }


def message(*records: Any) -> dict[str, Any]:
    return {"Records": list(records)}


def test_a_notification_of_aws_is_an_arrival() -> None:
    parsed = arrival(example("s3-notification.aws"))
    assert parsed.event.arrival_id == "ARR-2026-11-21-000419"
    assert parsed.event.photographed_at.isoformat() == "2026-11-21T09:14:04.118000+00:00"
    (photo,) = parsed.event.photos
    assert (photo.bucket, photo.key, photo.view) == ("intake-photos", "warehouse 3/ARR-2026-11-21-000419/front.jpg", "front")
    assert (photo.version_id, photo.etag) == ("096fKKXTRTtl3on89fVO.nfljtsv6qko", "9b2cf535f27731c974343645a3985328")
    assert parsed.source == "/s3/intake-photos"
    assert parsed.time == parsed.event.photographed_at


def test_a_notification_of_minio_is_an_arrival() -> None:
    parsed = arrival(example("s3-notification.minio"))
    (photo,) = parsed.event.photos
    assert parsed.event.arrival_id == "ARR-2026-11-21-000420"
    assert (photo.key, photo.view, photo.version_id) == ("warehouse 3/ARR-2026-11-21-000420/back.jpg", "back", None)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("in/A-1/front.jpg", "in/A-1/front.jpg"),
        ("in%2FA-1%2Ffront.jpg", "in/A-1/front.jpg"),
        ("in+stock/A-1/front.jpg", "in stock/A-1/front.jpg"),
        ("in%20stock/A-1/front.jpg", "in stock/A-1/front.jpg"),
        ("50%25+off%2Bmore/A-1/front.jpg", "50% off+more/A-1/front.jpg"),
        ("w%C3%A4sche/A-1/front.jpg", "wäsche/A-1/front.jpg"),
        ("wäsche/A-1/front.jpg", "wäsche/A-1/front.jpg"),
        ("%E6%AD%A3/A-1/front.jpg", "正/A-1/front.jpg"),
    ],
)
def test_keys_are_url_decoded(encoded: str, key: str) -> None:
    assert arrival(message(record(encoded))).event.photos[0].key == key


@pytest.mark.parametrize(
    "key",
    [
        "in/..%2F..%2Fother/A-1/front.jpg",
        "%2Fin%2FA-1%2Ffront.jpg",
        "in/%252e%252e/A-1/front.jpg",
        "http%3A%2F%2F169.254.169.254%2FA-1%2Ffront.jpg",
        "s3%3A%2F%2Fother%2FA-1%2Ffront.jpg",
        "in%5C..%5CA-1/front.jpg",
        "in%00/A-1/front.jpg",
        "in%0D%0A/A-1/front.jpg",
        "in%FF/A-1/front.jpg",
        "in%C0%AF/A-1/front.jpg",
        "in%ED%A0%80/A-1/front.jpg",
        "in%zz/A-1/front.jpg",
        "in%/A-1/front.jpg",
        "in/A-1/front.jpg%2",
    ],
)
def test_a_forged_key_is_refused(key: str) -> None:
    assert refusal(message(record(key))).reason is Reason.LOCATION_FORBIDDEN


@pytest.mark.parametrize("bucket", ["169.254.169.254", "a..b"])
def test_a_bucket_that_is_an_address_is_refused(bucket: str) -> None:
    assert refusal(message(record(bucket=bucket))).reason is Reason.LOCATION_FORBIDDEN


@pytest.mark.parametrize(
    "key",
    [
        "front.jpg",
        "in/A-1/",
        "in/A-1/front",
        "in/a b/front.jpg",
        "in/A-1/FRONT.jpg",
        "in/-A/front.jpg",
        f"in/{'x' * 129}/front.jpg",
    ],
)
def test_a_key_outside_the_pattern_is_refused_as_such(key: str) -> None:
    assert refusal(message(record(key.replace(" ", "+")))).reason is Reason.KEY_PATTERN


def test_a_view_that_is_too_long_is_refused_as_outside_the_pattern() -> None:
    assert refusal(message(record(f"in/A-1/{'v' * 33}.jpg"))).reason is Reason.KEY_PATTERN


def test_without_a_view_in_the_pattern_the_photo_shows_the_front() -> None:
    pattern = compile_key_pattern(r"^in/(?P<arrival_id>[^/]+)\.jpg$")
    parsed = parse_s3_notification(as_bytes(message(record("in/A-7.jpg"))), [], LIMITS, pattern)
    assert isinstance(parsed, ParsedArrival)
    assert (parsed.event.arrival_id, parsed.event.photos[0].view) == ("A-7", "front")


def test_an_optional_group_that_matched_nothing_is_no_arrival() -> None:
    pattern = compile_key_pattern(r"^in/(?P<arrival_id>X)?")
    with pytest.raises(EventRefused) as caught:
        parse_s3_notification(as_bytes(message(record())), [], LIMITS, pattern)
    assert caught.value.reason is Reason.KEY_PATTERN


@pytest.mark.parametrize(
    ("event", "what"),
    [
        ("ObjectRemoved:Delete", "ObjectRemoved:Delete"),
        ("s3:ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:DeleteMarkerCreated"),
        ("ObjectRestore:Completed", "ObjectRestore:Completed"),
        ("s3:ObjectAccessed:Get", "ObjectAccessed:Get"),
        ("ReducedRedundancyLostObject", "ReducedRedundancyLostObject"),
    ],
)
def test_what_creates_nothing_is_ignored_and_named(event: str, what: str) -> None:
    assert read(message(record(event=event))) == IgnoredNotification(what)


def test_a_removal_is_ignored_whatever_it_removed() -> None:
    assert read(example("s3-notification.aws.removed")) == IgnoredNotification("ObjectRemoved:Delete")
    assert read(message(record("../%zz", event="ObjectRemoved:Delete"))) == IgnoredNotification("ObjectRemoved:Delete")
    assert read({"Records": [{"eventName": "ObjectRemoved:Delete"}]}) == IgnoredNotification("ObjectRemoved:Delete")


def test_the_test_event_of_s3_is_ignored() -> None:
    assert read(example("s3-test-event")) == IgnoredNotification("s3:TestEvent")


@pytest.mark.parametrize(
    "event", ["ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy", "s3:ObjectCreated:CompleteMultipartUpload"]
)
def test_every_way_to_create_an_object_is_an_arrival(event: str) -> None:
    assert arrival(message(record(event=event))).event.arrival_id == "A-1"


def test_objects_of_one_arrival_in_one_message_are_its_photos() -> None:
    parsed = arrival(message(record("in/A-1/front.jpg"), record("in/A-1/back.jpg"), record(event="ObjectRemoved:Delete")))
    assert [photo.view for photo in parsed.event.photos] == ["front", "back"]


def test_the_earliest_time_of_a_message_is_the_arrivals() -> None:
    early = {**record("in/A-1/back.jpg"), "eventTime": "2026-11-21T09:00:00Z"}
    assert arrival(message(record(), early)).event.photographed_at.minute == 0


def test_a_message_that_names_several_arrivals_is_refused() -> None:
    found = refusal(message(record("in/A-1/front.jpg"), record("in/A-2/front.jpg")))
    assert found.reason is Reason.EVENT_SCHEMA
    assert "2 arrivals" in str(found)


def test_a_message_that_names_one_object_twice_is_refused() -> None:
    assert refusal(message(record(), record())).reason is Reason.EVENT_SCHEMA


def test_more_objects_than_an_arrival_may_have_photos_are_refused() -> None:
    assert refusal(message(*(record(f"in/A-1/v{n}.jpg") for n in range(17)))).reason is Reason.EVENT_SCHEMA


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "Records"),
        ({"Records": []}, "Records"),
        ({"Records": {}}, "Records"),
        ({"Records": [None]}, "eventName"),
        ({"Records": [{}]}, "eventName"),
        ({"Records": [{"eventName": 3}]}, "eventName"),
        ({"Records": [{"eventName": "ObjectRemoved: <script>"}]}, "eventName"),
        ({"Records": [{"eventName": "ObjectCreated:Put"}]}, "eventTime"),
        ({"Records": [record() | {"s3": None}]}, "s3"),
        ({"Records": [record() | {"eventTime": "soon"}]}, "eventTime"),
        ({"Records": [record() | {"eventTime": 17}]}, "eventTime"),
        (message(record(versionId=3)), "versionId"),
        (message(record(eTag=["e"])), "eTag"),
        (message(record("x" * 3073)), "key"),
        ({"Type": "Notification", "Message": json.dumps(message(record()))}, "raw message delivery"),
        ({"detail-type": "Object Created", "detail": {}}, "EventBridge"),
        ({"Event": "s3:SomethingElse"}, "Records"),
    ],
    ids=str,
)
def test_a_message_of_another_shape_is_refused_and_says_why(value: Any, says: str) -> None:
    found = refusal(value)
    assert found.reason is Reason.EVENT_SCHEMA
    assert says in str(found)


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff"])
def test_what_is_not_json_is_refused(value: bytes | None) -> None:
    assert refusal(value).reason is Reason.EVENT_NOT_JSON


def test_the_limits_hold_for_notifications_too() -> None:
    assert refusal(message(record("k" * 3000)), EventLimits(max_bytes=2048)).reason is Reason.EVENT_TOO_LARGE
    assert "deeper" in str(refusal(message(record()), EventLimits(max_depth=3)))


def test_a_header_too_large_is_refused() -> None:
    with pytest.raises(EventRefused):
        read(message(record()), [("x", b"y" * 300_000)])


def test_a_redelivered_notification_has_the_same_id_and_body() -> None:
    first, again = arrival(message(record())), arrival(as_bytes(message(record() | {"awsRegion": "elsewhere"})))
    assert (first.event_id, first.body_hash) == (again.event_id, again.body_hash)


@pytest.mark.parametrize("changes", [{"eTag": "e2"}, {"versionId": "v2"}, {"sequencer": "02"}], ids=str)
def test_another_write_of_the_same_key_is_another_notification(changes: dict[str, str]) -> None:
    assert arrival(message(record(**changes))).event_id != arrival(message(record())).event_id


@pytest.mark.parametrize("version", ["null", "", None])
def test_an_object_without_versions_is_pinned_by_its_etag_alone(version: str | None) -> None:
    (photo,) = arrival(message(record(versionId=version))).event.photos
    assert (photo.version_id, photo.etag) == (None, "e1")


def test_quotes_around_an_etag_are_taken_off() -> None:
    assert arrival(message(record(eTag='"e1"'))).event.photos[0].etag == "e1"


def test_the_trace_of_a_notification_is_kept() -> None:
    assert arrival(message(record()), [("traceparent", TRACE.encode())]).traceparent == TRACE
    assert arrival(message(record()), [("traceparent", b"x")]).traceparent is None


@pytest.mark.parametrize("pattern", ["(", "^in/(?P<view>x)", "", r"(?P<arrival_id>a{99999999999})"])
def test_a_key_pattern_that_cannot_work_is_a_configuration_error(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFICATION_KEY_PATTERN"):
        compile_key_pattern(pattern)
