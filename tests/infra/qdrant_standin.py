"""A small stand-in for a Qdrant server: the REST routes the catalogue's adapter uses, answered as Qdrant 1.18 answers them.

It runs as a child process (several workers share it), keeps its points in Qdrant Edge shards under one folder, so that it can be killed
and started again on the same data, and breaks in the ways a test asks for by `POST /standin/faults` (see `Fault`). It is no Qdrant:
there is no gRPC (only a real server covers that), no cluster, no graph index; what a real server does is what counts, and the same
behaviour suite runs against one where INTAKE_TEST_QDRANT_URL names it.

    python -m tests.infra.qdrant_standin FOLDER [--port N] [--api-key KEY] [--read-only-key KEY] [--version 1.18.3]
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from tests.infra.qdrant_store import Json, Refusal, Routes, Store

FAULTS = ("error-500", "error-503", "rate-limit", "disk-full", "rubbish", "html", "reset", "hang", "slow", "forbidden", "short")


@dataclass
class Fault:
    """What goes wrong. `path` and `method` are regular expressions; `count` None means until cleared.

    `after`: the request is carried out first and only its answer is lost or spoilt, as when a connection breaks.
    """

    kind: str
    path: str = ".*"
    method: str = ".*"
    count: int | None = None
    skip: int = 0
    seconds: float = 60.0
    after: bool = False

    def hits(self, method: str, path: str) -> bool:
        return re.search(self.path, path) is not None and re.fullmatch(self.method, method) is not None


class Answered(Exception):
    """The fault has sent its own answer; the connection stays open."""


class Control:
    """The faults in force, and what was asked so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.seen: Counter[str] = Counter()
        self.hit: Counter[str] = Counter()

    def add(self, body: Json) -> None:
        fault = Fault(**body)
        if fault.kind not in FAULTS:
            raise Refusal(400, f"no fault is called {fault.kind!r}: {', '.join(FAULTS)}")
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def next(self, method: str, path: str) -> Fault | None:
        """The fault this request meets, if any; counts it down."""
        with self._lock:
            self.seen[f"{method} {path}"] += 1
            for fault in self._faults:
                if not fault.hits(method, path):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count == 0:
                        self._faults.remove(fault)
                self.hit[fault.kind] += 1
                return fault
        return None


class Handler(BaseHTTPRequestHandler):
    """One connection. HTTP/1.1 with connections kept open, each answer in one segment."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    routes: ClassVar[Routes]
    control: ClassVar[Control]
    api_key: ClassVar[str | None] = None
    read_only_key: ClassVar[str | None] = None
    version: ClassVar[str] = "1.18.3"

    def handle_request(self) -> None:
        started = time.perf_counter()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = url.path.rstrip("/") or "/"
        if path.startswith("/standin/"):
            self._control(path, body)
            return
        if path in ("/healthz", "/livez", "/readyz"):
            self._send(200, b"all shards are ready" if path == "/readyz" else b"healthz check passed", "text/plain")
            return
        fault = self.control.next(self.command, self.path)
        try:
            if fault is not None and not fault.after:
                self._before(fault)
            result = self._answer(path, parse_qs(url.query), body)
            if fault is not None and fault.after:
                self._before(fault)
            if fault is not None and fault.kind == "short" and isinstance(result, list):
                result = result[:-1]
            self._send_json(200, {**result, "time": 0.0} if path == "/" else self._envelope("ok", started, result))
        except Refusal as refusal:
            if refusal.status == 401:  # Qdrant's answer to a wrong key has no envelope
                self._send(401, str(refusal).encode(), "text/plain")
            else:
                self._send_json(refusal.status, self._envelope({"error": str(refusal)}, started))
        except Answered:
            pass
        except ConnectionError:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815  BaseHTTPRequestHandler looks these names up

    def _answer(self, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        key = self.headers.get("api-key")
        if self.api_key is not None and key not in (self.api_key, self.read_only_key or self.api_key):
            raise Refusal(
                401, "Must provide an API key or an Authorization bearer token" if key is None else "Invalid API key or JWT"
            )
        if path == "/":
            return {"title": "qdrant - vector search engine", "version": self.version, "commit": "0" * 40}
        for method, pattern, handler, writes in self.routes.table:
            match = pattern.match(path)
            if match is None or method != self.command:
                continue
            if writes and key is not None and key == self.read_only_key:
                raise Refusal(403, "Forbidden: Write access is required")
            # What the adapter must never forget: an unordered or unawaited write would pass here and fail on a cluster.
            if writes and "/points" in path and (query.get("wait") != ["true"] or query.get("ordering") != ["strong"]):
                raise Refusal(400, f"the stand-in wants wait=true and ordering=strong on every write, got {query}")
            names = {name: unquote(value) for name, value in match.groupdict().items()}
            try:
                return handler(names, orjson.loads(body) if body else {})
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise Refusal(400, f"Format error in JSON body: {error!r}") from error
        raise Refusal(404, f"the stand-in has no route {self.command} {path}")

    def _before(self, fault: Fault) -> None:
        kind = fault.kind
        if kind == "error-500":
            raise Refusal(500, "Service internal error: injected")
        if kind == "error-503":
            raise Refusal(503, "Service unavailable: injected")
        if kind == "rate-limit":
            raise Refusal(429, "Rate limiting exceeded: injected")
        if kind == "disk-full":
            raise Refusal(500, "Service internal error: No space left on device: WAL buffer size exceeds available disk space")
        if kind == "forbidden":
            raise Refusal(403, "Forbidden: Write access is required")
        if kind in ("rubbish", "html"):
            text = b'{"result": 7, "status"' if kind == "rubbish" else b"<html>welcome to the wrong server</html>"
            self._send(200, text, "application/json" if kind == "rubbish" else "text/html")
            raise Answered
        if kind == "reset":
            # Zero linger: the close is a TCP reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            raise ConnectionError
        if kind in ("hang", "slow"):
            time.sleep(fault.seconds)
            if kind == "hang":
                raise ConnectionError

    def _control(self, path: str, body: bytes) -> None:
        try:
            if path == "/standin/faults" and self.command == "POST":
                self.control.add(orjson.loads(body))
            elif path == "/standin/faults" and self.command == "DELETE":
                self.control.clear()
            self._send_json(200, {"seen": dict(self.control.seen), "hit": dict(self.control.hit)})
        except (Refusal, TypeError) as error:
            self._send_json(400, {"status": {"error": str(error)}})

    @staticmethod
    def _envelope(status: Any, started: float, result: Any = None) -> Json:
        answer = {"status": status, "time": time.perf_counter() - started}
        return answer if result is None else {"result": result, **answer}

    def _send_json(self, status: int, content: Json) -> None:
        self._send(status, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is BaseHTTPRequestHandler's
        """Say nothing: stderr belongs to what went wrong."""


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until stdin ends: the process does not outlive the one that started it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key")
    parser.add_argument("--read-only-key")
    parser.add_argument("--version", default="1.18.3")
    options = parser.parse_args()
    Handler.routes, Handler.control = Routes(Store(options.folder)), Control()
    Handler.api_key, Handler.read_only_key, Handler.version = options.api_key, options.read_only_key, options.version
    server = Server(("127.0.0.1", options.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
