"""`match-alert` v1: the arrival is, or may be, an article of the catalogue. For the inventory system and a person's eyes."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from worker.events.common import (
    Attributes,
    DecisionKind,
    Event,
    Identifier,
    Instant,
    Model,
    ModelFingerprint,
    PhotoLocation,
    Timings,
)

# Paper 1 (Yam 2018) wished for the ten best, for people to look at.
MAX_CANDIDATES = 10


class MatchedPhoto(Model):
    """The pair of photos on which a candidate's similarity rests."""

    arrival_view: str = Field(description="View of the arrival's photo.")
    arrival_key: str = Field(description="Key of the arrival's photo.")
    article_view: str = Field(description="View of the article's photo.")
    article_location: str = Field(description="Where the article's photo lies, as s3://bucket/key or a local path.")


class AlertCandidate(Model):
    """An article the arrival may be."""

    rank: int = Field(ge=1, le=MAX_CANDIDATES, description="1 is the best.")
    article_id: Identifier = Field(description="The article of the catalogue.")
    similarity: float = Field(ge=-1.0, le=1.0, description="Cosine similarity of the best pair of photos.")
    probability: float = Field(ge=0.0, le=1.0, description="Calibrated probability that the arrival is this article.")
    margin: float | None = Field(description="Similarity minus that of the next candidate; null for the last.")
    matched_photo: MatchedPhoto = Field(description="The pair of photos the similarity rests on.")
    attributes: Attributes = Field(default_factory=Attributes, description="Of the article.")
    pending: bool = Field(default=False, description="True if this is a twin in flight, not yet settled in the catalogue.")


class StoredPicture(Model):
    """A picture the worker stored for people: the crop it embedded, and the mask laid over the photo."""

    view: str = Field(description="View of the photo.")
    crop: str | None = Field(default=None, description="s3:// location of the crop.")
    overlay: str | None = Field(default=None, description="s3:// location of the mask overlay.")


class Explanation(Model):
    """Why the decision was made, in a sentence for people and in numbers for programs."""

    reason: str = Field(description="One sentence.")
    duplicate_threshold: float = Field(description="Similarity from which an arrival is a duplicate.")
    review_threshold: float = Field(description="Similarity from which a person should look.")
    best_similarity: float | None = Field(default=None, description="Of the best candidate; null if there was none.")
    flags: tuple[str, ...] = Field(default=(), description="What a person should know: twin-in-flight, photo-blurred, ...")


class MatchAlert(Event):
    """The arrival is (duplicate) or may be (review) an article already in the catalogue. Key: `arrival_id`."""

    EVENT_NAME: ClassVar[str] = "match-alert"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Derived from the arrival's id (UUIDv5): a replay carries the same id.")
    arrival_id: Identifier = Field(description="The arrival this is about; also the record's key.")
    decision: Literal[DecisionKind.DUPLICATE, DecisionKind.REVIEW] = Field(
        description="`duplicate`: it is the first candidate; `review`: a person should look."
    )
    photographed_at: Instant = Field(description="As in the arrival's event.")
    photos: tuple[PhotoLocation, ...] = Field(description="As in the arrival's event.")
    attributes: Attributes = Field(
        default_factory=Attributes, description="As in the arrival's event; a flag says what was read off the photos."
    )
    candidates: tuple[AlertCandidate, ...] = Field(max_length=MAX_CANDIDATES, description="Best first, up to ten.")
    explanation: Explanation = Field(description="Why it was decided so.")
    pictures: tuple[StoredPicture, ...] = Field(default=(), description="One for each photo, where storing is on.")
    models: ModelFingerprint = Field(description="Which models and which index decided.")
    timings: Timings = Field(description="Where the time went; the only part a replay may change.")
