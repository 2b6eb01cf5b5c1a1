"""A catalogue in memory: small enough to read, as strict as the engines (it passes their behaviour suite)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np

from worker.catalogue.naming import checked_name
from worker.catalogue.payload import checked_vector
from worker.catalogue.protocol import Catalogue, CatalogueStats, Hit, Point, PointState, Query
from worker.errors import ConfigurationError


class MemoryCatalogue:
    """`worker.catalogue.protocol.Catalogue` over a dictionary, one lock a call."""

    def __init__(self, collection: str, dimension: int, alias: str = "catalogue") -> None:
        self._collection = collection
        self._dimension = dimension
        self._alias = alias
        self._lock = threading.Lock()
        self._points: dict[UUID, Point] = {}
        self.dropped = False

    @property
    def collection(self) -> str:
        return self._collection

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        self.check()
        with self._lock:
            points = list(self._points.values())
        return [self._one(query, points) for query in queries]

    def _one(self, query: Query, points: list[Point]) -> list[Hit]:
        vector = np.asarray(checked_vector(query.vector, self._dimension, self._collection), dtype=np.float32)
        hits = []
        for point in points:
            own = query.exclude_arrival is not None and point.arrival_id == query.exclude_arrival
            present = point.attributes.present()
            if own or any(present.get(name, value) != value for name, value in query.attributes.items()) or point.vector is None:
                continue
            similarity = max(-1.0, min(1.0, float(vector @ point.vector)))
            hits.append(
                Hit(
                    point.point_id,
                    similarity,
                    point.article_id,
                    point.view,
                    point.location,
                    point.state,
                    point.attributes,
                    point.arrival_id,
                )
            )
        return sorted(hits, key=lambda hit: (-hit.similarity, str(hit.point_id)))[: query.limit]

    def upsert(self, points: Sequence[Point]) -> None:
        for point in points:
            checked_vector(point.vector, self._dimension, self._collection)
        with self._lock:
            for point in points:
                there = self._points.get(point.point_id)
                overtaken = there is not None and there.state is PointState.SETTLED and point.state is PointState.PENDING
                if not overtaken:
                    self._points[point.point_id] = point

    def points_of_arrivals(self, arrival_ids: Sequence[str]) -> dict[str, list[Point]]:
        wanted = set(arrival_ids)
        found: dict[str, list[Point]] = {}
        with self._lock:
            for _, point in sorted(self._points.items(), key=lambda item: str(item[0])):
                if point.arrival_id is not None and point.arrival_id in wanted:
                    found.setdefault(point.arrival_id, []).append(replace(point, vector=None))
        return found

    def settle(self, records: Mapping[str, str]) -> None:
        with self._lock:
            for point_id, point in list(self._points.items()):
                record = records.get(point.arrival_id or "")
                if record is not None and point.state is PointState.PENDING:
                    self._points[point_id] = replace(point, state=PointState.SETTLED, record=record)

    def withdraw(self, arrival_ids: Sequence[str]) -> None:
        wanted = set(arrival_ids)
        self._delete({p for p, point in self._points.items() if point.arrival_id in wanted}, pending_only=True)

    def delete_articles(self, article_ids: Sequence[str]) -> None:
        wanted = set(article_ids)
        self._delete({p for p, point in self._points.items() if point.article_id in wanted}, pending_only=False)

    def _delete(self, point_ids: set[UUID], *, pending_only: bool) -> None:
        with self._lock:
            for point_id in point_ids:
                point = self._points.get(point_id)
                if point is not None and not (pending_only and point.state is PointState.SETTLED):
                    del self._points[point_id]

    def existing(self, point_ids: Sequence[UUID]) -> set[UUID]:
        with self._lock:
            return set(point_ids) & set(self._points)

    def points(self, point_ids: Sequence[UUID]) -> dict[UUID, Point]:
        with self._lock:
            return {wanted: replace(self._points[wanted], vector=None) for wanted in point_ids if wanted in self._points}

    def scroll(self, *, with_vectors: bool = False, batch: int = 256) -> Iterator[list[Point]]:
        with self._lock:
            points = [point for _, point in sorted(self._points.items(), key=lambda item: str(item[0]))]
        for start in range(0, len(points), batch):
            part = points[start : start + batch]
            yield part if with_vectors else [replace(point, vector=None) for point in part]

    def stats(self) -> CatalogueStats:
        with self._lock:
            pending = sum(point.state is PointState.PENDING for point in self._points.values())
            return CatalogueStats("memory", self._collection, self._alias, len(self._points), pending, self._dimension)

    def check(self) -> None:
        if self.dropped:
            raise ConfigurationError(f"collection {self._collection!r} was dropped")

    def close(self) -> None:
        """Nothing to release."""


@dataclass
class MemoryAdmin:
    """`worker.catalogue.protocol.CatalogueAdmin` over a dictionary."""

    alias: str = "catalogue"
    _collections: dict[str, tuple[int, MemoryCatalogue]] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def ensure_collection(self, name: str, dimension: int) -> bool:
        checked_name(name)
        with self._lock:
            made = name not in self._collections
            if made:
                self._collections[name] = (dimension, MemoryCatalogue(name, dimension, self.alias))
            if self._collections[name][0] != dimension:
                raise ConfigurationError(f"collection {name!r} has dimension {self._collections[name][0]}: reindex")
            return made

    def collections(self) -> list[str]:
        return sorted(self._collections)

    def alias_target(self) -> str | None:
        return self._aliases.get(self.alias)

    def switch_alias(self, collection: str) -> None:
        with self._lock:
            self.open(collection)
            self._aliases[self.alias] = collection
        time.sleep(0.001)  # no engine switches at once: other threads get their turn

    def open(self, collection: str) -> Catalogue:
        if collection not in self._collections:
            raise ConfigurationError(f"there is no collection {collection!r}")
        return self._collections[collection][1]

    def drop_collection(self, name: str) -> None:
        with self._lock:
            if self._aliases.get(self.alias) == name:
                raise ConfigurationError(f"collection {name!r} is live: switch the alias first")
            if name in self._collections:
                self._collections.pop(name)[1].dropped = True

    def close(self) -> None:
        """Nothing to release."""
