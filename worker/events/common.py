"""What several events share: the base model, identifiers, photo locations and attributes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from worker.events.places import NO_BUCKET_PATTERN, check_bucket, check_key

# Namespace of every id the worker derives (UUIDv5). Chosen once at random; changing it would make replays look new.
ID_NAMESPACE = UUID("7c0a4b52-5f0e-4d53-9a39-0b6d2f5e8c11")

# Identifiers travel as Kafka keys, Qdrant payload values, file names of the demo and log fields: visible ASCII, no separators.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+=-]{0,127}$"
Identifier = Annotated[str, StringConstraints(pattern=ID_PATTERN)]

# S3's own limits: bucket names 3..63, keys 1..1024 bytes of UTF-8.
_BUCKET_SCHEMA: JsonDict = {"not": {"pattern": NO_BUCKET_PATTERN}}
BucketName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    AfterValidator(check_bucket),
    Field(json_schema_extra=_BUCKET_SCHEMA),
]
# What a JSON Schema can say of `check_key`: no leading slash, no backslash, no control character, no `.` or `..` as a segment.
_KEY_SCHEMA: JsonDict = {
    "pattern": r"^[^/\\\u0000-\u001f\u007f][^\\\u0000-\u001f\u007f]*$",
    "not": {"pattern": r"(^|/)\.{1,2}(/|$)"},
}
ObjectKey = Annotated[
    str, StringConstraints(min_length=1, max_length=1024), AfterValidator(check_key), Field(json_schema_extra=_KEY_SCHEMA)
]
VIEW_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
View = Annotated[str, StringConstraints(pattern=VIEW_PATTERN)]
# Free text that ends up in logs and on pages: no control characters.
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\u0000-\u001f\u007f]+$")]

# RFC 3339 with an offset. pydantic alone would also read "1700000000" as a time.
INSTANT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
_INSTANT = re.compile(INSTANT_PATTERN)
# Years outside cannot be moved between time zones without leaving what datetime holds, and no photo was taken then.
FIRST_YEAR, LAST_YEAR = 1970, 9998


def _rfc3339(value: object) -> object:
    if not isinstance(value, str):
        return value
    if _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass  # the digits are no date, time or offset
    raise ValueError("must be an RFC 3339 time with offset, as in 2026-11-21T10:00:00Z")


def _in_utc(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return value.astimezone(UTC)


# A moment, read with any offset and kept in UTC.
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc3339),
    AfterValidator(_in_utc),
    Field(json_schema_extra={"pattern": INSTANT_PATTERN}),
]


def derived_id(*parts: str) -> UUID:
    """A UUIDv5 of `parts`: the same input gives the same id in every process and on every replay.

    The parts are joined with U+001F (unit separator), which no identifier may hold, so ``("a", "bc")`` and ``("ab", "c")``
    differ.
    """
    return uuid5(ID_NAMESPACE, "\x1f".join(parts))


class Model(BaseModel):
    """Base of every part of an event: immutable; unknown fields are ignored so that a newer writer breaks no reader."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,  # what the worker writes always holds every field
    )


class Event(Model):
    """Base of every event. `EVENT_NAME` and `EVENT_VERSION` make its CloudEvents type and its schema's file name."""

    EVENT_NAME: ClassVar[str]
    EVENT_VERSION: ClassVar[int]

    @classmethod
    def ce_type(cls) -> str:
        """The CloudEvents `type`, as in ``intake.match-alert.v1``."""
        return f"intake.{cls.EVENT_NAME}.v{cls.EVENT_VERSION}"

    @classmethod
    def schema_name(cls) -> str:
        """The schema's file name, as in ``match-alert.v1.json``."""
        return f"{cls.EVENT_NAME}.v{cls.EVENT_VERSION}.json"

    @classmethod
    def schema_urn(cls) -> str:
        """The schema's `$id` and the CloudEvents `dataschema`, as in ``urn:intake:schema:match-alert:v1``."""
        return f"urn:intake:schema:{cls.EVENT_NAME}:v{cls.EVENT_VERSION}"


class DecisionKind(StrEnum):
    """What the worker decided about an arrival."""

    DUPLICATE = "duplicate"
    REVIEW = "review"
    NEW = "new"


class PhotoLocation(Model):
    """Where one photo lies in S3. Only configured buckets and prefixes are ever read; no URL is followed."""

    bucket: BucketName = Field(description="S3 bucket; must be on the worker's allow-list.")
    key: ObjectKey = Field(description="Object key, not url-encoded; must start with an allowed prefix.")
    version_id: ShortText | None = Field(default=None, description="S3 version to read; the newest if absent.")
    etag: ShortText | None = Field(default=None, description="ETag the object must still have, without quotes.")
    view: View = Field(default="front", description="What the photo shows: front, back, label, detail, ...")


class Attributes(Model):
    """What is known about the garment beside its photos. Narrows a search only where the worker is configured to."""

    brand: ShortText | None = Field(default=None, description="As the supplier writes it.")
    gender: ShortText | None = Field(default=None, description="Whom the garment is cut for.")
    category: ShortText | None = Field(default=None, description="Kind of garment, in the catalogue's own words.")
    colour: ShortText | None = Field(default=None, description="In the catalogue's own words.")
    size: ShortText | None = Field(default=None, description="As on the label.")
    supplier: ShortText | None = Field(default=None, description="Who delivered it.")
    warehouse: ShortText | None = Field(default=None, description="Where it arrived.")

    def present(self) -> dict[str, str]:
        """The attributes that are set."""
        return {name: value for name, value in self if value is not None}


class ModelFingerprint(Model):
    """Which models and which index an answer came from."""

    segmenter: str = Field(description="Registry id of the segmenter, as in `u2netp`.")
    embedder: str = Field(description="Registry id of the embedder.")
    pipeline: str = Field(description="Short hash over segmenter, embedder and preprocessing; part of the collection's name.")
    collection: str = Field(description="Name of the collection that was searched.")


class Timings(Model):
    """Milliseconds spent on this arrival, by stage, and from the event's time to the decision."""

    stages_ms: dict[str, float] = Field(
        default_factory=dict, description="Stage name to milliseconds (a batch's time, not a share)."
    )
    event_to_decision_ms: float | None = Field(default=None, description="From the event's own time to the decision.")
    decided_at: Instant = Field(description="When the decision was made (UTC).")
