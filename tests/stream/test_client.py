"""The consumer as the worker uses it: what is paused is found again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka import TopicPartition

from tests.infra.kafka import KafkaServer
from tests.stream.flows import make_settings, make_topics
from worker.stream.client import open_consumer, poll

pytestmark = pytest.mark.integration


def test_a_partition_that_was_paused_in_the_middle_of_a_fetch_is_read_on_when_it_is_resumed(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=2)
    settings = make_settings(kafka, topics)
    long, short = TopicPartition(topics.input, 0), TopicPartition(topics.input, 1)
    kafka.send(topics.input, [(None, str(number).encode()) for number in range(100)], partition=0)
    consumer = open_consumer(settings.kafka, settings.stream)
    consumer.assign([long, short])
    got: list[Any] = []

    def read_until(count: int) -> None:
        end = time.monotonic() + 10
        while len(got) < count and time.monotonic() < end:
            for records in poll(consumer, 0.1, 5).values():
                got.extend(records)
        assert len(got) == count

    read_until(5)  # the rest of the fetch of the long partition is current now
    consumer.pause(long)
    assert not poll(consumer, 0.1, 5)  # and set aside now
    kafka.send(topics.input, [(None, b"other")] * 3, partition=1)
    read_until(8)  # the fetch of the short partition took its place, and is exhausted
    consumer.resume(long)
    read_until(103)
    consumer.close(autocommit=False)
