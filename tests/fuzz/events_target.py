"""What the fuzzer of the event parsers calls: whatever the bytes, an event or `EventRefused`. The first byte chooses the parser."""

from __future__ import annotations

import time
from pathlib import Path

from worker.errors import EventRefused
from worker.events import CatalogueInsert, DeadLetter, Event, MatchAlert, MatchDecision
from worker.events.codec import ParsedArrival, decode_event, encode_event, parse_item_photographed
from worker.events.places import check_key
from worker.events.reading import EventLimits
from worker.events.s3_notification import compile_key_pattern, parse_s3_notification
from worker.settings import StreamSettings

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"

# What the first byte (modulo) chooses, with the examples that are seeds of it.
MODES: tuple[tuple[str, str], ...] = (
    ("bare", "item-photographed.*"),
    ("structured", "cloudevent.*"),
    ("notification", "s3-*"),
    ("match-alert", "match-alert.*"),
    ("catalogue-insert", "catalogue-insert.*"),
    ("dead-letter", "dead-letter.*"),
    ("match-decision", "match-decision.*"),
    ("headers", "item-photographed.*"),
)
DECODED: dict[str, type[Event]] = {event.EVENT_NAME: event for event in (MatchAlert, CatalogueInsert, DeadLetter, MatchDecision)}
STRUCTURED: list[tuple[str, bytes | None]] = [("content-type", b"application/cloudevents+json")]

# In the mode "headers", the input is the values of these headers and then the body, parted by this.
HEADERS = ("ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "ce_dataschema", "content-type", "traceparent")
PART = b"\xff\n"
_TYPICAL = (b"1.0", b"intake.item-photographed.v1", b"e-1", b"/app", b"2026-11-21T09:14:03Z", b"", b"application/json")
_TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

# No input of libFuzzer's default size (4 KiB) takes milliseconds of its thread; three seconds are a bug even on a slow machine whose garbage is collected meanwhile.
SLOW_S = 3.0
LONGEST_MESSAGE = 1000

LIMITS = EventLimits()
PATTERN = compile_key_pattern(StreamSettings().notification_key_pattern)


def seeds() -> list[bytes]:
    """The example events, each with the byte that chooses its parser."""
    found = []
    for index, (mode, pattern) in enumerate(MODES):
        for path in sorted(EXAMPLES.glob(f"{pattern}json")):
            body = path.read_bytes()
            found.append(bytes([index]) + (PART.join((*_TYPICAL, _TRACE, body)) if mode == "headers" else body))
    return found


def mode_of(data: bytes) -> str:
    """Which parser reads this input; it has at least one byte."""
    return MODES[data[0] % len(MODES)][0]


def read(mode: str, body: bytes) -> ParsedArrival | None:
    """The arrival in `body`; None where it is another event, or a notification of no arrival."""
    if mode == "notification":
        found = parse_s3_notification(body, [], LIMITS, PATTERN)
        return found if isinstance(found, ParsedArrival) else None
    if mode in DECODED:
        event, _ = decode_event(DECODED[mode], body, [], LIMITS)
        event.model_dump_json()
        return None
    if mode == "headers":
        *values, body = body.split(PART, len(HEADERS))
        headers: list[tuple[str, bytes | None]] = [(name, text or None) for name, text in zip(HEADERS, values, strict=False)]
        return parse_item_photographed(None, body, headers, LIMITS)
    return parse_item_photographed(None, body, STRUCTURED if mode == "structured" else [], LIMITS)


def target(data: bytes) -> None:
    """Read `data`; raise RuntimeError where a promise of the parsers does not hold."""
    if not data:
        return
    begun = time.thread_time()
    try:
        parsed = read(mode_of(data), data[1:])
    except EventRefused as refused:
        parsed = None
        if not 0 < len(str(refused)) < LONGEST_MESSAGE:
            raise RuntimeError("a refusal's message is empty or long") from refused
    if time.thread_time() - begun > SLOW_S:
        raise RuntimeError("reading took too long")
    if parsed is not None:
        check_arrival(parsed)


def check_arrival(parsed: ParsedArrival) -> None:
    """Raise where an arrival that was read cannot be written and read again, or names what no photo may be called."""
    for photo in parsed.event.photos:
        check_key(photo.key)
    value, headers = encode_event(
        parsed.event, event_id=parsed.event_id, source=parsed.source or "/", time=parsed.time, traceparent=parsed.traceparent
    )
    again = parse_item_photographed(parsed.event.arrival_id.encode(), value, headers, LIMITS)
    if (again.event, again.event_id, again.body_hash) != (parsed.event, parsed.event_id, parsed.body_hash):
        raise RuntimeError("an event changed when it was written and read again")
