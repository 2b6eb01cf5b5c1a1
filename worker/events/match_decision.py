"""`match-decision` v1: a person looked at a match alert and confirmed or rejected it."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field, model_validator

from worker.events.common import Event, Identifier, Instant, ShortText


class MatchDecision(Event):
    """A person's verdict on one alert. Key: `arrival_id`. Feeds calibration."""

    EVENT_NAME: ClassVar[str] = "match-decision"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID
    alert_id: UUID = Field(description="`event_id` of the alert that was looked at.")
    arrival_id: Identifier
    verdict: Literal["confirm", "reject"]
    article_id: Identifier | None = Field(default=None, description="The article it is; required to confirm.")
    decided_by: ShortText | None = None
    decided_at: Instant

    @model_validator(mode="after")
    def _confirm_names_an_article(self) -> MatchDecision:
        if self.verdict == "confirm" and self.article_id is None:
            raise ValueError("a confirmation must name the article_id")
        return self
