"""A stream worker as a process of its own: ``python -m tests.stream.child CONFIGURATION`` (JSON, see `Configuration`)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tests.stream.flows import Topics, make_flow
from worker.errors import StopError
from worker.ops.faults import Faults
from worker.settings import load_settings
from worker.stream.observer import NullObserver
from worker.stream.runner import StreamWorker
from worker.stream.types import SourceRecord, Stage


class Configuration(BaseModel):
    """What the child does.

    Attributes:
        work_s: how long a batch is worked on.
    """

    kafka: dict[str, Any]
    stream: dict[str, Any]
    faults: str | None = None
    work_s: float = 0.0


def say(text: str) -> None:
    """One line for the test that waits for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Reports(NullObserver):
    """Says on standard output what the test waits for."""

    def transaction_ended(self, end: str, records: int, seconds: float) -> None:
        say(f"transaction {end} {records}")

    def rebalanced(self, kind: str, partitions: int) -> None:
        say(f"partitions {kind} {partitions}")

    def watchdog(self, action: str) -> None:
        say(f"watchdog {action}")


def main() -> None:
    """Run until told to stop; the exit code is that of the error."""
    configuration = Configuration.model_validate_json(sys.argv[1])
    settings = load_settings(kafka=configuration.kafka, stream=configuration.stream)
    names = settings.stream.topics

    def work(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        say("working")
        time.sleep(configuration.work_s)
        return records

    topics = Topics(names.item_photographed, names.match_alert, names.catalogue_insert, names.dead_letter)
    worker = StreamWorker(
        settings, make_flow(topics, Stage("embed", work, "embed")), _Reports(), Faults.parse(configuration.faults)
    )
    try:
        worker.run()
    except StopError as error:
        say(f"stopped: {type(error).__name__}: {error}")
        sys.exit(error.exit_code)
    say("drained")


class Child:
    """A running child; its output is collected."""

    def __init__(self, configuration: Configuration) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.stream.child", configuration.model_dump_json()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self.lines.append(line.rstrip())

    def said(self, start: str) -> int:
        """How many lines begin like this."""
        return sum(line.startswith(start) for line in list(self.lines))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 40.0) -> int:
        """Wait for the end; returns the exit code."""
        code = self.process.wait(timeout_s)
        self._reader.join(5)
        return code

    def output(self) -> str:
        """Everything it said."""
        return "\n".join(self.lines)


@contextlib.contextmanager
def child(configuration: Configuration) -> Iterator[Child]:
    """A child that does not outlive the block."""
    started = Child(configuration)
    try:
        yield started
    except BaseException:
        sys.stderr.write(f"--- child {started.process.pid} said:\n{started.output()}\n")  # pytest shows it with the failure
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.process.kill()
        started.process.wait()
        if started.process.stdout is not None:
            started.process.stdout.close()


if __name__ == "__main__":
    main()
