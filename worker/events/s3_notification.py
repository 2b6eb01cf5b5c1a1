"""S3 `ObjectCreated` notifications, of AWS and of MinIO, as arrivals.

Both send ``{"Records": [{"eventName", "eventTime", "s3": {"bucket": {"name"}, "object": {"key", "versionId", "eTag",
"sequencer"}}}]}`` with url-encoded keys (``+`` is a space). MinIO writes ``s3:ObjectCreated:Put`` where AWS writes
``ObjectCreated:Put`` and adds a top-level EventName and Key, which are not read. Only this plain form is taken: SNS must deliver raw,
and EventBridge's form is refused; both refusals say so.

One message is one outcome:

* Objects created: one arrival, named by the configured key pattern (named groups ``arrival_id`` and, optional, ``view``), with one
  photo for each object. A message whose objects name several arrivals is refused (`event-schema`): S3 itself never sends one.
* Nothing created (a removal, a restore, ``s3:TestEvent``): no arrival took place, so there is nothing to decide. The result is
  `IgnoredNotification`: counted, committed, and not published.
* Anything else is refused: `key-pattern` where the key does not fit, `location-forbidden` where it is no plain key.

A notification knows one object. Where an arrival has several photos, let one of them notify (a suffix filter on the bucket, as in
``front.jpg``), or publish `item-photographed` events: the second notification of an arrival says something else under the same id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

from pydantic import Field
from pydantic_core import PydanticCustomError

from worker.errors import ConfigurationError, EventRefused, Reason
from worker.events.codec import ParsedArrival, body_hash
from worker.events.common import ID_PATTERN, VIEW_PATTERN, Instant, Model
from worker.events.envelope import RecordHeaders, check_header_size
from worker.events.ids import notification_event_id
from worker.events.item_photographed import MAX_PHOTOS, ItemPhotographed
from worker.events.places import check_key
from worker.events.reading import EventLimits, JsonObject, canonical, quoted, read_object
from worker.events.strict import validated
from worker.events.trace import Traceparent

_NAME = "s3 notification"
_CREATED = "ObjectCreated:"
_TEST_EVENT = "s3:TestEvent"
_EVENT_NAME = re.compile(r"[A-Za-z0-9]+(:[A-Za-z0-9*]+)*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# S3 writes this for objects of buckets without versions; not every server takes it back.
_NO_VERSION = "null"
# A key of 1024 bytes, every byte as %XX.
_MAX_ENCODED_KEY = 3 * 1024
_DEFAULT_VIEW = "front"


class S3Bucket(Model):
    """The bucket of a notification."""

    name: str


class S3Object(Model):
    """The object of a notification."""

    key: str = Field(max_length=_MAX_ENCODED_KEY, description="Object key, url-encoded as in a query: `+` is a space.")
    version_id: str | None = Field(default=None, alias="versionId", description="Absent in buckets without versions.")
    etag: str | None = Field(default=None, alias="eTag", description="The photo must still have it when it is fetched.")
    sequencer: str | None = Field(default=None, description="Orders events of one key; part of the derived event id.")


class S3Entity(Model):
    """Bucket and object of a notification."""

    bucket: S3Bucket
    object: S3Object


class S3Record(Model):
    """One thing that happened to one object."""

    event_name: str = Field(alias="eventName", description="As in `ObjectCreated:Put`; MinIO writes `s3:` before it.")
    event_time: Instant = Field(alias="eventTime", description="Taken as the time the photo was taken.")
    s3: S3Entity


class S3Notification(Model):
    """A message of S3 (AWS or MinIO) about created objects. All its objects must belong to one arrival."""

    records: tuple[S3Record, ...] = Field(alias="Records", min_length=1, max_length=MAX_PHOTOS)


@dataclass(frozen=True, slots=True)
class IgnoredNotification:
    """A notification of something that is no arrival. `what` names it, as in ``ObjectRemoved:Delete``."""

    what: str


def compile_key_pattern(pattern: str) -> re.Pattern[str]:
    """The setting `notification_key_pattern`, compiled.

    Raises:
        ConfigurationError: it is no regular expression, or has no group `arrival_id`.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigurationError(f"INTAKE_STREAM__NOTIFICATION_KEY_PATTERN is no regular expression: {error}") from error
    if "arrival_id" not in compiled.groupindex:
        raise ConfigurationError("INTAKE_STREAM__NOTIFICATION_KEY_PATTERN needs a named group: (?P<arrival_id>...)")
    return compiled


