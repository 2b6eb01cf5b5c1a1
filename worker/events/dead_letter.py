"""`dead-letter` v1: an event that no retry can help, with everything needed to look at it and to send it again."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic.config import JsonDict

from worker.errors import Reason
from worker.events.common import Event, Instant, Model

# Enough for any message of this worker; a longer one is cut, because a dead letter must never fail for its own message.
MAX_MESSAGE = 4096


def _presentable(message: object) -> object:
    if not isinstance(message, str):
        return message
    return message.encode("utf-8", "replace").decode("utf-8")[:MAX_MESSAGE]


def _open_enumeration(schema: JsonDict) -> None:
    # Not `enum`: a new reason must break no reader.
    schema.pop("$ref", None)
    schema["type"] = "string"
    schema["pattern"] = "^[a-z0-9-]+$"
    schema["x-extensible-enum"] = [reason.value for reason in Reason]


class RecordSource(Model):
    """Where the refused record was read."""

    topic: str = Field(description="Topic it was read from; a redrive sends it there again.")
    partition: int = Field(ge=0, description="Partition it was read from.")
    offset: int = Field(ge=0, description="Its offset.")
    timestamp_ms: int | None = Field(default=None, description="The record's own timestamp.")


class RecordHeader(Model):
    """A header of the refused record, byte for byte."""

    name: str = Field(description="Name of the header.")
    value_base64: str | None = Field(description="Null where the header had no value.")


class DeadLetter(Event):
    """One refused event. Key: the original record's key."""

    EVENT_NAME: ClassVar[str] = "dead-letter"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Derived from topic, partition, offset and reason (UUIDv5).")
    arrival_id: str | None = Field(default=None, description="Null where the event could not be read so far.")
    reason: Reason = Field(
        description="Why it was refused. Readers must expect values they do not know.",
        json_schema_extra=_open_enumeration,
    )
    message: Annotated[str, BeforeValidator(_presentable)] = Field(
        max_length=MAX_MESSAGE, description="What is wrong and what to do, for people."
    )
    stage: str = Field(description="Stage that refused it: parse, fetch, decode, segment, embed, search, match, settle.")
    attempts: int = Field(ge=1, description="How often it was tried.")
    failed_at: Instant = Field(description="When it was given up.")
    worker: str = Field(description="Version and instance of the worker.")
    traceparent: str | None = Field(default=None, description="W3C trace the event came with.")
    source: RecordSource = Field(description="Where the record was read.")
    original_key_base64: str | None = Field(description="The record's key, byte for byte; null where it had none.")
    original_value_base64: str | None = Field(
        description="The record's value, byte for byte; null where it had none, or where `message` says it was too large."
    )
    original_headers: tuple[RecordHeader, ...] = Field(
        default=(), description="The record's headers, in order; empty where it was too large."
    )
