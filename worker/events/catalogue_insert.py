"""`catalogue-insert` v1: the arrival is new; an article is to be created. For the catalogue system."""

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
from worker.events.match_alert import Explanation, StoredPicture


class EmbeddingReference(Model):
    """Where the arrival's embeddings are: point ids in the collection named by `models.collection`."""

    point_ids: tuple[UUID, ...] = Field(description="One for each photo, in the order of `photos`.")
    dimension: int = Field(ge=1, description="Of each vector.")


class NearestNeighbour(Model):
    """The article nearest to the arrival: near, but not near enough."""

    article_id: Identifier = Field(description="The nearest article.")
    similarity: float = Field(ge=-1.0, le=1.0, description="Cosine similarity of the best pair of photos.")


class CatalogueInsert(Event):
    """The arrival is no article of the catalogue; create one. Key: `arrival_id`."""

    EVENT_NAME: ClassVar[str] = "catalogue-insert"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Derived from the arrival's id (UUIDv5): a replay carries the same id.")
    arrival_id: Identifier = Field(description="The arrival this is about; also the record's key.")
    article_id: Identifier = Field(description="Id of the article to create, derived from the arrival's id.")
    decision: Literal[DecisionKind.NEW] = Field(default=DecisionKind.NEW, description="Always `new`.")
    photographed_at: Instant = Field(description="As in the arrival's event.")
    photos: tuple[PhotoLocation, ...] = Field(description="As in the arrival's event.")
    attributes: Attributes = Field(
        default_factory=Attributes, description="As in the arrival's event; a flag says what was read off the photos."
    )
    embedding: EmbeddingReference = Field(description="Where the arrival's embeddings are.")
    nearest: NearestNeighbour | None = Field(default=None, description="Null if the catalogue was empty.")
    explanation: Explanation = Field(description="Why it is new.")
    pictures: tuple[StoredPicture, ...] = Field(default=(), description="One for each photo, where storing is on.")
    models: ModelFingerprint = Field(description="Which models and which index decided.")
    timings: Timings = Field(description="Where the time went; the only part a replay may change.")
