"""`item-photographed` v1: one garment arrived and was photographed. The worker's input."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field, model_validator

from worker.events.common import Attributes, Event, Identifier, Instant, PhotoLocation

# A phone app sends a handful; more is a mistake that would hold up a whole batch.
MAX_PHOTOS = 16


class ItemPhotographed(Event):
    """One arrival with its photos. Key on the topic: `arrival_id`."""

    EVENT_NAME: ClassVar[str] = "item-photographed"
    EVENT_VERSION: ClassVar[int] = 1

    arrival_id: Identifier = Field(description="Identifies the arrival; the same id with the same body is a replay.")
    photographed_at: Instant = Field(description="When the photo was taken, with time zone.")
    photos: tuple[PhotoLocation, ...] = Field(min_length=1, max_length=MAX_PHOTOS, description="The arrival's photos, 1 to 16.")
    attributes: Attributes = Field(default_factory=Attributes, description="What is known about the garment.")

    @model_validator(mode="after")
    def _photos_differ(self) -> ItemPhotographed:
        places = [(photo.bucket, photo.key, photo.version_id) for photo in self.photos]
        if len(set(places)) != len(places):
            raise ValueError("photos must not name the same object twice")
        return self

    @property
    def time(self) -> datetime:
        """The event's own time, for `event_to_decision_ms`."""
        return self.photographed_at
