"""The worker as a child process: the production command, with its settings in the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from worker.embedded.tether import tethered
from worker.errors import ConfigurationError

# Above the worker's own drain deadline (20 s), so that it is never cut off while it commits.
STOP_TIMEOUT_S = 30.0
LOG_TAIL_LINES = 12


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with exactly these INTAKE_ settings, but for the models': those are the user's choice."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("INTAKE_") or name.startswith("INTAKE_VISION__")
    }
    return kept | dict(settings)


class WorkerProcess:
    """One ``intake run`` as a child that ends with this process. Its log lines go to `log_path`."""

    def __init__(self, settings: Mapping[str, str], log_path: Path) -> None:
        self.log_path = log_path
        self._environment = child_environment(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it; returns at once."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                tethered([sys.executable, "-m", "worker.cli", "run"]),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C ends the parent, which then stops the worker in order
            )
        return self

    @property
    def pid(self) -> int | None:
        """Process id, or None before the start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Return while it runs; raises `ConfigurationError` with the end of its log when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise ConfigurationError(f"the worker ended with exit code {self._process.returncode}:\n{self.log_tail()}")

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends by itself; its exit code. Raises `subprocess.TimeoutExpired`."""
        if self._process is None:
            raise ConfigurationError("the worker was not started")
        return self._process.wait(timeout_s)

    def stop(self) -> int | None:
        """SIGTERM, and wait until it has drained; SIGKILL if it does not. The exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        code, self._process = self._process.returncode, None
        return code

    def log_tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        """Stop."""
        self.stop()