def parse_s3_notification(
    value: bytes | None, headers: RecordHeaders, limits: EventLimits, pattern: re.Pattern[str]
) -> ParsedArrival | IgnoredNotification:
    """One record of the notification topic. Its key says nothing the value does not say and is not looked at.

    Raises:
        EventRefused: as described in this module.
    """
    check_header_size(headers, limits)
    message = read_object(value, limits)
    created = _created_records(message)
    if isinstance(created, IgnoredNotification):
        return created
    notification = validated(S3Notification, canonical({"Records": created}), _NAME)
    objects = [(record.s3.bucket.name, _decoded(record.s3.object.key), record.s3.object) for record in notification.records]
    photos: list[JsonObject] = []
    arrival_ids: set[str] = set()
    for bucket, key, stored in objects:
        arrival_id, view = _named(pattern, key)
        arrival_ids.add(arrival_id)
        photos.append({"bucket": bucket, "key": key, "version_id": _version(stored), "etag": _etag(stored), "view": view})
    if len(arrival_ids) > 1:
        raise EventRefused(
            Reason.EVENT_SCHEMA, f"{_NAME}: its {len(photos)} objects name {len(arrival_ids)} arrivals; one is allowed"
        )
    happened = min(record.event_time for record in notification.records)
    event = validated(
        ItemPhotographed,
        canonical({"arrival_id": arrival_ids.pop(), "photographed_at": happened.isoformat(), "photos": photos}),
        _NAME,
    )
    traceparent = next((text for name, text in headers if name.lower() == "traceparent"), None)
    trace = Traceparent.parse(traceparent)
    parts = [(bucket, key, _version(stored) or _etag(stored) or "", stored.sequencer or "") for bucket, key, stored in objects]
    return ParsedArrival(
        event=event,
        event_id=str(notification_event_id(parts)),
        source=f"/s3/{objects[0][0]}",
        time=happened,
        traceparent=None if trace is None else str(trace),
        body_hash=body_hash(event),
    )


def _created_records(message: JsonObject) -> list[object] | IgnoredNotification:
    if message.get("Event") == _TEST_EVENT:
        return IgnoredNotification(_TEST_EVENT)
    records = message.get("Records")
    if not isinstance(records, list) or not records:
        raise EventRefused(Reason.EVENT_SCHEMA, _missing_records(message))
    created: list[object] = []
    others: list[str] = []
    for record in records:
        name = record.get("eventName") if isinstance(record, dict) else None
        if not isinstance(name, str) or not _EVENT_NAME.fullmatch(name):
            raise EventRefused(Reason.EVENT_SCHEMA, f"{_NAME}: every record needs an eventName")
        plain = name.removeprefix("s3:")
        if plain.startswith(_CREATED):
            created.append(record)
        else:
            others.append(plain)
    return created or IgnoredNotification(quoted(others[0]).strip("'"))


def _missing_records(message: JsonObject) -> str:
    if message.get("Type") == "Notification" and "Message" in message:
        return f"{_NAME}: wrapped by SNS; turn on raw message delivery"
    if "detail-type" in message:
        return f"{_NAME}: EventBridge's form is not read; send S3's own notifications"
    return f"{_NAME}: Records is missing or empty"


def _decoded(key: str) -> str:
    if _BROKEN_ESCAPE.search(key):
        raise EventRefused(Reason.LOCATION_FORBIDDEN, f"{_NAME}: the key is not url-encoded")
    try:
        return check_key(unquote_plus(key, errors="strict"))
    except UnicodeDecodeError as error:
        raise EventRefused(Reason.LOCATION_FORBIDDEN, f"{_NAME}: the key is not url-encoded UTF-8") from error
    except PydanticCustomError as error:
        raise EventRefused(Reason.LOCATION_FORBIDDEN, f"{_NAME}: {error.message()}") from None


def _named(pattern: re.Pattern[str], key: str) -> tuple[str, str]:
    match = pattern.search(key)
    if match is None:
        raise EventRefused(Reason.KEY_PATTERN, f"{_NAME}: the key does not fit notification_key_pattern")
    groups = match.groupdict()
    arrival_id, view = groups["arrival_id"], groups.get("view") or _DEFAULT_VIEW
    if arrival_id is None or not re.fullmatch(ID_PATTERN, arrival_id):
        raise EventRefused(Reason.KEY_PATTERN, f"{_NAME}: what the key pattern takes for the arrival_id is none")
    if not re.fullmatch(VIEW_PATTERN, view):
        raise EventRefused(Reason.KEY_PATTERN, f"{_NAME}: what the key pattern takes for the view is none")
    return arrival_id, view


def _version(stored: S3Object) -> str | None:
    return None if stored.version_id in {None, "", _NO_VERSION} else stored.version_id


def _etag(stored: S3Object) -> str | None:
    return (stored.etag or "").strip('"') or None
