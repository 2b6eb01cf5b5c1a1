"""The consumer as the worker uses it: what is paused is found again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka import TopicPartition

from tests.infra.kafka import KafkaServer, wait_until
from tests.stream.flows import make_settings, make_topics
from worker.stream.client import is_rebalancing, open_consumer, poll

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


def test_a_change_of_metadata_while_polls_are_short_does_not_leave_the_consumer_half_joined(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=1)
    settings = make_settings(kafka, topics)
    consumer = open_consumer(settings.kafka, settings.stream)
    consumer.subscribe([topics.input])

    def poll_until_assigned(partitions: int) -> None:
        end = time.monotonic() + 15
        while len(consumer.assignment()) < partitions or is_rebalancing(consumer):
            assert time.monotonic() < end, f"{consumer.assignment()} {consumer.group_metadata()}"
            poll(consumer, 0.2 if is_rebalancing(consumer) else 0.0, 5)

    poll_until_assigned(1)
    generation = consumer.group_metadata().generation_id
    kafka.admin.create_partitions({topics.input: 2})
    consumer._cluster.request_update()  # it would ask by itself within five minutes
    wait_until(lambda: poll(consumer, 0.0, 5) or is_rebalancing(consumer), "the join to begin")
    wait_until(lambda: consumer.group_metadata().generation_id > generation, "its answer to arrive between two polls")
    poll_until_assigned(2)
    consumer.close(autocommit=False)
