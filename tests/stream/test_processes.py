"""Workers as processes: killed, stopped and woken, told to end. Nothing is lost, nothing is published twice."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.infra.kafka import KafkaServer, unique, wait_until
from tests.stream.child import Child, Configuration, child
from tests.stream.flows import FAST, Topics, make_topics
from worker.embedded.kafka import EmbeddedKafka

pytestmark = pytest.mark.integration


def configuration(kafka: KafkaServer, topics: Topics, **options: Any) -> Configuration:
    stream = options.pop("stream", {})
    return Configuration(
        kafka={"bootstrap_servers": kafka.bootstrap_servers, **options.pop("kafka", {})},
        stream={
            **FAST,
            "topics": {
                "item_photographed": topics.input,
                "match_alert": topics.alert,
                "catalogue_insert": topics.insert,
                "dead_letter": topics.dead_letter,
            },
            "group_id": topics.input,
            **stream,
        },
        **options,
    )


def numbered(count: int) -> list[tuple[bytes, bytes]]:
    return [(f"k{number}".encode(), str(number).encode()) for number in range(count)]


def committed(kafka: KafkaServer, topics: Topics) -> int:
    return sum(kafka.committed(topics.input, topics.input).values())


def assert_each_once(kafka: KafkaServer, topics: Topics, count: int) -> None:
    published = sorted(int(message.value or b"") for message in kafka.read(topics.alert))
    assert published == list(range(count))


def has_worked_or_all_is_done(kafka: KafkaServer, topics: Topics, worker: Child) -> bool:
    return worker.said("transaction committed") >= 3 or committed(kafka, topics) == 1200


def test_workers_that_are_killed_at_random_lose_nothing_and_repeat_nothing(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=4)
    kafka.send(topics.input, numbered(1200))
    chance = random.Random(20261121)
    kills = 0
    # Without an own transactional id per slot a killed worker's transaction would hold its partitions for its whole timeout.
    settings = [
        configuration(
            kafka,
            topics,
            work_s=0.01,
            stream={"transactional_id": f"{topics.input}-{slot}", "batch_size": 8, "session_timeout_s": 3.0},
        )
        for slot in range(2)
    ]
    workers = [Child(each) for each in settings]
    try:
        while committed(kafka, topics) < 1200:
            if kills < 6:
                victim = chance.randrange(2)
                wait_until(partial(has_worked_or_all_is_done, kafka, topics, workers[victim]), "work of the next victim")
                workers[victim].signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = Child(settings[victim])
                kills += 1
            else:
                time.sleep(0.1)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.wait()
    assert kills >= 4
    assert_each_once(kafka, topics, 1200)


def test_a_crash_at_any_point_of_a_transaction_loses_nothing_and_repeats_nothing(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=2)
    points = [
        "after-poll",
        "before-settle",
        "before-transaction",
        "after-begin",
        "after-send",
        "after-offsets",
        "before-commit",
        "after-commit",
    ]
    kafka.send(topics.input, numbered(40 * len(points)))
    stream = {"transactional_id": unique("crash"), "group_instance_id": unique("crash"), "batch_size": 4}
    for point in points:
        with child(configuration(kafka, topics, stream=stream, faults=f"{point}:crash:3")) as worker:
            assert worker.wait() == -signal.SIGKILL, worker.output()
    with child(configuration(kafka, topics, stream=stream)) as worker:
        wait_until(lambda: committed(kafka, topics) == 40 * len(points), "the last life")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert_each_once(kafka, topics, 40 * len(points))


@pytest.mark.parametrize("identity", ["the same transactional id", "its own transactional id"])
def test_a_worker_that_is_stopped_overtaken_and_woken_loses_nothing_and_repeats_nothing(
    kafka: KafkaServer, identity: str
) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(300))
    stream: dict[str, Any] = {"session_timeout_s": 2.0, "batch_size": 4}
    if identity == "the same transactional id":
        stream["transactional_id"] = unique("same")
    with child(configuration(kafka, topics, stream=stream, work_s=0.02, faults="after-send:stop:4")) as old:
        wait_until(lambda: _stopped(old), "the old worker to stop itself in the middle of a transaction")
        wake_and_finish(kafka, topics, stream, old)
    assert_each_once(kafka, topics, 300)


def wake_and_finish(kafka: KafkaServer, topics: Topics, stream: dict[str, Any], old: Child) -> None:
    """A new worker takes over from the stopped one, which is woken then; both go on to the end."""
    with child(configuration(kafka, topics, stream=stream, work_s=0.02)) as new:
        wait_until(lambda: new.said("partitions assigned"), "the new worker to take over")
        wait_until(lambda: new.said("transaction committed") >= 3, "the new worker to get on")
        old.signal(signal.SIGCONT)
        wait_until(lambda: committed(kafka, topics) == 300 or new.process.poll() is not None, "the rest")
        if new.process.poll() is not None:
            # The woken one took the transactional id back and aborted the new one's transaction, which then must not go on.
            assert "transactional_id" in stream
            assert "TransactionUnsafe" in new.output()
            with child(configuration(kafka, topics, stream=stream)) as third:
                wait_until(lambda: committed(kafka, topics) == 300, "a third worker")
                third.signal(signal.SIGTERM)
                third.wait()
        for worker in (old, new):
            if worker.process.poll() is None:
                worker.signal(signal.SIGTERM)
            assert worker.wait() in {0, 75}, worker.output()


def _stopped(worker: Child) -> bool:
    state = Path(f"/proc/{worker.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state == "T"


def test_partitions_move_to_a_second_worker_and_back_without_a_repeat(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=4)
    records = numbered(600)
    kafka.send(topics.input, records[:300])
    settings = configuration(kafka, topics, work_s=0.05, stream={"batch_size": 4})
    with child(settings) as first:
        wait_until(lambda: first.said("transaction committed") >= 3, "the first worker to work")
        with child(settings) as second:
            wait_until(lambda: second.said("partitions assigned"), "the second worker's partitions")
            kafka.send(topics.input, records[300:])  # on a busy machine the first may have done everything by now
            wait_until(lambda: second.said("transaction committed") >= 3, "the second worker to work")
            second.signal(signal.SIGTERM)
            assert second.wait() == 0
            assert "drained" in second.output()
        assert first.said("partitions revoked")
        wait_until(lambda: committed(kafka, topics) == 600, "everything", timeout_s=60)
        first.signal(signal.SIGTERM)
        assert first.wait() == 0
    # What was in flight of the revoked partitions was committed before they were given away: nothing was done twice. Where the hand-over
    # takes longer than commits are held for (a machine that pauses), one transaction may meet it and is aborted, which nobody sees.
    aborted = first.said("transaction aborted")
    assert aborted <= 1
    everything = [message for message in kafka.read(topics.alert, isolation="read_uncommitted") if message.value]
    assert len(everything) <= 600 + 4 * aborted
    assert_each_once(kafka, topics, 600)


def test_sigterm_drains_and_a_second_signal_ends_at_once(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(4))
    with child(configuration(kafka, topics, work_s=300.0, stream={"drain_timeout_s": 25.0})) as worker:
        wait_until(lambda: worker.said("working"), "work that takes longer than the test")
        worker.signal(signal.SIGTERM)
        wait_until(lambda: any("stopping" in line for line in worker.lines), "the drain")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 130
    assert committed(kafka, topics) == 0


def test_a_kafka_call_that_never_returns_ends_the_process(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path) as broker:
        server = KafkaServer(broker.bootstrap_servers)
        topics = make_topics(server)
        server.send(topics.input, numbered(200))
        server.close()
        settings = configuration(server, topics, stream={"batch_size": 2, "call_timeout_s": 8.0}, faults="before-commit:stop:3")
        with child(settings) as worker:
            wait_until(lambda: _stopped(worker), "the worker to stop itself before a commit")
            pid = broker.running_pid()
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)  # takes connections, answers nothing
            try:
                worker.signal(signal.SIGCONT)
                assert worker.wait(60) == 75
            finally:
                os.kill(pid, signal.SIGCONT)
            assert "a Kafka call did not end in time" in worker.output()
            assert "commit_transaction" in worker.output()
