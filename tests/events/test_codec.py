from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.events.building import LIMITS, as_bytes, body, example, parse, reason, refusal, with_photo
from worker.errors import EventRefused, Reason
from worker.events import CatalogueInsert, DeadLetter, Event, ItemPhotographed, MatchAlert, MatchDecision
from worker.events.codec import body_hash, decode_event, encode_event
from worker.events.ids import arrival_event_id

NOW = datetime(2026, 11, 21, 10, 0, 0, 250000, UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("event_type", "name"),
    [
        (ItemPhotographed, "item-photographed.v1"),
        (MatchAlert, "match-alert.v1"),
        (CatalogueInsert, "catalogue-insert.v1"),
        (DeadLetter, "dead-letter.v1"),
        (MatchDecision, "match-decision.v1"),
    ],
)
def test_every_event_comes_back_as_it_was_written(event_type: type[Event], name: str) -> None:
    event = event_type.model_validate_json(as_bytes(example(name)), strict=True)
    value, headers = encode_event(event, event_id="e-1", source="/intake/worker", time=NOW, traceparent=TRACE)
    again, envelope = decode_event(event_type, value, headers, LIMITS)
    assert again == event
    assert (envelope.event_id, envelope.source, envelope.time, envelope.traceparent) == ("e-1", "/intake/worker", NOW, TRACE)


def test_the_headers_are_cloudevents_in_binary_mode() -> None:
    event = parse(body()).event
    _, headers = encode_event(event, event_id="e-1", source="/phone-app", time=NOW, traceparent=TRACE)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_source": b"/phone-app",
        "ce_type": b"intake.item-photographed.v1",
        "ce_time": b"2026-11-21T10:00:00.250000Z",
        "ce_dataschema": b"urn:intake:schema:item-photographed:v1",
        "ce_subject": b"A-1",
        "content-type": b"application/json",
        "traceparent": TRACE.encode(),
    }


@pytest.mark.parametrize("traceparent", [None, "", "rubbish", "00-" + "0" * 32 + "-" + "1" * 16 + "-01"])
def test_an_invalid_traceparent_is_not_published(traceparent: str | None) -> None:
    _, headers = encode_event(parse(body()).event, event_id="e", source="/s", time=NOW, traceparent=traceparent)
    assert "traceparent" not in dict(headers)


def test_a_dead_letter_of_an_unreadable_event_has_no_subject() -> None:
    event = DeadLetter.model_validate(example("dead-letter.v1.unreadable"))
    _, headers = encode_event(event, event_id="e", source="/s", time=NOW, traceparent=None)
    assert "ce_subject" not in dict(headers)


def test_the_same_event_gives_the_same_bytes() -> None:
    event = parse(body()).event
    first = encode_event(event, event_id="e", source="/s", time=NOW, traceparent=TRACE)
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert encode_event(event, event_id="e", source="/s", time=local, traceparent=TRACE) == first


def test_an_event_without_any_header_is_version_1_with_a_derived_id() -> None:
    parsed = parse(body())
    assert parsed.event_id == str(arrival_event_id("A-1"))
    assert parsed.source == ""
    assert parsed.time == parsed.event.photographed_at
    assert parsed.traceparent is None


def test_photos_default_to_the_front_and_attributes_to_nothing() -> None:
    event = parse(body()).event
    assert event.photos[0].view == "front"
    assert event.attributes.present() == {}


def test_unknown_fields_are_ignored() -> None:
    assert parse(body(added_later={"x": [1, 2]})).event == parse(body()).event


def test_times_are_kept_in_utc() -> None:
    assert parse(body(photographed_at="2026-11-21T10:14:03+01:00")).event == parse(body()).event


def test_a_record_without_a_key_is_read() -> None:
    assert parse(body(), key=None).event.arrival_id == "A-1"


