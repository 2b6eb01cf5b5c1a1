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

    point_ids: tuple[UUID, ...]
    dimension: int = Field(ge=1)


class NearestNeighbour(Model):
    """The article nearest to the arrival: near, but not near enough."""

    article_id: Identifier
    similarity: float = Field(ge=-1.0, le=1.0)


class CatalogueInsert(Event):
    """The arrival is no article of the catalogue; create one. Key: `arrival_id`."""

    EVENT_NAME: ClassVar[str] = "catalogue-insert"
    EVENT_VERSION: ClassVar[int] = 1

    event_id: UUID = Field(description="Derived from the arrival's id (UUIDv5): a replay carries the same id.")
    arrival_id: Identifier
    article_id: Identifier = Field(description="Id of the article to create, derived from the arrival's id.")
    decision: Literal[DecisionKind.NEW] = DecisionKind.NEW
    photographed_at: Instant
    photos: tuple[PhotoLocation, ...]
    attributes: Attributes = Field(default_factory=Attributes)
    embedding: EmbeddingReference
    nearest: NearestNeighbour | None = Field(default=None, description="Null if the catalogue was empty.")
    explanation: Explanation
    pictures: tuple[StoredPicture, ...] = Field(default=())
    models: ModelFingerprint
    timings: Timings
