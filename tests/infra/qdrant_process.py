"""Starts, breaks, kills and restarts the stand-in Qdrant server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from worker.settings import CatalogueSettings

ROOT = Path(__file__).parents[2]


class QdrantStandin:
    """A stand-in server in a child process, on a free port and the same one after a restart.

    `fault("error-503", path="query", count=3)` breaks the next three searches, `heal()` ends all faults. See
    `tests.infra.qdrant_standin.Fault` for what can be asked.
    """

    def __init__(
        self, folder: Path, *, api_key: str | None = None, read_only_key: str | None = None, version: str = "1.18.3"
    ) -> None:
        self._folder = folder
        self._options = ["--version", version]
        self._options += ["--api-key", api_key] if api_key else []
        self._options += ["--read-only-key", read_only_key] if read_only_key else []
        self._process: subprocess.Popen[bytes] | None = None
        self._control = httpx.Client(timeout=10, trust_env=False)
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start, or start again on the same data and port; returns when it answers."""
        command = [
            sys.executable,
            "-m",
            "tests.infra.qdrant_standin",
            str(self._folder),
            "--port",
            str(self.port),
            *self._options,
        ]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._process.stdout is None:
            raise RuntimeError("no pipe")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-in Qdrant server ended with {self._process.wait()}; see its stderr above")
        self.port = int(line)
        return self

    def kill(self) -> None:
        """SIGKILL: as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def stop(self) -> None:
        """Kill it and let go of the control connection."""
        self.kill()
        self._control.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def fault(self, kind: str, **options: Any) -> None:
        """From now on, break requests (options of `tests.infra.qdrant_standin.Fault`)."""
        self._control.post(f"{self.url}/standin/faults", json={"kind": kind, **options}).raise_for_status()

    def heal(self) -> None:
        """End all faults."""
        self._control.delete(f"{self.url}/standin/faults").raise_for_status()

    def seen(self) -> dict[str, int]:
        """How often each request (method, path with query string) was made."""
        return dict(self._control.get(f"{self.url}/standin/seen").raise_for_status().json()["seen"])

    def hits(self) -> int:
        """How many requests met a fault so far."""
        return sum(self._control.get(f"{self.url}/standin/seen").raise_for_status().json()["hit"].values())

    def settings(self, **changes: Any) -> CatalogueSettings:
        """Settings of a worker that uses this server."""
        return CatalogueSettings(**{"engine": "qdrant", "url": self.url, "timeout_s": 30.0, **changes})
