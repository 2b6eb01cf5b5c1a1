"""How long a crashed worker's partitions stand still: with a transactional id that is kept, and with one that is new in every life.

A worker is killed in the middle of a transaction, and started again. Measured: from its start to its first commit, and how long readers of
the outputs see nothing new. Run as ``python -m tests.bench.bench_takeover [--rounds N] [--timeout SECONDS]``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.infra.kafka import KafkaServer, kafka_server, unique, wait_until
from tests.stream.child import child
from tests.stream.flows import make_topics
from tests.stream.test_processes import configuration, numbered


def takeover_s(kafka: KafkaServer, *, kept: bool, timeout_s: float) -> float:
    """Seconds from the start of the next life to its first commit."""
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(40))
    # Static membership, so that the group does not add its session timeout to what is measured.
    stream = {"batch_size": 4, "transaction_timeout_s": timeout_s, "stuck_after_s": 60.0, "group_instance_id": unique("member")}
    first = {**stream, "transactional_id": unique("txn")}
    with child(configuration(kafka, topics, stream=first, faults="after-offsets:crash:3", work_s=0.05)) as worker:
        worker.wait()
    second = first if kept else {**stream, "transactional_id": unique("txn")}
    with child(configuration(kafka, topics, stream=second)) as worker:
        wait_until(lambda: worker.said("partitions assigned"), "the assignment")
        started = time.perf_counter()
        wait_until(lambda: worker.said("transaction committed"), "a commit", timeout_s=120)
        return time.perf_counter() - started


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=20.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, kafka_server(Path(folder)) as kafka:
        for kept in (True, False):
            times = [takeover_s(kafka, kept=kept, timeout_s=arguments.timeout) for _round in range(arguments.rounds)]
            name = "kept over restarts" if kept else "new in every life"
            print(
                f"transactional id {name}: first commit {statistics.median(times):.1f} s after the assignment (median of {len(times)})"
            )


if __name__ == "__main__":
    main()
