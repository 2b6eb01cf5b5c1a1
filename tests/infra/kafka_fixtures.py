"""Pytest plugin: one Kafka broker a test run, started when first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.infra.kafka import KafkaServer, kafka_server
from tests.infra.kafka_secured import SecuredKafka
from tests.infra.needs import require


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The run's broker. Use `unique` names or `create_topic()`: the broker is shared by all tests."""
    require(find_spec("jgo"), "Apache Kafka's jars (pip install '.[embedded]')")
    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker with TLS, SASL and an authorizer, one a test run."""
    require(find_spec("jgo"), "Apache Kafka's jars (pip install '.[embedded]')")
    broker = SecuredKafka(tmp_path_factory.mktemp("secured-kafka"))
    try:
        yield broker.start()
    finally:
        broker.stop()
