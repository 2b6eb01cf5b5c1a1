"""One record with a header name that is no text does not stall its partition."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka import KafkaProducer

from tests.infra.kafka import KafkaServer
from tests.stream.flows import make_settings, make_topics
from worker.stream.client import open_consumer, open_reader, poll

pytestmark = pytest.mark.integration

NO_TEXT = b"\xff\xfename\xc3"


class RawName(str):
    """A header name that goes out as bytes no text has."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return NO_TEXT


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("reader", [False, True], ids=["worker", "reader"])
def test_a_header_name_that_is_no_utf_8_costs_neither_its_record_nor_its_neighbours(
    kafka: KafkaServer, compression: str | None, *, reader: bool
) -> None:
    topics = make_topics(kafka, partitions=1)
    settings = make_settings(kafka, topics)
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, linger_ms=2000, compression_type=compression, enable_idempotence=False
    )
    wild = [("ce_id", b"1"), (RawName("wild"), b"\xff\x00"), ("größe", "ü".encode())]
    for number in range(5):
        producer.send(topics.input, value=f"{number}\xff".encode("latin-1"), headers=wild if number == 2 else [("ce_id", b"0")])
    producer.flush()
    producer.close()
    consumer = open_reader(settings.kafka) if reader else open_consumer(settings.kafka, settings.stream)
    consumer.subscribe([topics.input])

    got: list[Any] = []
    end = time.monotonic() + 20
    while len(got) < 5 and time.monotonic() < end:
        for records in poll(consumer, 0.1, 3).values():
            got += records
    consumer.close(autocommit=False)

    assert [record.value for record in got] == [f"{number}\xff".encode("latin-1") for number in range(5)]
    assert got[2].headers == [("ce_id", b"1"), ("\\xff\\xfename\\xc3", b"\xff\x00"), ("größe", "ü".encode())]
    assert all(record.headers == [("ce_id", b"0")] for record in got[:2] + got[3:])
