"""The seam to the vector index: one protocol, two engines (Qdrant server, embedded Qdrant Edge), one behaviour suite for both.

One point is one photo of one article. A point of an arrival that looks new is `pending` until the race protocol settles it; the
points of `intake catalogue load` are settled from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from worker.events import Attributes


class PointState(StrEnum):
    """Where a point stands in the race protocol."""

    PENDING = "pending"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One photo of one article, as it is written.

    Attributes:
        point_id: derived (UUIDv5) from the article or arrival and the photo, so that a replay writes the same point.
        vector: (dimension,) float32, L2-normalised; None where it was not asked for on reading.
        article_id: the article this photo shows.
        view: of the photo.
        location: of the photo, as ``s3://bucket/key`` or a local path.
        arrival_id: the arrival that made this point; None for loaded articles.
        record: the recorded decision (the `catalogue-insert` event as JSON text) of a settled arrival, on each of its points.
    """

    point_id: UUID
    vector: npt.NDArray[np.float32] | None
    article_id: str
    view: str
    location: str
    state: PointState
    fingerprint: str
    written_at: datetime
    attributes: Attributes = field(default_factory=Attributes)
    arrival_id: str | None = None
    record: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One search by one photo.

    Attributes:
        vector: (dimension,) float32, L2-normalised.
        limit: most points to return (not articles: `Catalogue.search` does not group).
        attributes: only points whose attributes equal these or are not known (each of them); empty: no filter. An arrival leaves
            out what it does not know, so that of any two arrivals either both find the other or none does.
        exclude_arrival: leave out points of this arrival (an arrival never matches itself).
    """

    vector: npt.NDArray[np.float32]
    limit: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    exclude_arrival: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One point a search returned. `similarity` is the cosine, -1..1."""

    point_id: UUID
    similarity: float
    article_id: str
    view: str
    location: str
    state: PointState
    attributes: Attributes
    arrival_id: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogueStats:
    """What `intake catalogue stats` and the metrics show."""

    engine: str
    collection: str
    alias: str
    points: int
    pending: int
    dimension: int
    details: Mapping[str, str] = field(default_factory=dict)


class Catalogue(Protocol):
    """A vector index with the garments' photos. Every method is thread-safe.

    Every method raises `CatalogueUnavailable` (retry) when the engine does not answer or fails on its side, `AccessDenied` (stop)
    when it refuses the credentials, and `ConfigurationError` (stop) when the collection does not fit the models (dimension,
    distance, fingerprint).
    """

    @property
    def collection(self) -> str:
        """Name of the collection that is read and written."""

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """For each query its hits, best first. A search begun after a write returned sees that write (linearizable reads)."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; returns when every later search by any client sees them. Writing the same id again replaces it.

        One exception: a pending point never replaces a settled one, so that a worker that was overtaken cannot undo a decision.
        """

    def points_of_arrivals(self, arrival_ids: Sequence[str]) -> dict[str, list[Point]]:
        """The points each arrival made (without vectors); arrivals that have none are left out."""

    def settle(self, records: Mapping[str, str]) -> None:
        """For each arrival id: set its pending points `settled` and store the record (JSON text) in them; visible on return.

        What was withdrawn does not come back, and of two settlers the first one's record stays.
        """

    def withdraw(self, arrival_ids: Sequence[str]) -> None:
        """Delete the *pending* points of these arrivals; settled ones stay. Visible on return."""

    def delete_articles(self, article_ids: Sequence[str]) -> None:
        """Delete every point of these articles."""

    def existing(self, point_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these points are there (for resuming a load)."""

    def points(self, point_ids: Sequence[UUID]) -> dict[UUID, Point]:
        """Those of these points that are there, without vectors (for showing the photo a point stands for)."""

    def scroll(self, *, with_vectors: bool = False, batch: int = 256) -> Iterator[list[Point]]:
        """All points, in batches, in a stable order."""

    def stats(self) -> CatalogueStats:
        """Counts, and what the engine says of itself."""

    def check(self) -> None:
        """Return if the engine answers and the collection fits; raise otherwise. Cheap: used by /readyz."""

    def close(self) -> None:
        """Release connections and locks. Idempotent."""


class CatalogueAdmin(Protocol):
    """Collections and the alias. The collection name carries the models' fingerprint."""

    @property
    def alias(self) -> str:
        """Name of the alias (`CatalogueSettings.alias`)."""

    def ensure_collection(self, name: str, dimension: int) -> bool:
        """Create the collection (cosine distance, payload indexes) unless it is there; True if it was created.

        Raises `ConfigurationError` if it is there with another dimension or distance.
        """

    def collections(self) -> list[str]:
        """Names of all collections."""

    def alias_target(self) -> str | None:
        """The collection the alias `catalogue` names now."""

    def switch_alias(self, collection: str) -> None:
        """Point the alias at `collection`, atomically."""

    def open(self, collection: str) -> Catalogue:
        """A catalogue on this collection."""

    def drop_collection(self, name: str) -> None:
        """Delete a collection; refuses (ConfigurationError) the one the alias names."""

    def close(self) -> None:
        """Release connections and locks."""
