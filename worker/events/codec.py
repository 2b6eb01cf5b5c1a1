"""Events to Kafka records and back: JSON values with CloudEvents 1.0 headers (Kafka protocol binding, binary mode).

Writing always gives binary mode. Reading takes binary mode, structured mode (``content-type: application/cloudevents+json``) and
bare JSON without any CloudEvents header, which is taken as version 1. Types are strict: no number becomes a string, no string a
number. Whatever is wrong, the only exception is `EventRefused`; its message names the field and never quotes the content.

The record's key: a producer that keys must key by `arrival_id`, for that is what keeps an arrival and its replays in order, on one
partition and so in one worker. Another key is refused. A record without a key is read: ids still make its replays visible.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import orjson

from worker.errors import EventRefused, Reason
from worker.events.common import Event
from worker.events.envelope import SPEC_VERSION, Envelope, RecordHeaders, open_envelope
from worker.events.ids import arrival_event_id
from worker.events.item_photographed import ItemPhotographed
from worker.events.reading import EventLimits, canonical
from worker.events.strict import validated
from worker.events.trace import Traceparent

CONTENT_TYPE = b"application/json"

EventT = TypeVar("EventT", bound=Event)


@dataclass(frozen=True, slots=True)
class ParsedArrival:
    """One input event, read and checked.

    Attributes:
        event: what arrived.
        event_id: the CloudEvents id; derived from the arrival's id where the producer set none.
        source: the CloudEvents source; empty where the producer set none.
        time: when the event happened: the CloudEvents time, or else when the photo was taken.
        traceparent: the producer's valid W3C traceparent, or None.
        body_hash: see `body_hash`.
    """

    event: ItemPhotographed
    event_id: str
    source: str
    time: datetime
    traceparent: str | None
    body_hash: str


def encode_event(
    event: Event, *, event_id: str, source: str, time: datetime, traceparent: str | None
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The record's value and headers. Deterministic: the same arguments give the same bytes.

    `time` is when the event happened, with time zone; `source` a URI reference such as ``/intake/worker``; an invalid
    `traceparent` is left out.
    """
    value = orjson.dumps(event.model_dump(mode="json"))
    attributes = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": event.ce_type(),
        "ce_time": time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_dataschema": event.schema_urn(),
    }
    subject = getattr(event, "arrival_id", None)
    if subject:
        attributes["ce_subject"] = subject
    headers = [(name, text.encode("utf-8")) for name, text in attributes.items()]
    headers.append(("content-type", CONTENT_TYPE))
    trace = Traceparent.parse(traceparent)
    if trace is not None:
        headers.append(("traceparent", str(trace).encode("ascii")))
    return value, headers


def decode_event(
    event_type: type[EventT], value: bytes | None, headers: RecordHeaders, limits: EventLimits
) -> tuple[EventT, Envelope]:
    """Any event of this type, strictly, with its envelope; the key is not looked at.

    Raises:
        EventRefused: as described in this module.
    """
    body, envelope = open_envelope(event_type, value, headers, limits)
    return validated(event_type, canonical(body), event_type.EVENT_NAME), envelope


def parse_item_photographed(key: bytes | None, value: bytes | None, headers: RecordHeaders, limits: EventLimits) -> ParsedArrival:
    """One record of the topic `item-photographed`.

    Raises:
        EventRefused: as described in this module.
    """
    event, envelope = decode_event(ItemPhotographed, value, headers, limits)
    if key is not None and key != event.arrival_id.encode("ascii"):
        raise EventRefused(Reason.EVENT_SCHEMA, "the record's key is not its arrival_id: key the topic by arrival_id")
    return ParsedArrival(
        event=event,
        event_id=envelope.event_id or str(arrival_event_id(event.arrival_id)),
        source=envelope.source or "",
        time=envelope.time or event.photographed_at,
        traceparent=envelope.traceparent,
        body_hash=body_hash(event),
    )


def body_hash(event: Event) -> str:
    """SHA-256 (64 hexadecimal digits) of what the event says, so that the same id with another body is noticed.

    Taken over the canonical JSON of the fields that are understood and differ from their defaults: spacing, order, unknown fields
    and a field a later version adds do not change it.
    """
    return hashlib.sha256(canonical(event.model_dump(mode="json", exclude_defaults=True))).hexdigest()