@pytest.mark.parametrize("key", [b"", b"A-2", b"a-1", b"A-1 ", b"\xff", b'"A-1"'])
def test_another_key_than_the_arrival_id_is_refused(key: bytes) -> None:
    found = refusal(body(), key=key)
    assert found.reason is Reason.EVENT_SCHEMA
    assert "key" in str(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"arrival_id": 5},
        {"arrival_id": None},
        {"arrival_id": ""},
        {"arrival_id": "a b"},
        {"arrival_id": "a/b"},
        {"arrival_id": "-a"},
        {"arrival_id": "a\n"},
        {"arrival_id": "ä"},
        {"arrival_id": "x" * 129},
        {"arrival_id": ["A-1"]},
        {"photographed_at": 1_700_000_000},
        {"photographed_at": "1700000000"},
        {"photographed_at": "2026-11-21"},
        {"photographed_at": "2026-11-21T09:14:03"},
        {"photographed_at": "2026-11-21 09:14:03Z"},
        {"photographed_at": "2026-13-21T09:14:03Z"},
        {"photographed_at": "2026-11-21T25:14:03Z"},
        {"photographed_at": "2026-11-21T09:14:03+99:00"},
        {"photographed_at": "0001-01-01T00:00:00+14:00"},
        {"photographed_at": "9999-12-31T23:59:59-14:00"},
        {"photographed_at": "\uff12\uff10\uff12\uff16-11-21T09:14:03Z"},
        {"photographed_at": None},
        {"photos": []},
        {"photos": None},
        {"photos": {}},
        {"photos": "in/A-1/front.jpg"},
        {"photos": [None]},
        {"photos": [{"bucket": "intake-photos"}]},
        {"photos": [{"bucket": "intake-photos", "key": 7}]},
        {"photos": [{"bucket": "intake-photos", "key": f"k{n}"} for n in range(17)]},
        {"photos": [{"bucket": "intake-photos", "key": "k"}] * 2},
        {"photos": [{"bucket": "intake-photos", "key": "k", "view": "Front!"}]},
        {"photos": [{"bucket": "intake-photos", "key": "k", "etag": ""}]},
        {"photos": [{"bucket": "intake-photos", "key": "k", "version_id": 1}]},
        {"attributes": None},
        {"attributes": []},
        {"attributes": {"brand": 3}},
        {"attributes": {"brand": True}},
        {"attributes": {"brand": ""}},
        {"attributes": {"brand": "x" * 257}},
        {"attributes": {"brand": "a\u0000b"}},
        {"attributes": {"brand": "a\nb"}},
    ],
    ids=str,
)
def test_a_field_of_another_type_or_shape_is_refused(changes: dict[str, Any]) -> None:
    found = refusal(body(**changes), key=None)
    assert found.reason is Reason.EVENT_SCHEMA
    assert next(iter(changes)) in str(found) or "photos must not name the same object twice" in str(found)


@pytest.mark.parametrize("field", ["arrival_id", "photographed_at", "photos"])
def test_a_missing_field_is_named(field: str) -> None:
    event = body()
    del event[field]
    assert field in str(refusal(event))


def test_a_refusal_never_quotes_what_stood_in_the_event() -> None:
    secret = "AKIA-hunter2-hunter2"
    for event in (
        body(arrival_id=secret + "!"),
        body(photographed_at=secret),
        with_photo(view=secret),
        with_photo(key=f"../{secret}"),
        with_photo(bucket=secret),
        body(attributes={"brand": [secret]}),
    ):
        assert secret not in str(refusal(event, key=None))


def test_a_refusal_stays_short_however_wrong_the_event_is() -> None:
    photos = [{"bucket": "B", "key": 1, "view": "", "etag": 1, "version_id": 1}] * 2000
    assert len(str(refusal(body(photos=photos)))) < 1000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Reason.EVENT_NOT_JSON),
        (b"", Reason.EVENT_NOT_JSON),
        (b" \n", Reason.EVENT_NOT_JSON),
        (b"{", Reason.EVENT_NOT_JSON),
        (b"<html>", Reason.EVENT_NOT_JSON),
        (b"\xff\xfe{\x00}\x00", Reason.EVENT_NOT_JSON),
        (b"\xef\xbb\xbf{}", Reason.EVENT_NOT_JSON),
        (b"null", Reason.EVENT_SCHEMA),
        (b"[]", Reason.EVENT_SCHEMA),
        (b'"{}"', Reason.EVENT_SCHEMA),
        (b"{}", Reason.EVENT_SCHEMA),
    ],
)
def test_what_is_no_json_object_is_refused(value: bytes | None, expected: Reason) -> None:
    assert reason(value) is expected


def test_the_body_hash_notices_another_body_and_nothing_else() -> None:
    first = parse(body()).body_hash
    reordered = as_bytes(dict(reversed(body(attributes={}, added_later=1).items())))
    assert parse(reordered).body_hash == first
    assert parse(with_photo(view="front", etag=None)).body_hash == first
    assert parse(with_photo(view="back")).body_hash != first
    assert parse(with_photo(etag="abc")).body_hash != first
    assert parse(body(attributes={"colour": "red"})).body_hash != first


def test_the_body_hash_does_not_change_between_releases() -> None:
    # Recorded decisions hold it: a release that computes another one would take every replay for a conflict.
    assert body_hash(parse(body()).event) == "5152e7b7b6ef3544daee84bd38e1297576e56df9bd486e033d932909bbac43c2"


def test_any_event_can_be_decoded_and_is_checked_against_its_own_type() -> None:
    value = as_bytes(example("match-decision.v1"))
    decision, _ = decode_event(MatchDecision, value, [], LIMITS)
    assert decision.verdict == "confirm"
    with pytest.raises(EventRefused, match="confirmation must name"):
        decode_event(MatchDecision, as_bytes({**example("match-decision.v1"), "article_id": None}), [], LIMITS)
    with pytest.raises(EventRefused, match="type"):
        decode_event(MatchDecision, value, [("ce_type", b"intake.match-alert.v1")], LIMITS)


def test_a_dead_letter_can_be_made_with_any_message() -> None:
    made = DeadLetter.model_validate({**example("dead-letter.v1"), "message": "x" * 10_000 + "\ud800"})
    assert len(made.message) == 4096
    odd = DeadLetter.model_validate({**example("dead-letter.v1"), "message": "bad \ud800 text"})
    assert odd.message == "bad ? text"
