"""A catalogue that notes each call and can fail at one: before it, after it, or half way through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from tests.matching.memory import MemoryCatalogue
from worker.catalogue.protocol import CatalogueStats, Hit, Point, PointState, Query

T = TypeVar("T")


class Crashed(Exception):
    """The worker died here: nothing after this runs in this life."""


class Watched:
    """`worker.catalogue.protocol.Catalogue` around one in memory.

    `crash_at`: the number of the call (0 is the first) and how: "before", "after", or "half": of a writing call only every other point
    is changed.
    """

    def __init__(self, inner: MemoryCatalogue, crash_at: tuple[int, str] | None = None) -> None:
        self._inner = inner
        self._crash_at = crash_at
        self.calls: list[str] = []

    def _call(self, name: str, call: Callable[[], T], half: Callable[[], object] | None = None) -> T:
        number = len(self.calls)
        self.calls.append(name)
        how = self._crash_at[1] if self._crash_at is not None and self._crash_at[0] == number else None
        if how == "before":
            raise Crashed
        if how == "half":
            if half is not None:
                half()
            raise Crashed
        answer = call()
        if how == "after":
            raise Crashed
        return answer

    @property
    def collection(self) -> str:
        return self._inner.collection

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        return self._call("search", lambda: self._inner.search(queries))

    def upsert(self, points: Sequence[Point]) -> None:
        self._call("upsert", lambda: self._inner.upsert(points), lambda: self._inner.upsert(points[::2]))

    def points_of_arrivals(self, arrival_ids: Sequence[str]) -> dict[str, list[Point]]:
        return self._call("points_of_arrivals", lambda: self._inner.points_of_arrivals(arrival_ids))

    def settle(self, records: Mapping[str, str]) -> None:
        def half() -> None:
            for point in self._every_other(list(records)):
                settled = replace(point, state=PointState.SETTLED, record=records[str(point.arrival_id)])
                self._inner.upsert([settled])

        self._call("settle", lambda: self._inner.settle(records), half)

    def withdraw(self, arrival_ids: Sequence[str]) -> None:
        def half() -> None:
            gone = {point.point_id for point in self._every_other(arrival_ids)}
            self._inner._delete(gone, pending_only=True)

        self._call("withdraw", lambda: self._inner.withdraw(arrival_ids), half)

    def _every_other(self, arrival_ids: Sequence[str]) -> list[Point]:
        with_vectors = [point for batch in self._inner.scroll(with_vectors=True) for point in batch]
        return [point for point in with_vectors if point.arrival_id in set(arrival_ids)][::2]

    def delete_articles(self, article_ids: Sequence[str]) -> None:
        self._inner.delete_articles(article_ids)

    def existing(self, point_ids: Sequence[UUID]) -> set[UUID]:
        return self._inner.existing(point_ids)

    def points(self, point_ids: Sequence[UUID]) -> dict[UUID, Point]:
        return self._inner.points(point_ids)

    def scroll(self, *, with_vectors: bool = False, batch: int = 256) -> Iterator[list[Point]]:
        return self._inner.scroll(with_vectors=with_vectors, batch=batch)

    def stats(self) -> CatalogueStats:
        return self._inner.stats()

    def check(self) -> None:
        self._inner.check()

    def close(self) -> None:
        self._inner.close()
