"""`dead-letter` v1: an event that no retry can help, with everything needed to look at it and to send it again."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from worker.errors import Reason
from worker.events.common import Event, Instant, Model


class RecordSource(Model):
    """Where the refused record was read."""

    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    timestamp_ms: int | None = Field(default=None, description="The record's own timestamp.")


class RecordHeader(Model):
    """A header of the refused record, byte for byte."""

    name: str
    value_base64: str | None = Field(description="Null where the header had no value.")


class DeadLetter(Event):
    """One refused event. Key: the original record's key."""

    EVENT_NAME: ClassVar[str] = "dead-letter"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Derived from topic, partition, offset and reason (UUIDv5).")
    arrival_id: str | None = Field(default=None, description="Null where the event could not be read so far.")
    reason: Reason
    message: str = Field(max_length=4096, description="What is wrong and what to do, for people.")
    stage: str = Field(description="Stage that refused it: parse, fetch, decode, segment, embed, search, match, settle.")
    attempts: int = Field(ge=1)
    failed_at: Instant
    worker: str = Field(description="Version and instance of the worker.")
    traceparent: str | None = None
    source: RecordSource
    original_key_base64: str | None
    original_value_base64: str | None
    original_headers: tuple[RecordHeader, ...] = ()
