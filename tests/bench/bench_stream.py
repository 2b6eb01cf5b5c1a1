"""How much of a bare consume-transform-produce loop is left: the stream worker against kafka-python alone, in one run.

Both read the same topic, transform trivially, publish one record each, and commit outputs and offsets in transactions of the same batch
size, on the same broker, alternately. Run as ``python -m tests.bench.bench_stream [--records N] [--batch N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata

from tests.bench.rig import Meter
from tests.infra.kafka import KafkaServer, kafka_server, unique
from tests.stream.flows import Topics, make_flow, make_settings, make_topics
from worker.stream.runner import StreamWorker

VALUE = b'{"arrival_id": "arrival-000000", "photos": [{"bucket": "intake-photos", "key": "2026/11/21/arrival-000000/front.jpg"}]}'


def bare_loop(kafka: KafkaServer, topics: Topics, records: int, batch: int) -> Meter:
    """kafka-python's own documentation example of a transactional loop, with the worker's batch size and backoff."""
    meter = Meter(records)
    consumer = KafkaConsumer(
        topics.input,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=unique("bare"),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=batch,
        retry_backoff_ms=5,
    )
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=unique("bare"), retry_backoff_ms=5)
    producer.init_transactions()
    while not meter.finished.is_set():
        polled = consumer.poll(timeout_ms=500)
        if not polled:
            continue
        producer.begin_transaction()
        offsets = {}
        count = 0
        for partition, messages in polled.items():
            for message in messages:
                producer.send(topics.alert, key=message.key, value=message.value)
                count += 1
            offsets[partition] = OffsetAndMetadata(messages[-1].offset + 1, "", -1)
        producer.flush()
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction()
        meter.transaction_ended("committed", count, 0.0)
    producer.close()
    consumer.close()
    return meter


def stream_worker(kafka: KafkaServer, topics: Topics, records: int, batch: int) -> Meter:
    """The worker with a trivial flow."""
    meter = Meter(records)
    settings = make_settings(kafka, topics, group=unique("worker"), batch_size=batch)
    worker = StreamWorker(settings, make_flow(topics), meter)
    thread = threading.Thread(target=worker.run)
    thread.start()
    while not meter.finished.wait(1.0):
        if not thread.is_alive():
            raise RuntimeError("the worker ended early")
    worker.request_stop()
    thread.join()
    return meter


def compare(kafka: KafkaServer, records: int, batch: int, rounds: int) -> float:
    """Print both rates and their ratio; returns the ratio of the medians."""
    topics = make_topics(kafka, partitions=4)
    kafka.send(topics.input, [(f"arrival-{number:06}".encode(), VALUE) for number in range(records)])
    rates: dict[str, list[float]] = {"bare loop": [], "stream worker": []}
    for _round in range(rounds):
        for name, run in (("bare loop", bare_loop), ("stream worker", stream_worker)):
            meter = run(kafka, topics, records, batch)
            rates[name].append(meter.rate)
            print(f"  {name}: {meter.rate:,.0f} records/s, {meter.done / meter.transactions:.1f} records a transaction")
    medians = {name: statistics.median(each) for name, each in rates.items()}
    ratio = medians["stream worker"] / medians["bare loop"]
    print(f"stream: {medians['stream worker']:,.0f} of {medians['bare loop']:,.0f} records/s (batch {batch}): ratio {ratio:.2f}")
    return ratio


def main() -> None:
    """Start a broker (or use INTAKE_TEST_KAFKA's) and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=3_000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, kafka_server(Path(folder)) as kafka:
        compare(kafka, arguments.records, arguments.batch, arguments.rounds)


if __name__ == "__main__":
    main()
