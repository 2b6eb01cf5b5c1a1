"""The CloudEvents 1.0 envelope of a Kafka record: binary mode (headers ``ce_...``), structured mode, or none at all.

What an envelope says must be true, and must be said once: a header that occurs twice with different values, a header that
contradicts the structured body, an unknown specversion, type or schema is refused. What it does not say is taken as version 1.
Extensions and unknown headers are ignored; a header without a value counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from worker.errors import EventRefused, Reason
from worker.events.common import Event, Instant
from worker.events.reading import EventLimits, JsonObject, quoted, read_object
from worker.events.trace import Traceparent

SPEC_VERSION = "1.0"
STRUCTURED = "application/cloudevents+json"
_JSON_TYPES = ("application/json", "text/json")
_PREFIX = "ce_"
_CONTENT_TYPE, _TRACEPARENT = "content-type", "traceparent"
# CloudEvents wants non-empty strings and gives no upper bound; ids and sources of real producers are far below this.
_MAX_ATTRIBUTE = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OUR_TYPE = re.compile(r"intake\.([a-z0-9-]+)\.v([0-9]{1,6})")
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)

RecordHeaders = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the CloudEvents attributes said; None where they did not.

    Attributes:
        traceparent: only if it is a valid W3C traceparent, in canonical form.
    """

    event_id: str | None = None
    source: str | None = None
    time: datetime | None = None
    subject: str | None = None
    traceparent: str | None = None


def open_envelope(
    event_type: type[Event], value: bytes | None, headers: RecordHeaders, limits: EventLimits
) -> tuple[JsonObject, Envelope]:
    """The event's own JSON object, and its envelope.

    Raises:
        EventRefused: the value cannot be read, or the envelope contradicts itself, `event_type` or CloudEvents 1.0.
    """
    attributes = _from_headers(headers, limits)
    content_type = attributes.pop(_CONTENT_TYPE, "").split(";")[0].strip().lower()
    traceparent = attributes.pop(_TRACEPARENT, None)
    body = read_object(value, limits)
    if content_type == STRUCTURED:
        body, said = _from_structured(body)
        attributes = _merged(attributes, said)
    elif content_type and content_type not in _JSON_TYPES:
        raise EventRefused(
            Reason.EVENT_SCHEMA, f"content-type {quoted(content_type)} is not {' or '.join((*_JSON_TYPES, STRUCTURED))}"
        )
    _check_attributes(event_type, attributes)
    valid = Traceparent.parse(traceparent or attributes.get(_TRACEPARENT))
    return body, Envelope(
        event_id=attributes.get("id"),
        source=attributes.get("source"),
        time=_time(attributes.get("time")),
        subject=attributes.get("subject"),
        traceparent=None if valid is None else str(valid),
    )


def check_header_size(headers: RecordHeaders, limits: EventLimits) -> None:
    """Refuse (EventRefused) headers that are together larger than an event may be."""
    size = sum(len(name) + len(value or b"") for name, value in headers)
    if size > limits.max_bytes:
        raise EventRefused(Reason.EVENT_TOO_LARGE, f"the headers have {size} bytes; {limits.max_bytes} are allowed")


def _from_headers(headers: RecordHeaders, limits: EventLimits) -> dict[str, str]:
    check_header_size(headers, limits)
    attributes: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if value is None or not (lower.startswith(_PREFIX) or lower in {_CONTENT_TYPE, _TRACEPARENT}):
            continue
        if lower == _TRACEPARENT:  # never a reason to refuse: the standard says to start a new trace
            attributes.setdefault(_TRACEPARENT, value.decode("latin-1"))
            continue
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise EventRefused(Reason.EVENT_SCHEMA, f"the header {quoted(name)} is not UTF-8") from error
        attribute = lower.removeprefix(_PREFIX)
        if attributes.setdefault(attribute, text) != text:
            raise EventRefused(Reason.EVENT_SCHEMA, f"the header {quoted(name)} occurs twice and differs")
    return attributes


def _from_structured(body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
    data = body.get("data")
    if "data_base64" in body or not isinstance(data, dict):
        raise EventRefused(Reason.EVENT_SCHEMA, "a structured CloudEvent must carry the event as a JSON object in `data`")
    inner = body.get("datacontenttype")
    if inner is not None and (not isinstance(inner, str) or inner.split(";")[0].strip().lower() not in _JSON_TYPES):
        raise EventRefused(Reason.EVENT_SCHEMA, "datacontenttype must be application/json")
    for required in ("specversion", "id", "source", "type"):
        if not isinstance(body.get(required), str):
            raise EventRefused(Reason.EVENT_SCHEMA, f"a structured CloudEvent must carry `{required}` as a string")
    said: dict[str, str] = {}
    for name in ("specversion", "id", "source", "type", "time", "subject", "dataschema", _TRACEPARENT):
        attribute = body.get(name)
        if isinstance(attribute, str):
            said[name] = attribute
        elif attribute is not None:
            raise EventRefused(Reason.EVENT_SCHEMA, f"the CloudEvents attribute `{name}` must be a string")
    return data, said


def _merged(attributes: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    for name, text in said.items():
        if attributes.get(name, text) != text:
            raise EventRefused(Reason.EVENT_SCHEMA, f"the header ce_{name} contradicts the body's `{name}`")
    return {**attributes, **said}


def _check_attributes(event_type: type[Event], attributes: Mapping[str, str]) -> None:
    specversion = attributes.get("specversion", SPEC_VERSION)
    if specversion != SPEC_VERSION:
        raise EventRefused(Reason.EVENT_VERSION, f"CloudEvents specversion {quoted(specversion)} is not {SPEC_VERSION}")
    for name in ("id", "source", "subject"):
        text = attributes.get(name)
        if text is not None and (not text or len(text) > _MAX_ATTRIBUTE or _CONTROL.search(text)):
            raise EventRefused(
                Reason.EVENT_SCHEMA,
                f"the CloudEvents {name} must be 1 to {_MAX_ATTRIBUTE} characters, none of them a control character",
            )
    named = attributes.get("type", event_type.ce_type())
    if named != event_type.ce_type():
        ours = _OUR_TYPE.fullmatch(named)
        if ours is not None and ours[1] == event_type.EVENT_NAME:
            raise EventRefused(
                Reason.EVENT_VERSION,
                f"version {ours[2]} of {event_type.EVENT_NAME} is unknown here; {event_type.ce_type()} is read",
            )
        raise EventRefused(Reason.EVENT_SCHEMA, f"the CloudEvents type {quoted(named)} is not {event_type.ce_type()}")
    schema = attributes.get("dataschema", event_type.schema_urn())
    if schema != event_type.schema_urn():
        raise EventRefused(Reason.EVENT_VERSION, f"the CloudEvents dataschema {quoted(schema)} is not {event_type.schema_urn()}")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return _INSTANT.validate_python(text)
    except ValidationError as error:
        raise EventRefused(Reason.EVENT_SCHEMA, "the CloudEvents time is no RFC 3339 time with offset") from error
