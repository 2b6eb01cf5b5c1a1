"""Reads outcomes as they are committed, through brokers that stop and start."""

from __future__ import annotations

from dataclasses import dataclass, field

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from worker.events import CatalogueInsert, DeadLetter, MatchAlert

OutcomeEvent = MatchAlert | CatalogueInsert | DeadLetter


@dataclass(frozen=True, slots=True)
class Published:
    """One outcome as a read_committed reader sees it. `at` is the record's own time, in seconds since 1970."""

    event: OutcomeEvent
    key: bytes | None
    at: float


@dataclass(slots=True)
class OutcomeReader:
    """Follows the output topics. `topics` are those of alerts, inserts and dead letters, in this order."""

    bootstrap_servers: str
    topics: tuple[str, str, str]
    found: list[Published] = field(default_factory=list)
    _consumer: KafkaConsumer = None

    def poll(self, timeout_s: float = 0.0) -> int:
        """Read what is new; how many outcomes there are by now. A broker that is away is waited for in a later poll."""
        try:
            if self._consumer is None:
                self._open()
            for records in self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=5000).values():
                for record in records:
                    kind = (MatchAlert, CatalogueInsert, DeadLetter)[self.topics.index(record.topic)]
                    self.found.append(Published(kind.model_validate_json(record.value), record.key, record.timestamp / 1000.0))
        except KafkaError:
            pass
        return len(self.found)

    def at_the_end(self) -> bool:
        """Whether everything that is committed was read."""
        try:
            if self._consumer is None:
                self._open()
            partitions = list(self._consumer.assignment())
            ends = self._consumer.end_offsets(partitions)
            return all(self._consumer.position(partition) >= ends[partition] for partition in partitions)
        except KafkaError:
            return False

    def close(self) -> None:
        """Close the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _open(self) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            reconnect_backoff_max_ms=500,
            max_partition_fetch_bytes=5_000_000,
        )
        partitions = [
            TopicPartition(topic, number) for topic in self.topics for number in self._consumer.partitions_for_topic(topic) or ()
        ]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)
