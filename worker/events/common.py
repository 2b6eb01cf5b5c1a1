"""What several events share: the base model, identifiers, photo locations and attributes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# Namespace of every id the worker derives (UUIDv5). Chosen once at random; changing it would make replays look new.
ID_NAMESPACE = UUID("7c0a4b52-5f0e-4d53-9a39-0b6d2f5e8c11")

# Identifiers travel as Kafka keys, Qdrant payload values, file names of the demo and log fields: visible ASCII, no separators.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+=-]{0,127}$"
Identifier = Annotated[str, StringConstraints(pattern=ID_PATTERN)]

# S3's own limits: bucket names 3..63, keys 1..1024 bytes of UTF-8.
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
ObjectKey = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
View = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def derived_id(*parts: str) -> UUID:
    """A UUIDv5 of `parts`: the same input gives the same id in every process and on every replay.

    The parts are joined with U+001F (unit separator), which no identifier may hold, so ``("a", "bc")`` and ``("ab", "c")``
    differ.
    """
    return uuid5(ID_NAMESPACE, "\x1f".join(parts))


class Model(BaseModel):
    """Base of every part of an event: immutable; unknown fields are ignored so that a newer writer breaks no reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


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

    brand: ShortText | None = None
    gender: ShortText | None = None
    category: ShortText | None = None
    colour: ShortText | None = None
    size: ShortText | None = None
    supplier: ShortText | None = None
    warehouse: ShortText | None = None

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
    decided_at: datetime = Field(description="When the decision was made (UTC).")
