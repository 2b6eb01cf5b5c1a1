"""The catalogue in this process: Qdrant Edge, the server's engine as a library, on a folder.

Measured (README): searches scan all points until `optimise` has built the graph, which is fast enough to tens of thousands of points.
Writes go to a write-ahead log first: what a method returned from survives the death of the process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import qdrant_edge as edge

from worker.catalogue import payload, selection
from worker.catalogue.chunks import chunks
from worker.catalogue.gate import Gate
from worker.catalogue.protocol import CatalogueStats, Hit, Point, PointState, Query
from worker.catalogue.selection import Selection
from worker.errors import CatalogueUnavailable

WRITE_CHUNK = 256
MEGABYTE = 1_000_000


def to_filter(wanted: Selection) -> edge.Filter:
    """The selection as Edge's filter; an empty one lets every point through."""
    return edge.Filter(
        must=[
            *(_condition(name, values) for name, values in wanted.among.items()),
            *(
                edge.Filter(should=[_condition(name, (value,)), edge.IsEmptyCondition(name)])
                for name, value in wanted.unless_absent.items()
            ),
        ],
        must_not=[_condition(name, values) for name, values in wanted.none_of.items()],
    )


def _condition(name: str, values: Sequence[str]) -> edge.FieldCondition:
    match = edge.MatchValue(values[0]) if len(values) == 1 else edge.MatchAny(list(values))
    return edge.FieldCondition(name, match=match)


@dataclass(slots=True)
class EdgeShardHandle:
    """A shard, shared by every catalogue on its collection. `gate` keeps it from being closed under a running call.

    After a write that failed the engine refuses every further one ("Not recovered from previous error"), however much room there is by
    then: only opening it anew heals it, which also carries out what its log already holds. So `failed` is followed by that.
    """

    shard: edge.EdgeShard
    gate: Gate
    collection: str
    dimension: int
    folder: Path
    min_free_bytes: int
    failed: bool = False
    closed: bool = False

    @classmethod
    def open(cls, folder: Path, dimension: int, min_free_bytes: int) -> EdgeShardHandle:
        """Open the shard in a collection's folder. Raises what the engine raises."""
        return cls(edge.EdgeShard.load(str(folder / "shard")), Gate(), folder.name, dimension, folder, min_free_bytes)

    def close(self) -> None:
        """Wait for running calls, flush and close; every later call is refused."""
        self.gate.shut(self._close)

    @contextmanager
    def use(self, what: str, *, writes: bool = False) -> Iterator[edge.EdgeShard]:
        """The shard, for one call. Raises `CatalogueUnavailable` for whatever the engine raises, and when a write has no room."""
        if self.closed or (self.failed and writes):
            self._open_again()
        with self.gate.pass_through(f"collection {self.collection!r}"):
            if writes:
                self._check_room()
            try:
                yield self.shard
            # The engine raises bare Exceptions for everything; what the caller did wrong was checked before.
            except Exception as error:
                self.failed = self.failed or writes
                raise CatalogueUnavailable(f"the embedded index {self.folder} could not {what}: {error}") from error

    def _open_again(self) -> None:
        """Raise `CatalogueUnavailable` if that fails as well; the next call tries again."""
        with self.gate.alone(f"collection {self.collection!r}"):
            if not (self.failed or self.closed):
                return  # somebody else did it meanwhile
            self._check_room()
            try:
                self._close()
                self.shard = edge.EdgeShard.load(str(self.folder / "shard"))
            except Exception as error:
                raise CatalogueUnavailable(f"the embedded index {self.folder} cannot be opened again: {error}") from error
            self.failed = self.closed = False

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            self.shard.close()

    def _check_room(self) -> None:
        """Raise `CatalogueUnavailable` if the disk is nearly full.

        Asked before each write because the engine's files are mapped into memory: a write to a full disk there is not an error
        but a SIGBUS, the end of the process.
        """
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise CatalogueUnavailable(
                f"the folder {self.folder} of the embedded index cannot be read: {error.strerror}"
            ) from error
        if free < self.min_free_bytes:
            raise CatalogueUnavailable(
                f"the disk of {self.folder} has {free // MEGABYTE} MB left, less than the {self.min_free_bytes // MEGABYTE} MB of "
                "INTAKE_CATALOGUE__MIN_FREE_MB: make room, writes go on by themselves"
            )


