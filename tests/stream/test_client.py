"""The consumer as the worker uses it: what is paused is found again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import FencedInstanceIdError

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


def test_a_consumer_whose_place_was_taken_by_its_successor_is_told_although_it_has_nothing_to_do(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=1)
    settings = make_settings(kafka, topics)
    stream = settings.stream.model_copy(update={"group_instance_id": "slot-0", "heartbeat_interval_s": 0.2})
    old, new = (open_consumer(settings.kafka, stream) for _ in range(2))

    def poll_for(consumer: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            poll(consumer, 0.05, 5)

    def join(consumer: Any) -> None:
        consumer.subscribe([topics.input])
        wait_until(lambda: poll(consumer, 0.2, 5) or (consumer.assignment() and not is_rebalancing(consumer)), "the join")

    join(old)
    poll_for(old, 1.0)  # a member alone is not taken for a fenced one
    join(new)
    with pytest.raises(FencedInstanceIdError):
        poll_for(old, 15.0)
    poll_for(new, 1.0)
    for consumer in (old, new):
        consumer.close(autocommit=False)
