"""The stream worker on a real broker: everything consumed is published once, in order, whatever fails on the way."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.infra.kafka import KafkaServer, wait_until
from tests.stream.flows import Seen, make_flow, make_settings, make_topics, running

pytestmark = pytest.mark.integration


def numbered(count: int, keys: int) -> list[tuple[bytes, bytes]]:
    return [(f"k{number % keys}".encode(), f"{number}".encode()) for number in range(count)]


def by_key(kafka: KafkaServer, topic: str) -> dict[bytes | None, list[int]]:
    found: dict[bytes | None, list[int]] = defaultdict(list)
    for message in kafka.read(topic):
        found[message.key].append(int(message.value or b""))
    return found


def test_every_event_of_several_partitions_is_published_once_and_in_the_order_of_its_key(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=4)
    kafka.send(topics.input, numbered(1000, keys=37))
    seen = Seen()
    with running(make_settings(kafka, topics), make_flow(topics), seen) as worker:
        wait_until(lambda: sum(e[2] for e in list(seen.events) if e[:2] == ("transaction", "committed")) >= 1000, "1000 records")
        worker.stop()
    published = by_key(kafka, topics.alert)
    assert sum(len(each) for each in published.values()) == 1000
    for key, numbers in published.items():
        assert numbers == [n for n in range(1000) if f"k{n % 37}".encode() == key]
    assert sum(kafka.committed(topics.input, topics.input).values()) == 1000
