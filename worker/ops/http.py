"""The worker's small web server: /livez, /readyz and /metrics, for probes and Prometheus. It reads, and changes nothing.

The standard library's server is enough: three routes, no bodies, a handful of requests a minute, inside the cluster. It runs in
daemon threads and survives a probe that hangs (each connection has a timeout).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from worker.errors import ConfigurationError
from worker.ops.health import Verdict

# A client that sends no request in this time is dropped, so that idle connections cannot pile up threads.
CONNECTION_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Probes:
    """What the server shows. Both verdicts must come without blocking."""

    live: Callable[[], Verdict]
    ready: Callable[[], Verdict]
    registry: CollectorRegistry


class HealthServer:
    """Serves the probes at `host`:`port` (0: any free port, see `port` after `start`)."""

    def __init__(self, probes: Probes, host: str, port: int) -> None:
        self._probes = probes
        self._host = host
        self._asked_port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and serve; raises `ConfigurationError` if the port is taken."""
        try:
            self._server = _Server((self._host, self._asked_port), self._probes)
        except OSError as error:
            raise ConfigurationError(
                f"the health server cannot listen on {self._host}:{self._asked_port} ({error.strerror}): set INTAKE_OPS__HTTP_PORT"
                " to a free port (0: any)"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health-http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port. Idempotent."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        if self._thread is not None:
            self._thread.join(CONNECTION_TIMEOUT_S)
        self._server = self._thread = None

    @property
    def port(self) -> int:
        """The port that is served."""
        if self._server is None:
            raise RuntimeError("the health server is not started")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where a process on this machine reaches the server."""
        host = "127.0.0.1" if self._host in {"0.0.0.0", "", "::"} else self._host  # noqa: S104  # nosec B104  compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> Self:
        """Start on entering."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop on leaving."""
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], probes: Probes) -> None:
        self.probes = probes
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CONNECTION_TIMEOUT_S
    server_version = "intake"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            self._verdict(self.server.probes.live)
        elif path == "/readyz":
            self._verdict(self.server.probes.ready)
        elif path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, content_type, encode(self.server.probes.registry))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"/livez, /readyz or /metrics\n")

    do_HEAD = do_GET  # noqa: N815

    def _verdict(self, ask: Callable[[], Verdict]) -> None:
        try:
            verdict = ask()
        except Exception as error:  # noqa: BLE001  a probe that cannot be answered is a probe that failed
            verdict = Verdict(ok=False, details={"probe": f"failed: {type(error).__name__}"})
        body = orjson.dumps({"ok": verdict.ok, **verdict.details}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        self._answer(HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE, "application/json", body)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature of http.server
        """Probes come every few seconds: they are not logged."""
