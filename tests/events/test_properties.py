"""Whatever arrives: an event or EventRefused, never anything else."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

import pytest
from hypothesis import example as with_example
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.events import strategies as some
from tests.events.building import LIMITS, SCHEMAS, example, parse, with_photo
from worker.errors import EventRefused, Reason
from worker.events import CatalogueInsert, DeadLetter, DeadLetterRedriven, Event, ItemPhotographed, MatchAlert, MatchDecision
from worker.events.codec import ParsedArrival, body_hash, decode_event, encode_event, parse_item_photographed
from worker.events.reading import EventLimits
from worker.events.s3_notification import IgnoredNotification, compile_key_pattern, parse_s3_notification
from worker.events.trace import Traceparent
from worker.settings import StreamSettings

EVENTS: list[type[Event]] = [ItemPhotographed, MatchAlert, CatalogueInsert, DeadLetter, DeadLetterRedriven, MatchDecision]
PATTERN = compile_key_pattern(StreamSettings().notification_key_pattern)
NOTIFICATIONS = ["s3-notification.aws", "s3-notification.minio", "s3-notification.aws.removed"]
ITEM_SCHEMA = Draft202012Validator(json.loads((SCHEMAS / "item-photographed.v1.json").read_text("utf-8")))
# Deep enough for every event, shallow enough for hypothesis to go beyond.
TIGHT = EventLimits(max_bytes=4096, max_depth=8)


def check_presentable(refused: EventRefused, reasons: Collection[Reason] = tuple(Reason)) -> None:
    """A refusal has one of `reasons`, and a message that fits into a log line."""
    assert refused.reason in reasons
    assert 0 < len(str(refused)) < 1000


def arrival_or_refusal(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> ParsedArrival | None:
    """The event, or None where it was refused for a reason and with a message that may be shown."""
    try:
        parsed = parse_item_photographed(key, value, headers, TIGHT)
    except EventRefused as refused:
        check_presentable(refused)
        return None
    assert isinstance(parsed.event, ItemPhotographed)
    return parsed


@some.STEADY
@given(st.none() | st.binary(max_size=10), st.none() | st.binary(max_size=300), some.headers)
def test_any_bytes_are_an_event_or_refused(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    arrival_or_refusal(key, value, headers)


@some.STEADY
@given(some.json_values, some.headers)
def test_any_json_is_an_event_or_refused(value: Any, headers: list[tuple[str, bytes | None]]) -> None:
    arrival_or_refusal(None, some.to_bytes(value), headers)


@some.STEADY
@given(some.spoiled(example("item-photographed.v1")), some.headers)
def test_a_spoiled_event_is_still_an_event_or_refused(value: Any, headers: list[tuple[str, bytes | None]]) -> None:
    arrival_or_refusal(None, some.to_bytes(value), headers)


@some.STEADY
@given(some.spoiled(example("cloudevent.item-photographed.v1")))
def test_a_spoiled_structured_event_is_still_an_event_or_refused(value: Any) -> None:
    arrival_or_refusal(None, some.to_bytes(value), [("content-type", b"application/cloudevents+json")])


@some.STEADY
@given(st.data(), st.sampled_from(EVENTS))
def test_a_spoiled_event_of_any_type_is_still_an_event_or_refused(data: st.DataObject, event_type: type[Event]) -> None:
    value = data.draw(some.spoiled(example(event_type.schema_name().removesuffix(".json"))))
    try:
        event, _ = decode_event(event_type, some.to_bytes(value), [], LIMITS)
    except EventRefused:
        return
    assert event_type.model_validate_json(event.model_dump_json(), strict=True) == event


@some.STEADY
@given(st.data(), st.sampled_from(NOTIFICATIONS), some.headers)
def test_a_spoiled_notification_is_an_arrival_ignored_or_refused(
    data: st.DataObject, name: str, headers: list[tuple[str, bytes | None]]
) -> None:
    value = data.draw(some.spoiled(example(name)) | some.json_values)
    try:
        parsed = parse_s3_notification(some.to_bytes(value), headers, LIMITS, PATTERN)
    except EventRefused as refused:
        check_presentable(refused)
        return
    assert isinstance(parsed, ParsedArrival | IgnoredNotification)


@some.STEADY
@given(st.binary(max_size=300), some.headers)
def test_any_bytes_are_a_notification_or_refused(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    with pytest.raises(EventRefused):
        parse_s3_notification(value, headers, LIMITS, PATTERN)


@some.STEADY
@given(some.arrivals, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), some.times)
def test_what_is_written_is_read_back(value: dict[str, Any], event_id: str, moment: Any) -> None:
    event = parse(value, key=None).event
    trace = str(Traceparent.new())
    data, headers = encode_event(event, event_id=event_id, source="/intake/worker", time=moment, traceparent=trace)
    again = parse(data, list(headers), key=event.arrival_id.encode())
    assert again.event == event
    assert (again.event_id, again.source, again.time, again.traceparent) == (event_id, "/intake/worker", moment, trace)
    assert again.body_hash == body_hash(event) == parse(value, key=None).body_hash


@some.STEADY
@given(some.arrivals)
def test_what_the_model_reads_the_schema_reads(value: dict[str, Any]) -> None:
    parse(value, key=None)
    ITEM_SCHEMA.validate(value)


@some.STEADY
@given(some.spoiled(example("item-photographed.v1")))
@with_example({**example("item-photographed.v1"), "added": {"later": True}})
def test_what_the_schema_refuses_the_model_refuses(value: Any) -> None:
    if arrival_or_refusal(None, some.to_bytes(value), []) is not None:
        ITEM_SCHEMA.validate(json.loads(some.to_bytes(value)))


def stays_inside(key: str) -> bool:
    """Told another way than the parser tells it: however often it is decoded, the key is a place below a root, and nothing else."""
    for _ in range(8):
        below = posixpath.normpath(posixpath.join("/root", key)).startswith("/root/")
        plain = not any(letter in key for letter in "\\\x00\n\x85\u202e\u2028")
        scheme = urlsplit(key).scheme
        if scheme and key[len(scheme) + 1 :].startswith("/"):
            return False
        if not below or not plain or ".." in key.split("/"):
            return False
        key = unquote(key)
    return True


@some.STEADY
@given(some.forged_keys)
def test_a_key_that_is_read_is_a_place_below_its_bucket(key: str) -> None:
    try:
        photo = parse(with_photo(key=key)).event.photos[0]
    except EventRefused as refused:
        check_presentable(refused, {Reason.LOCATION_FORBIDDEN, Reason.EVENT_SCHEMA})
        return
    assert photo.key == key
    assert stays_inside(key)


@some.STEADY
@given(some.forged_keys, st.sampled_from([quote, quote_plus, str]))
def test_a_notified_key_that_is_read_is_a_place_below_its_bucket(key: str, encode: Any) -> None:
    message = example("s3-notification.aws")
    message["Records"][0]["s3"]["object"]["key"] = encode(key + "/A-1/front.jpg")
    try:
        parsed = parse_s3_notification(some.to_bytes(message), [], LIMITS, PATTERN)
    except EventRefused:
        return
    assert isinstance(parsed, ParsedArrival)
    assert stays_inside(parsed.event.photos[0].key)


@some.STEADY
@given(st.text(max_size=80))
def test_a_bucket_that_is_read_is_a_name(bucket: str) -> None:
    try:
        parsed = parse(with_photo(bucket=bucket))
    except EventRefused:
        return
    assert parsed.event.photos[0].bucket == bucket
    assert bucket.replace("-", "").replace(".", "").isalnum()
    assert 3 <= len(bucket) <= 63


@some.STEADY
@given(some.arrivals, st.data())
def test_a_name_written_twice_anywhere_is_refused(value: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in some.paths(value) if isinstance(path[-1], str)]))
    text = json.dumps(value)
    node: Any = value
    for step in path[:-1]:
        node = node[step]
    mark = "@@twice@@"
    twice = json.loads(text)
    target: Any = twice
    for step in path[:-1]:
        target = target[step]
    target[mark] = node[path[-1]]
    spelled = data.draw(st.sampled_from([str(path[-1]), "".join(f"\\u{ord(letter):04x}" for letter in str(path[-1]))]))
    with pytest.raises(EventRefused, match="twice"):
        parse(json.dumps(twice).replace(mark, spelled).encode(), key=None)


@some.STEADY
@given(st.integers(1, 3000), st.sampled_from([("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")]), st.booleans())
def test_depth_is_refused_exactly_beyond_its_limit(depth: int, brackets: tuple[str, str], closed: bool) -> None:
    text = brackets[0] * depth + "1" + (brackets[1] * depth if closed else "")
    levels = depth * (2 if len(brackets[1]) == 2 else 1)
    with pytest.raises(EventRefused) as caught:
        parse(f'{{"x":{text}}}'.encode(), key=None)
    assert ("deeper" in str(caught.value)) == (levels + 1 > LIMITS.max_depth)


@some.STEADY
@given(
    st.none()
    | st.text(max_size=80)
    | st.binary(max_size=80)
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
)
def test_any_traceparent_is_continued_or_a_new_trace_begins(header: str | bytes | None) -> None:
    trace = Traceparent.parse(header)
    continued = Traceparent.continued(header)
    assert Traceparent.parse(str(continued)) == continued
    assert trace is None or (Traceparent.parse(str(trace)) == trace and continued.trace_id == trace.trace_id)
