"""Apache Kafka for tests: one broker a run, or the one named by the environment; topics and group names that no other test uses."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import RetriableError

from worker.embedded.kafka import EmbeddedKafka

# Transactions of killed workers are aborted at once after their timeout, not up to ten seconds later: tests wait for it.
FAST_ABORTS = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"}
WAIT_S = 30.0
# Markers of a commit are written within a tenth of a second; a transaction that is open for good holds a reading up for this long.
MARKERS_S = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """A record as a reader sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class KafkaServer:
    """A broker for tests, with the few operations tests need. Close it after use."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin: KafkaAdminClient = None
        self._producer: KafkaProducer = None

    @property
    def admin(self) -> KafkaAdminClient:
        """An admin client."""
        if self._admin is None:
            self._admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers, reconnect_backoff_max_ms=500)
        return self._admin

    def close(self) -> None:
        """Close the clients."""
        for client in (self._admin, self._producer):
            if client is not None:
                client.close()
        self._admin = self._producer = None

    def create_topic(self, name: str | None = None, *, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        """Create a topic (a unique name if none is given) and wait until it can be used; returns its name."""
        topic = name or unique("topic")
        self.create_topics({topic: {"num_partitions": partitions, "configs": dict(configs or {})}})
        return topic

    def create_topics(self, topics: Mapping[str, Mapping[str, object]]) -> None:
        """Create several topics at once, given as kafka-python's admin client wants them."""
        self.admin.create_topics(
            {name: {"replication_factor": 1, **options} for name, options in topics.items()}, wait_for_metadata=True
        )

    def send(
        self,
        topic: str,
        records: Sequence[tuple[bytes | None, bytes | None]],
        *,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Publish (key, value) pairs and wait for them."""
        if self._producer is None:
            self._producer = KafkaProducer(bootstrap_servers=self.bootstrap_servers, linger_ms=5, max_request_size=10_000_000)
        futures = [
            self._producer.send(topic, key=key, value=value, partition=partition, headers=list(headers)) for key, value in records
        ]
        self._producer.flush(timeout=WAIT_S)
        for future in futures:
            future.get(timeout=WAIT_S)

    def read(self, *topics: str, isolation: str = "read_committed") -> list[Message]:
        """Everything in `topics` from the beginning to the end offsets of this moment, as a reader of `isolation` sees it.

        A commit returns before its markers are written: what is still open is waited for, as long as that may take.
        """
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers,
            isolation_level=isolation,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=20_000_000,
        )
        try:
            partitions = [
                TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()
            ]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            ends = consumer.end_offsets(partitions)
            if isolation == "read_committed":
                with contextlib.closing(KafkaConsumer(bootstrap_servers=self.bootstrap_servers)) as uncommitted:
                    end = time.monotonic() + MARKERS_S
                    while ends != uncommitted.end_offsets(partitions) and time.monotonic() < end:
                        ends = consumer.end_offsets(partitions)
            messages = []
            end = time.monotonic() + WAIT_S
            while any(consumer.position(partition) < ends[partition] for partition in partitions):
                if time.monotonic() > end:
                    raise TimeoutError(f"could not read {topics} to their end")
                for records in consumer.poll(timeout_ms=200).values():
                    end = time.monotonic() + WAIT_S  # a long topic takes as long as it takes; one that stands still does not
                    messages += [Message(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers or ())) for r in records]
            return messages
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Committed offsets of a group by partition."""
        try:
            offsets = self.admin.list_group_offsets({group: None})[group]
        except RetriableError:  # the coordinator moves or starts: nothing is known now
            return {}
        return {partition.partition: value.offset for partition, value in offsets.items() if partition.topic == topic}


def unique(what: str) -> str:
    """A name no other test uses."""
    return f"{what}-{uuid.uuid4().hex[:12]}"


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    """Return once `condition` is true; fails after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def kafka_server(folder: Path) -> Iterator[KafkaServer]:
    """The broker named by ``INTAKE_TEST_KAFKA`` (a bootstrap list), or one started in `folder`."""
    given = os.environ.get("INTAKE_TEST_KAFKA")
    with contextlib.ExitStack() as stack:
        address = given or stack.enter_context(EmbeddedKafka(folder, properties=FAST_ABORTS)).bootstrap_servers
        server = KafkaServer(address)
        stack.callback(server.close)
        yield server
