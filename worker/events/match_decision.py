"""`match-decision` v1: a person looked at a match alert and confirmed or rejected it."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from worker.events.common import Event, Identifier, Instant, ShortText

_CONFIRM_NAMES_AN_ARTICLE: JsonDict = {
    "if": {"properties": {"verdict": {"const": "confirm"}}},
    "then": {"required": ["article_id"], "properties": {"article_id": {"type": "string"}}},
}


class MatchDecision(Event):
    """A person's verdict on one alert. Key: `arrival_id`. Feeds calibration."""

    model_config = ConfigDict(json_schema_extra=_CONFIRM_NAMES_AN_ARTICLE)

    EVENT_NAME: ClassVar[str] = "match-decision"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Chosen by whoever publishes; the same id is the same verdict.")
    alert_id: UUID = Field(description="`event_id` of the alert that was looked at.")
    arrival_id: Identifier = Field(description="The arrival this is about; also the record's key.")
    verdict: Literal["confirm", "reject"] = Field(description="Is the arrival that article?")
    article_id: Identifier | None = Field(default=None, description="The article it is; required to confirm.")
    decided_by: ShortText | None = Field(default=None, description="Who looked, as a pseudonym; never a full name.")
    decided_at: Instant = Field(description="When the person decided.")

    @model_validator(mode="after")
    def _confirm_names_an_article(self) -> MatchDecision:
        if self.verdict == "confirm" and self.article_id is None:
            raise ValueError("a confirmation must name the article_id")
        return self
