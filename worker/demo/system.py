"""Everything the demo runs on this machine: Apache Kafka, an S3 server, the embedded index and the worker, as children."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.demo.child import WorkerProcess, child_environment
from worker.embedded.kafka import EmbeddedKafka
from worker.embedded.s3 import EmbeddedS3, S3Endpoint
from worker.errors import ConfigurationError

BUCKET = "intake-photos"
PICTURES_BUCKET = "intake-pictures"
ARRIVALS_PREFIX = "arrivals/"
# More than one, so that the demo shows what production does: several partitions, one key on one of them.
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class DemoSystem:
    """Addresses of the running servers, and the settings of a worker on them."""

    kafka: str
    s3: S3Endpoint
    settings: dict[str, str]
    folder: Path

    def command(self, *arguments: str, quiet: bool = False) -> None:
        """Run another `intake` command with the demo's settings.

        Raises:
            ConfigurationError: it failed; its output is in the message where it was not shown.
        """
        command = [sys.executable, "-m", "worker.cli", *arguments]
        answer = subprocess.run(  # noqa: S603
            command, env=child_environment(self.settings), stdin=subprocess.DEVNULL, capture_output=quiet, text=True, check=False
        )
        if answer.returncode:
            told = f":\n{answer.stdout}{answer.stderr}" if quiet else ""
            raise ConfigurationError(f"`intake {' '.join(arguments)}` ended with exit code {answer.returncode}{told}")

    def worker(self) -> WorkerProcess:
        """The worker, not started yet."""
        return WorkerProcess(self.settings, self.folder / "worker.log")


@contextmanager
def running_system(folder: Path, message: Callable[[str], None]) -> Iterator[DemoSystem]:
    """Kafka and S3 as children of this process, their data below `folder` and fresh. Ended in order on leaving, however one leaves."""
    servers = folder / "servers"
    shutil.rmtree(servers, ignore_errors=True)
    servers.mkdir(parents=True)
    with ExitStack() as stack:
        kafka = EmbeddedKafka(servers / "kafka", message=message)
        s3 = EmbeddedS3()
        stack.callback(kafka.stop)
        stack.callback(s3.stop)
        with ThreadPoolExecutor(2) as threads:
            kafka_started, s3_started = threads.submit(kafka.start), threads.submit(s3.start)
            kafka_started.result()
            s3_started.result()
        for bucket in (BUCKET, PICTURES_BUCKET):
            s3.create_bucket(bucket)
        yield DemoSystem(kafka.bootstrap_servers, s3.endpoint, _settings(kafka.bootstrap_servers, s3.endpoint, folder), folder)


def _settings(kafka: str, s3: S3Endpoint, folder: Path) -> dict[str, str]:
    return {
        "INTAKE_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "INTAKE_CATALOGUE__ENGINE": "edge",
        "INTAKE_CATALOGUE__PATH": str(folder / "index"),
        "INTAKE_STORAGE__ALLOWED": json.dumps([{"bucket": BUCKET, "prefix": ARRIVALS_PREFIX}]),
        "INTAKE_STORAGE__PICTURES_BUCKET": PICTURES_BUCKET,
        "INTAKE_STREAM__BATCH_SIZE": "4",  # decisions appear one after the other rather than sixteen at once
        "INTAKE_OPS__HTTP_HOST": "127.0.0.1",
        "INTAKE_OPS__HTTP_PORT": "0",
        # One arrival in ten is broken on purpose; with so few arrivals that looks like a broken worker.
        "INTAKE_STREAM__DEAD_LETTER_LIMITS__RATE": "1.0",
        **s3.environment(),
    }
