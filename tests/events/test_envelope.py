from __future__ import annotations

from typing import Any

import pytest

from tests.events.building import Headers, body, example, parse, reason, refusal
from worker.errors import Reason
from worker.events.reading import EventLimits

STRUCTURED: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def structured(**changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e-9", "source": "/app", "type": "intake.item-photographed.v1", "data": body(), **changes}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("ce_specversion", b"0.3")], Reason.EVENT_VERSION),
        ([("ce_specversion", b"")], Reason.EVENT_VERSION),
        ([("ce_type", b"intake.item-photographed.v2")], Reason.EVENT_VERSION),
        ([("ce_type", b"intake.item-photographed.v0")], Reason.EVENT_VERSION),
        ([("ce_type", b"intake.match-alert.v1")], Reason.EVENT_SCHEMA),
        ([("ce_type", b"com.example.order")], Reason.EVENT_SCHEMA),
        ([("ce_type", b"")], Reason.EVENT_SCHEMA),
        ([("ce_dataschema", b"urn:intake:schema:item-photographed:v2")], Reason.EVENT_VERSION),
        ([("ce_id", b"")], Reason.EVENT_SCHEMA),
        ([("ce_id", b"a\x00b")], Reason.EVENT_SCHEMA),
        ([("ce_id", b"x" * 1025)], Reason.EVENT_SCHEMA),
        ([("ce_source", b"")], Reason.EVENT_SCHEMA),
        ([("ce_id", b"\xff")], Reason.EVENT_SCHEMA),
        ([("ce_time", b"yesterday")], Reason.EVENT_SCHEMA),
        ([("ce_time", b"1700000000")], Reason.EVENT_SCHEMA),
        ([("ce_id", b"a"), ("ce_id", b"b")], Reason.EVENT_SCHEMA),
        ([("ce_id", b"a"), ("CE_ID", b"b")], Reason.EVENT_SCHEMA),
        ([("content-type", b"image/jpeg")], Reason.EVENT_SCHEMA),
        ([("content-type", b"application/cloudevents-batch+json")], Reason.EVENT_SCHEMA),
        ([("content-type", b"application/avro")], Reason.EVENT_SCHEMA),
    ],
    ids=str,
)
def test_an_envelope_that_is_wrong_is_refused(headers: Headers, expected: Reason) -> None:
    assert reason(body(), headers) is expected


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", b"application/json; charset=utf-8")],
        [("content-type", b"Text/JSON")],
        [("Content-Type", b"application/json")],
        [("ce_id", b"a"), ("ce_id", b"a")],
        [("ce_id", None)],
        [("ce_type", None), ("ce_specversion", None)],
        [("ce_myextension", b"anything"), ("x-request", b"\xff\xfe")],
        [("ce_subject", b"something of the producer's own")],
        [("traceparent", b"\xff\xff")],
        [("traceparent", TRACE.encode()), ("traceparent", b"rubbish")],
    ],
    ids=str,
)
def test_an_envelope_that_says_nothing_wrong_is_read(headers: Headers) -> None:
    assert parse(body(), headers).event.arrival_id == "A-1"


def test_the_envelope_gives_id_source_time_and_trace() -> None:
    headers: Headers = [
        ("ce_id", b"e-7"),
        ("ce_source", "/läden/3".encode()),
        ("ce_time", b"2026-11-21T11:00:00+01:00"),
        ("traceparent", TRACE.encode()),
    ]
    parsed = parse(body(), headers)
    assert (parsed.event_id, parsed.source, parsed.time.isoformat()) == ("e-7", "/läden/3", "2026-11-21T10:00:00+00:00")
    assert parsed.traceparent == TRACE


def test_headers_larger_than_an_event_are_refused() -> None:
    assert reason(body(), [("x", b"y" * 5000)], limits=EventLimits(max_bytes=4096)) is Reason.EVENT_TOO_LARGE


def test_a_long_header_is_not_repeated_in_the_message() -> None:
    assert len(str(refusal(body(), [("ce_type", b"t" * 9000)]))) < 200


def test_a_structured_event_says_the_same_as_a_binary_one() -> None:
    whole = example("cloudevent.item-photographed.v1")
    parsed = parse(whole, STRUCTURED, key=whole["subject"].encode())
    assert parsed.event == parse(whole["data"], key=None).event
    assert (parsed.event_id, parsed.source, parsed.traceparent) == (whole["id"], whole["source"], whole["traceparent"])


def test_a_structured_event_may_repeat_itself_in_headers() -> None:
    assert parse(structured(), [*STRUCTURED, ("ce_id", b"e-9"), ("ce_source", b"/app")]).event_id == "e-9"


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"data": "text"},
        {"data": [body()]},
        {"data_base64": "e30="},
        {"datacontenttype": "application/xml"},
        {"datacontenttype": 3},
        {"id": None},
        {"id": 9},
        {"source": None},
        {"type": None},
        {"specversion": 1.0},
        {"time": 3},
        {"type": "com.example.order"},
    ],
    ids=str,
)
def test_a_structured_event_that_is_wrong_is_refused(changes: dict[str, Any]) -> None:
    assert reason(structured(**changes), STRUCTURED) is Reason.EVENT_SCHEMA


@pytest.mark.parametrize(
    "changes", [{"specversion": "0.3"}, {"type": "intake.item-photographed.v7"}, {"dataschema": "urn:x"}], ids=str
)
def test_a_structured_event_of_an_unknown_version_is_refused(changes: dict[str, Any]) -> None:
    assert reason(structured(**changes), STRUCTURED) is Reason.EVENT_VERSION


def test_a_header_that_contradicts_the_structured_body_is_refused() -> None:
    assert "contradicts" in str(refusal(structured(), [*STRUCTURED, ("ce_id", b"other")]))
    assert "contradicts" in str(refusal(structured(), [*STRUCTURED, ("ce_type", b"intake.match-alert.v1")]))


def test_the_nearest_traceparent_wins_over_the_one_inside_the_body() -> None:
    other = TRACE.replace("4bf9", "1111")
    assert parse(structured(traceparent=other), [*STRUCTURED, ("traceparent", TRACE.encode())]).traceparent == TRACE
    assert parse(structured(traceparent=other), STRUCTURED).traceparent == other
