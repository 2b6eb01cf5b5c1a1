"""HTTP by hand: what a well-behaved client library would never send."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def connected(url: str) -> socket.socket:
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    return socket.create_connection((where.hostname, where.port), timeout=30)


def head(method: str, target: str, *headers: str) -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", *headers, "", "")).encode("latin-1")


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of one answer."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers: dict[str, str] = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, stream.read(int(headers.get("content-length", "0")))


def ask(url: str, method: str, target: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request without a body; the target goes out as it stands (no client tidies it up)."""
    with connected(url) as connection:
        connection.sendall(head(method, target, *(headers or ("Host: localhost",))))
        return answer_of(connection)