class EdgeCatalogue:
    """`worker.catalogue.protocol.Catalogue` on one embedded collection."""

    def __init__(self, handle: EdgeShardHandle, alias: str, ef_search: int | None) -> None:
        self._handle = handle
        self._alias = alias
        self._params = edge.SearchParams(hnsw_ef=ef_search, exact=False, indexed_only=False)

    @property
    def collection(self) -> str:
        """Name of the collection that is read and written."""
        return self._handle.collection

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """For each query its hits, best first."""
        requests = [self._request(query) for query in queries]
        if not requests:
            return []
        with self._handle.use("search") as shard:
            answers = shard.query_batch(edge.QueryBatchRequest(requests))
        return [[payload.to_hit(point.id, point.score, point.payload) for point in answer] for answer in answers]

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points. A pending point never replaces a settled one."""
        pending = [point for point in points if point.state is PointState.PENDING]
        settled = [point for point in points if point.state is PointState.SETTLED]
        for group, condition in ((pending, to_filter(selection.PENDING)), (settled, None)):
            for part in chunks(group, WRITE_CHUNK):
                structs = [self._struct(point) for point in part]
                self._update("write", edge.UpdateOperation.upsert_points(structs, condition=condition))

    def points_of_arrivals(self, arrival_ids: Sequence[str]) -> dict[str, list[Point]]:
        """The points each arrival made (without vectors), in the order of their ids; arrivals that have none are left out."""
        found: dict[str, list[Point]] = {}
        if arrival_ids:
            for points in self._scroll(selection.of_arrivals(arrival_ids), with_vectors=False, batch=256):
                for point in points:
                    found.setdefault(str(point.arrival_id), []).append(point)
        return found

    def settle(self, records: Mapping[str, str]) -> None:
        """Set the pending points of each arrival `settled`, with its record, in one operation each."""
        for arrival_id, record in records.items():
            change = {payload.STATE: PointState.SETTLED.value, payload.RECORD: record}
            wanted = to_filter(selection.pending_of([arrival_id]))
            self._update("settle", edge.UpdateOperation.set_payload_by_filter(wanted, change))

    def withdraw(self, arrival_ids: Sequence[str]) -> None:
        """Delete the pending points of these arrivals; settled ones stay."""
        if arrival_ids:
            wanted = to_filter(selection.pending_of(arrival_ids))
            self._update("withdraw", edge.UpdateOperation.delete_points_by_filter(wanted))

    def delete_articles(self, article_ids: Sequence[str]) -> None:
        """Delete every point of these articles."""
        if article_ids:
            wanted = to_filter(selection.of_articles(article_ids))
            self._update("delete", edge.UpdateOperation.delete_points_by_filter(wanted))

    def existing(self, point_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these points are there."""
        with self._handle.use("look up points") as shard:
            records = shard.retrieve(list(point_ids), with_payload=False, with_vector=False)
        return {UUID(str(record.id)) for record in records}

    def points(self, point_ids: Sequence[UUID]) -> dict[UUID, Point]:
        """Those of these points that are there, without vectors."""
        with self._handle.use("look up points") as shard:
            records = shard.retrieve(list(point_ids), with_payload=True, with_vector=False)
        found = [payload.to_point(record.id, record.payload, None) for record in records]
        return {point.point_id: point for point in found}

    def scroll(self, *, with_vectors: bool = False, batch: int = 256) -> Iterator[list[Point]]:
        """All points, in batches, in the order of their ids."""
        return self._scroll(Selection(), with_vectors=with_vectors, batch=batch)

    def stats(self) -> CatalogueStats:
        """Counts, and what the engine says of the collection."""
        with self._handle.use("count") as shard:
            points = shard.count(edge.CountRequest(exact=True))
            pending = shard.count(edge.CountRequest(exact=True, filter=to_filter(selection.PENDING)))
            info = shard.info()
        details = {
            "folder": str(self._handle.folder),
            "indexed_vectors": str(info.indexed_vectors_count),
            "segments": str(info.segments_count),
        }
        return CatalogueStats("edge", self.collection, self._alias, points, pending, self._handle.dimension, details)

    def check(self) -> None:
        """Return if the engine answers and there is room to write; raise otherwise."""
        with self._handle.use("answer", writes=True) as shard:
            shard.info()

    def optimise(self) -> bool:
        """Build the HNSW graph over all points written so far; True if there was anything to do.

        Holds up every other call, and every other Python thread of the process, until it is done (10,000 points of 512: 7 s on two
        idle cores; 100,000: nine minutes on two busy ones): for maintenance, never for a worker that has to answer Kafka's heartbeats.
        """
        with self._handle.use("optimise", writes=True) as shard:
            shard.flush()
            return bool(shard.optimize())

    def close(self) -> None:
        """Nothing to release: the shard belongs to the `CatalogueAdmin` that opened this."""

    def _update(self, what: str, operation: edge.UpdateOperation) -> None:
        with self._handle.use(what, writes=True) as shard:
            shard.update(operation)

    def _request(self, query: Query) -> edge.QueryRequest:
        vector = payload.checked_vector(query.vector, self._handle.dimension, self.collection)
        return edge.QueryRequest(
            limit=query.limit,
            query=edge.Query.Nearest(vector),
            filter=to_filter(selection.of_query(query)),
            params=self._params,
            with_payload=edge.PayloadSelector.Exclude(list(payload.NOT_IN_HITS)),
            with_vector=False,
        )

    def _struct(self, point: Point) -> edge.Point:
        vector = payload.checked_vector(point.vector, self._handle.dimension, self.collection)
        return edge.Point(point.point_id, vector, payload.to_payload(point))

    def _scroll(self, wanted: Selection, *, with_vectors: bool, batch: int) -> Iterator[list[Point]]:
        offset: UUID | int | str | None = None
        while True:
            request = edge.ScrollRequest(
                offset=offset, limit=batch, filter=to_filter(wanted), with_payload=True, with_vector=with_vectors
            )
            with self._handle.use("scroll") as shard:
                records, offset = shard.scroll(request)
            if records:
                yield [payload.to_point(record.id, record.payload, record.vector) for record in records]
            if offset is None:
                return
