"""The catalogue on a Qdrant server, by REST or gRPC.

Every write waits until it is visible (`wait`) and is ordered by its shard's leader; every read asks a majority: a search that begins
after a write returned sees it, from whatever client (DESIGN promise 3; measured against a real server by the behaviour suite).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from qdrant_client import models

from worker.catalogue import payload, selection
from worker.catalogue.chunks import chunks
from worker.catalogue.protocol import CatalogueStats, Hit, Point, PointState, Query
from worker.catalogue.qdrant_connection import QdrantConnection
from worker.catalogue.selection import Selection
from worker.errors import CatalogueUnavailable, ConfigurationError

# A server takes 32 MB in one request by default; a 2048-d vector is about 45 KB of JSON, so 256 of them are 12 MB.
WRITE_CHUNK = 256
# Searches in one request: 64 answers of 40 points are about 1 MB, and well within one timeout.
SEARCH_CHUNK = 64
# Conditions and ids in one request.
ID_CHUNK = 256
# With quantised vectors, how many times more points than asked for are re-scored with the originals.
OVERSAMPLING = 2.0


def to_filter(wanted: Selection) -> models.Filter | None:
    """The selection as qdrant-client's filter; None for everything."""
    if wanted.everything:
        return None
    must: list[models.Condition] = [_condition(name, values) for name, values in wanted.among.items()]
    for name, value in wanted.unless_absent.items():
        absent = models.IsEmptyCondition(is_empty=models.PayloadField(key=name))
        must.append(models.Filter(should=[_condition(name, (value,)), absent]))
    return models.Filter(
        must=must or None,
        must_not=[_condition(name, values) for name, values in wanted.none_of.items()] or None,
    )


def _condition(name: str, values: Sequence[str]) -> models.FieldCondition:
    match = models.MatchValue(value=values[0]) if len(values) == 1 else models.MatchAny(any=list(values))
    return models.FieldCondition(key=name, match=match)


def fits(info: models.CollectionInfo, collection: str, dimension: int | None = None) -> int:
    """The collection's dimension. Raises `ConfigurationError` if it is not ours, or hides what was just written."""
    params = info.config.params.vectors
    if not isinstance(params, models.VectorParams) or params.distance != models.Distance.COSINE:
        raise ConfigurationError(
            f"collection {collection!r} is not one of ours: its distance is not cosine, or its vectors are named"
        )
    if dimension is not None and params.size != dimension:
        raise ConfigurationError(
            f"collection {collection!r} has dimension {params.size}, the models give {dimension}: run `intake catalogue reindex`"
        )
    if getattr(info.config.optimizer_config, "prevent_unoptimized", None):
        raise ConfigurationError(
            f"collection {collection!r} has prevent_unoptimized set, which hides points from searches until they are indexed: two "
            "photos of one garment could both become articles; set optimizers_config.prevent_unoptimized to false"
        )
    return params.size


