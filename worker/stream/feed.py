"""From polled records to micro-batches: by count and by time, a key once in a batch, and a pause when there is enough."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition

from worker.stream.batch import Batch, Item
from worker.stream.partition import OwnedPartition
from worker.stream.types import SourceRecord

# Polled records that wait here, in batches: one to send at once, one so that the next poll's round trip is not waited for.
_WAITING_BATCHES = 2


@dataclass(slots=True)
class Feed:
    """Records that were polled and are in no batch yet. Used by the poll loop's thread only.

    Attributes:
        size: most records in a batch.
        wait_s: how long a batch waits for more.
    """

    size: int
    wait_s: float
    clock: Callable[[], float] = time.monotonic
    _items: deque[Item] = field(init=False, default_factory=deque)
    _oldest_at: float = field(init=False, default=0.0)

    @property
    def room(self) -> int:
        """How many more records may be polled."""
        return max(0, _WAITING_BATCHES * self.size - len(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def add(self, records: Mapping[TopicPartition, Iterable[Any]], owned: Mapping[TopicPartition, OwnedPartition]) -> None:
        """Take polled records; those of partitions that are not owned, or held, are dropped (they are read again)."""
        if not self._items:
            self._oldest_at = self.clock()
        for name, polled in records.items():
            partition = owned.get(name)
            if partition is None or partition.cut is not None:
                continue
            self._items.extend(Item(_source_record(record), partition) for record in polled)

    def drop(self, partition: OwnedPartition) -> int | None:
        """Forget the records of a partition; returns the first offset that was forgotten, from which it must be read again."""
        dropped = [item.record.offset for item in self._items if item.partition is partition]
        if dropped:
            self._items = deque(item for item in self._items if item.partition is not partition)
        return min(dropped, default=None)

    def due_in_s(self) -> float | None:
        """Seconds until a batch is ready; None if nothing waits."""
        if not self._items:
            return None
        if len(self._items) >= self.size:
            return 0.0
        return max(0.0, self._oldest_at + self.wait_s - self.clock())

    def next_batch(self) -> Batch | None:
        """A batch if one is ready: full, cut short by a repeated key, or old enough."""
        due = self.due_in_s()
        if due is None:
            return None
        keys: set[tuple[str, bytes]] = set()
        count = 0
        repeated = False
        for item in self._items:
            if count == self.size:
                break
            if item.record.key is not None:
                place = (item.record.topic, item.record.key)
                if place in keys:
                    repeated = True
                    break
                keys.add(place)
            count += 1
        if due > 0 and not repeated:
            return None
        items = [self._items.popleft() for _ in range(count)]
        self._oldest_at = self.clock()
        return Batch(items)


def _source_record(record: Any) -> SourceRecord:
    return SourceRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers or ()),
        timestamp_ms=record.timestamp,
    )
