"""A small HTTP proxy that breaks S3 in every way a network and a server can, switched while it runs.

It answers one request a connection, so that a switch takes effect at the next request. Bytes are forwarded as they are: signatures
stay valid, since clients sign the proxy's address and the server checks the Host header it was sent.
"""

from __future__ import annotations

import random
import socket
import socketserver
import struct
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from worker.embedded.s3 import S3Endpoint

PIECE = 1 << 16
SOCKET_TIMEOUT_S = 30.0
RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends a reset


class Mode(StrEnum):
    """What happens to a request."""

    PASS = "pass"
    ERROR = "error"  # answered with `status` and, unless empty, an S3 error of `code`
    TIMEOUT = "timeout"  # read, never answered
    SLOW_HEAD = "slow-head"  # the answer's first byte comes after `delay_s`
    SLOW_BODY = "slow-body"  # the head at once, then one byte of the body every `delay_s`
    RUBBISH = "rubbish"  # bytes that are no HTTP
    RUBBISH_BODY = "rubbish-body"  # the true head, then as many random bytes as it promised
    PAGE = "page"  # an HTML page with `status`, as captive portals and ingresses give
    SHORT = "short"  # the connection closes after half of the body
    RESET = "reset"  # reset before anything is answered
    RESET_MIDWAY = "reset-midway"  # reset after half of the body
    LYING_LENGTH = "lying-length"  # a head without Content-Length and ETag, the body chunked without an end


@dataclass(frozen=True, slots=True)
class Fault:
    """A mode, how it is done, and to which requests: a `share` (0..1, seeded) of those whose method is in `methods` (all if empty)."""

    mode: Mode = Mode.PASS
    status: int = 503
    code: str = "SlowDown"
    delay_s: float = 0.5
    share: float = 1.0
    methods: frozenset[str] = frozenset()


class FaultProxy:
    """The proxy. `set` switches it, from any thread; `hits` counts requests by the mode that met them."""

    def __init__(self, upstream_url: str, *, seed: int = 0) -> None:
        parts = urlsplit(upstream_url)
        self.upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.hits: dict[Mode, int] = dict.fromkeys(Mode, 0)
        self.released = threading.Event()  # set when the mode changes: requests held back let go
        self._fault = Fault()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def endpoint(self, direct: S3Endpoint) -> S3Endpoint:
        """`direct` with its address replaced by the proxy's."""
        return S3Endpoint(self.url, direct.access_key_id, direct.secret_access_key, direct.region)

    def set(self, mode: Mode | Fault = Mode.PASS) -> None:
        """From the next request on. Requests held back by TIMEOUT or SLOW are let go (their connection closes)."""
        with self._lock:
            self._fault = mode if isinstance(mode, Fault) else Fault(mode)
            self.released.set()
            self.released = threading.Event()

    def draw(self, method: str) -> tuple[Fault, threading.Event]:
        """The fault of one request, counted, and the event that ends its waiting."""
        with self._lock:
            fault = self._fault
            if (fault.methods and method not in fault.methods) or self._random.random() >= fault.share:
                fault = Fault()
            self.hits[fault.mode] += 1
            return fault, self.released

    def noise(self, size: int) -> bytes:
        """Seeded random bytes."""
        with self._lock:
            return self._random.randbytes(size)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.set(Mode.PASS)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is what this program is for."""


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    timeout = SOCKET_TIMEOUT_S

    def handle(self) -> None:
        head, length, expects = _read_head(self.rfile)
        if not head:
            return
        if expects:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(length)
        method = head.split(b" ", 1)[0].decode()
        fault, released = self.server.proxy.draw(method)
        self._do(fault, released, head + body, method)

    def _do(self, fault: Fault, released: threading.Event, request: bytes, method: str) -> None:
        match fault.mode:
            case Mode.ERROR:
                self.wfile.write(_error(fault.status, fault.code, method))
            case Mode.PAGE:
                self.wfile.write(
                    _answer(fault.status, b"<!DOCTYPE html><html><body>Please log in<br></body></html>", "text/html")
                )
            case Mode.TIMEOUT:
                released.wait(SOCKET_TIMEOUT_S)
            case Mode.RUBBISH:
                self.wfile.write(self.server.proxy.noise(512))
            case Mode.RESET:
                self._reset()
            case Mode.LYING_LENGTH:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                self._endless(released)
            case _:
                self._forward(fault, released, request)

    def _endless(self, released: threading.Event) -> None:
        piece = b"x" * PIECE
        while not released.is_set():
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        self.connection.close()

    def _forward(self, fault: Fault, released: threading.Event, request: bytes) -> None:
        with socket.create_connection(self.server.proxy.upstream, timeout=SOCKET_TIMEOUT_S) as upstream:
            upstream.sendall(request)
            with upstream.makefile("rb") as answer:
                if fault.mode is Mode.PASS:
                    while piece := answer.read1(PIECE):
                        self.wfile.write(piece)
                    return
                head, _, _ = _read_head(answer)
                body = answer.read()
        if fault.mode is Mode.SLOW_HEAD:
            released.wait(fault.delay_s)
            self.wfile.write(head + body)
            return
        if fault.mode is Mode.RUBBISH_BODY:
            self.wfile.write(head + self.server.proxy.noise(len(body)))
            return
        self.wfile.write(head)
        if fault.mode is Mode.SLOW_BODY:
            for index in range(len(body)):
                self.wfile.write(body[index : index + 1])
                if released.wait(fault.delay_s):
                    return
            return
        self.wfile.write(body[: len(body) // 2])
        if fault.mode is Mode.RESET_MIDWAY:
            # The half that was sent must have left this machine before the reset overtakes it.
            time.sleep(0.05)
            self._reset()


def _read_head(stream: object) -> tuple[bytes, int, bool]:
    """Head of a request or answer, with Connection: close and without Expect; the body's length; whether 100 Continue is awaited."""
    lines: list[bytes] = []
    length, expects = 0, False
    while line := stream.readline(PIECE):  # type: ignore[attr-defined]
        if line in {b"\r\n", b"\n"}:
            return b"".join([*lines, b"Connection: close\r\n", b"\r\n"]), length, expects
        name = line.split(b":", 1)[0].strip().lower()
        value = line.split(b":", 1)[-1].strip()
        if name == b"content-length":
            length = int(value)
        if name == b"expect":
            expects = True
        elif name != b"connection":
            lines.append(line)
    return b"", 0, False


def _answer(status: int, body: bytes, content_type: str) -> bytes:
    head = f"HTTP/1.1 {status} Fault\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _error(status: int, code: str, method: str) -> bytes:
    if not code or method == "HEAD":
        return f"HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>injected</Message></Error>'
    return _answer(status, text.encode(), "application/xml")
