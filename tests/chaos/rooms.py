"""Kafka, S3 and the index of one chaos run: real servers that can be stopped, broken and started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.model import register
from tests.infra.kafka import FAST_ABORTS, KafkaServer
from tests.infra.qdrant_process import QdrantStandin
from tests.infra.s3_proxy import FaultProxy
from tests.integration.system import System
from worker.embedded.kafka import EmbeddedKafka
from worker.embedded.s3 import EmbeddedS3

PARTITIONS = 8
BATCH = 16
# A member that is killed without a word holds its partitions for this long. Short, so that hundreds can be.
SESSION_S = 4.0
# What is waited for a twin before a person is asked; and when a pending point counts as left behind.
TWIN_WAIT_S, ORPHAN_AFTER_S = 20.0, 60.0

SETTINGS = {
    "INTAKE_STREAM__BATCH_SIZE": str(BATCH),
    "INTAKE_STREAM__SESSION_TIMEOUT_S": str(SESSION_S),
    "INTAKE_STREAM__HEARTBEAT_INTERVAL_S": "1",
    "INTAKE_STREAM__TRANSACTION_TIMEOUT_S": "5",
    "INTAKE_STREAM__CALL_TIMEOUT_S": "10",
    "INTAKE_STREAM__PROGRESS_CHECK_S": "3",
    "INTAKE_STREAM__STUCK_AFTER_S": "15",
    "INTAKE_STREAM__DRAIN_TIMEOUT_S": "8",
    "INTAKE_STREAM__STORAGE_RETRY__MAXIMUM_S": "2",
    "INTAKE_STREAM__CATALOGUE_RETRY__MAXIMUM_S": "2",
    # One arrival in fourteen is spoiled on purpose, in unlucky runs of many.
    "INTAKE_STREAM__DEAD_LETTER_LIMITS__RUN_LENGTH": "1000",
    "INTAKE_STREAM__DEAD_LETTER_LIMITS__RATE": "1.0",
    "INTAKE_STORAGE__CONNECT_TIMEOUT_S": "1",
    "INTAKE_STORAGE__READ_TIMEOUT_S": "1",
    "INTAKE_STORAGE__PHOTO_TIMEOUT_S": "3",
    "INTAKE_STORAGE__MAX_ATTEMPTS": "2",
    "INTAKE_CATALOGUE__TIMEOUT_S": "2",
    "INTAKE_MATCHING__TWIN_WAIT_S": str(TWIN_WAIT_S),
    "INTAKE_MATCHING__ORPHAN_AFTER_S": str(ORPHAN_AFTER_S),
    "INTAKE_KAFKA__REQUEST_TIMEOUT_S": "10",
    "INTAKE_OPS__LOG_LEVEL": "info",
}


@dataclass(slots=True)
class Rooms:
    """The servers, and the system of topics, bucket and catalogue on them."""

    kafka: EmbeddedKafka
    proxy: FaultProxy
    index: QdrantStandin
    system: System


@contextmanager
def open_rooms(folder: Path, seed: int) -> Iterator[Rooms]:
    """Start everything; ends with the block."""
    models = folder / "models"
    models.mkdir()
    broker = {**FAST_ABORTS, "group.min.session.timeout.ms": "2000"}
    with (
        EmbeddedKafka(folder / "kafka", properties=broker) as kafka,
        EmbeddedS3() as s3,
        FaultProxy(s3.endpoint_url, seed=seed) as proxy,
        QdrantStandin(folder / "index") as index,
    ):
        server = KafkaServer(kafka.bootstrap_servers)
        system = System(
            server,
            s3.endpoint,
            index.settings(alias="chaos"),
            folder,
            models=register(models),
            more=SETTINGS | {"INTAKE_STORAGE__ENDPOINT_URL": proxy.url},
            partitions=PARTITIONS,
        ).set_up()
        try:
            yield Rooms(kafka, proxy, index, system)
        finally:
            server.close()
