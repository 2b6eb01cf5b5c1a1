"""`dead-letter-redriven` v1: the mark beside a dead letter that says that its event was sent again."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from worker.events.common import Event, Instant


class DeadLetterRedriven(Event):
    """One dead letter was redriven; lies in the topic of the dead letters. Key: the dead letter's id."""

    EVENT_NAME: ClassVar[str] = "dead-letter-redriven"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Derived from the dead letter's id (UUIDv5).")
    dead_letter_id: UUID = Field(description="`event_id` of the dead letter; also the record's key.")
    redriven_at: Instant = Field(description="When the original event was published again, in the same transaction as this mark.")