class QdrantCatalogue:
    """`worker.catalogue.protocol.Catalogue` on one collection of a Qdrant server."""

    def __init__(self, connection: QdrantConnection, collection: str, dimension: int) -> None:
        self._connection = connection
        self._client = connection.client
        self._collection = collection
        self._dimension = dimension
        settings = connection.settings
        self._ordering = models.WriteOrdering(settings.write_ordering)
        # One replica is its own majority: `1` spares the server the round.
        self._consistency: int | models.ReadConsistencyType = (
            1 if settings.read_consistency == "one" else models.ReadConsistencyType(settings.read_consistency)
        )
        quantised = settings.quantisation != "none"
        self._params = models.SearchParams(
            hnsw_ef=settings.hnsw.ef_search,
            indexed_only=False,  # True would hide what was just written
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING) if quantised else None,
        )

    @property
    def collection(self) -> str:
        """Name of the collection that is read and written."""
        return self._collection

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """For each query its hits, best first."""
        hits: list[list[Hit]] = []
        for part in chunks(queries, SEARCH_CHUNK):
            with self._connection.guard("search"):
                answers = self._client.query_batch_points(
                    self._collection, [self._request(query) for query in part], consistency=self._consistency
                )
            if len(answers) != len(part):
                raise CatalogueUnavailable(f"Qdrant answered {len(answers)} of {len(part)} searches")
            hits += [[payload.to_hit(point.id, point.score, point.payload) for point in answer.points] for answer in answers]
        return hits

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points. A pending point never replaces a settled one (a worker that was overtaken cannot undo a decision)."""
        pending = [point for point in points if point.state is PointState.PENDING]
        settled = [point for point in points if point.state is PointState.SETTLED]
        for group, condition in ((pending, to_filter(selection.PENDING)), (settled, None)):
            for part in chunks(group, WRITE_CHUNK):
                structs = [self._struct(point) for point in part]
                with self._connection.guard("write"):
                    self._client.upsert(self._collection, structs, wait=True, ordering=self._ordering, update_filter=condition)

    def points_of_arrivals(self, arrival_ids: Sequence[str]) -> dict[str, list[Point]]:
        """The points each arrival made (without vectors), in the order of their ids; arrivals that have none are left out."""
        found: dict[str, list[Point]] = {}
        for part in chunks(list(dict.fromkeys(arrival_ids)), ID_CHUNK):
            for points in self._scroll(selection.of_arrivals(part), with_vectors=False, batch=ID_CHUNK):
                for point in points:
                    found.setdefault(str(point.arrival_id), []).append(point)
        return found

    def settle(self, records: Mapping[str, str]) -> None:
        """Set the pending points of each arrival `settled`, with its record, in one operation each.

        The operation selects by arrival and state on the server: what was withdrawn meanwhile does not come back, and of two
        settlers the first one's record stays.
        """
        for part in chunks(list(records.items()), ID_CHUNK):
            operations = [
                models.SetPayloadOperation(
                    set_payload=models.SetPayload(
                        payload={payload.STATE: PointState.SETTLED.value, payload.RECORD: record},
                        filter=to_filter(selection.pending_of([arrival_id])),
                    )
                )
                for arrival_id, record in part
            ]
            with self._connection.guard("settle"):
                self._client.batch_update_points(self._collection, operations, wait=True, ordering=self._ordering)

    def withdraw(self, arrival_ids: Sequence[str]) -> None:
        """Delete the pending points of these arrivals; settled ones stay."""
        for part in chunks(arrival_ids, ID_CHUNK):
            self._delete(selection.pending_of(part))

    def delete_articles(self, article_ids: Sequence[str]) -> None:
        """Delete every point of these articles."""
        for part in chunks(article_ids, ID_CHUNK):
            self._delete(selection.of_articles(part))

    def existing(self, point_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these points are there."""
        found: set[UUID] = set()
        for part in chunks(point_ids, ID_CHUNK):
            with self._connection.guard("look up points"):
                records = self._client.retrieve(
                    self._collection,
                    [str(point_id) for point_id in part],
                    with_payload=False,
                    with_vectors=False,
                    consistency=self._consistency,
                )
            found.update(UUID(str(record.id)) for record in records)
        return found

    def points(self, point_ids: Sequence[UUID]) -> dict[UUID, Point]:
        """Those of these points that are there, without vectors."""
        found: list[Point] = []
        for part in chunks(point_ids, ID_CHUNK):
            with self._connection.guard("look up points"):
                records = self._client.retrieve(
                    self._collection,
                    [str(point_id) for point_id in part],
                    with_payload=True,
                    with_vectors=False,
                    consistency=self._consistency,
                )
            found += [payload.to_point(record.id, record.payload, None) for record in records]
        return {point.point_id: point for point in found}

    def scroll(self, *, with_vectors: bool = False, batch: int = 256) -> Iterator[list[Point]]:
        """All points, in batches, in the order of their ids."""
        return self._scroll(Selection(), with_vectors=with_vectors, batch=batch)

    def stats(self) -> CatalogueStats:
        """Counts, and what the server says of the collection."""
        with self._connection.guard("count"):
            points = self._client.count(self._collection, exact=True).count
            pending = self._client.count(self._collection, count_filter=to_filter(selection.PENDING), exact=True).count
            info = self._client.get_collection(self._collection)
        details = {
            "server": self._connection.check_version(),
            "status": str(info.status.value),
            "indexed_vectors": str(info.indexed_vectors_count or 0),
            "segments": str(info.segments_count),
        }
        settings = self._connection.settings
        return CatalogueStats("qdrant", self._collection, settings.alias, points, pending, self._dimension, details)

    def check(self) -> None:
        """Return if the server answers and the collection fits; raise otherwise."""
        with self._connection.guard("describe the collection"):
            info = self._client.get_collection(self._collection)
        fits(info, self._collection, self._dimension)

    def close(self) -> None:
        """Nothing to release: the connections belong to the `CatalogueAdmin` that opened this."""

    def _request(self, query: Query) -> models.QueryRequest:
        return models.QueryRequest(
            query=payload.checked_vector(query.vector, self._dimension, self._collection),
            filter=to_filter(selection.of_query(query)),
            params=self._params,
            limit=query.limit,
            with_payload=models.PayloadSelectorExclude(exclude=list(payload.NOT_IN_HITS)),
            with_vector=False,
        )

    def _struct(self, point: Point) -> models.PointStruct:
        vector = payload.checked_vector(point.vector, self._dimension, self._collection)
        return models.PointStruct(id=str(point.point_id), vector=vector, payload=payload.to_payload(point))

    def _delete(self, wanted: Selection) -> None:
        condition = to_filter(wanted)
        if condition is None:
            raise ConfigurationError("refusing to delete every point: drop the collection instead")
        with self._connection.guard("delete"):
            self._client.delete(self._collection, models.FilterSelector(filter=condition), wait=True, ordering=self._ordering)

    def _scroll(self, wanted: Selection, *, with_vectors: bool, batch: int) -> Iterator[list[Point]]:
        offset: int | str | UUID | None = None
        while True:
            with self._connection.guard("scroll"):
                records, following = self._client.scroll(
                    self._collection,
                    scroll_filter=to_filter(wanted),
                    limit=batch,
                    offset=offset,
                    with_payload=True,
                    with_vectors=with_vectors,
                    consistency=self._consistency,
                )
            if records:
                yield [payload.to_point(record.id, record.payload, record.vector) for record in records]
            if following is None:
                return
            offset = following if isinstance(following, int | str | UUID) else str(following)
