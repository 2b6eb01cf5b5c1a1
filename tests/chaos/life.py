"""A worker process that starts in a fraction of a second: forked from a process that has imported everything, and nothing else.

It runs the production command with its settings in the environment. 250 lives would otherwise spend seven minutes of CPU on imports.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

PRELOADED = [
    "worker.cli.run",
    "worker.cli",
    "boto3",
    "botocore.signers",
    "qdrant_client",
    "onnxruntime",
    "kafka",
    "tests.chaos.life",
]
PR_SET_PDEATHSIG = 1
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


class Life:
    """One ``intake run``. `settings` are all of its INTAKE_ variables; its output goes to `log_path`."""

    def __init__(self, settings: Mapping[str, str], log_path: Path) -> None:
        self.log_path = log_path
        self._process: ForkServerProcess = _CONTEXT.Process(target=_run, args=(dict(settings), str(log_path)), daemon=True)

    def start(self) -> Self:
        """Start it; returns at once."""
        self._process.start()
        return self

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid or 0

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    @property
    def working(self) -> bool:
        """Whether it was given partitions."""
        return "partitions assigned" in self.log()

    def log(self) -> str:
        """What it wrote."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.code is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None if it still runs after so long."""
        self._process.join(timeout_s)
        return self.code

    def end(self, timeout_s: float = 30.0) -> int | None:
        """SIGTERM, then SIGKILL."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self.wait(timeout_s) is None:
            self.signal(signal.SIGKILL)
            self.wait(10.0)
        return self.code


def _run(settings: dict[str, str], log_path: str) -> None:
    # The server from which lives are forked ends when nobody holds this pipe any more; a life must not be one who does, or neither ends.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()  # Ctrl-C is for the parent
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    for name in [name for name in os.environ if name.startswith("INTAKE_")]:
        del os.environ[name]
    os.environ.update(settings)
    sys.argv = ["intake", "run"]
    from worker.cli import main

    main()
