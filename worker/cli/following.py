"""Follows the worker's outcomes: match alerts, catalogue inserts and dead letters, as a read_committed reader sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
from kafka import TopicPartition

from worker.errors import ConfigurationError
from worker.ops.deadline import Deadline
from worker.settings import Settings
from worker.stream.client import open_reader, translated

_POLL_MS = 250


@dataclass(frozen=True, slots=True)
class Followed:
    """One output event as it was published."""

    topic: str
    event: dict[str, Any]
    timestamp_ms: int | None


class OutcomeReader:
    """Reads the three output topics without a group: it disturbs no worker and commits nothing. Not thread-safe."""

    def __init__(self, settings: Settings, *, from_beginning: bool) -> None:
        """Where reading starts is settled here: what is published after this returns will be read.

        Raises:
            ConfigurationError: a topic is missing.
        """
        topics = settings.stream.topics
        self._kafka = settings.kafka
        self._consumer = open_reader(settings.kafka)
        try:
            with translated("reading outcomes", settings.kafka):
                self._start((topics.match_alert, topics.catalogue_insert, topics.dead_letter), from_beginning=from_beginning)
        except BaseException:
            self.close()
            raise

    def _start(self, topics: tuple[str, ...], *, from_beginning: bool) -> None:
        partitions = []
        for topic in topics:
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise ConfigurationError(f"the topic {topic} is not there; `intake topics create` makes it")
            partitions += [TopicPartition(topic, number) for number in sorted(numbers)]
        self._consumer.assign(partitions)
        starts = self._consumer.beginning_offsets(partitions) if from_beginning else self._consumer.end_offsets(partitions)
        for partition, offset in starts.items():
            self._consumer.seek(partition, offset)

    def read(self, deadline: Deadline | None = None) -> Iterator[Followed]:
        """Output events as they come, until the deadline (None: for ever)."""
        while deadline is None or not deadline.passed:
            yield from self.poll()

    def poll(self) -> list[Followed]:
        """What has come within a quarter of a second."""
        with translated("reading outcomes", self._kafka):
            batches = self._consumer.poll(timeout_ms=_POLL_MS)
        found = []
        for records in batches.values():
            for record in records:
                # A topic may hold foreign or deleted records (tombstones): they are no outcomes.
                with suppress(orjson.JSONDecodeError, TypeError):
                    event = orjson.loads(record.value)
                    if isinstance(event, dict):
                        found.append(Followed(record.topic, event, record.timestamp))
        return found

    def close(self) -> None:
        """Release the connection."""
        with suppress(Exception):  # reading is over either way
            self._consumer.close()

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()
