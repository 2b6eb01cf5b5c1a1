"""Before a client is opened: is a broker there, and is its certificate good?

kafka-python takes a refused connection and a failed TLS handshake for passing troubles and tries until its time is over, then says only
that it timed out. Asked directly, the operating system and OpenSSL name the reason.
"""

from __future__ import annotations

import socket
import ssl
import time

from worker.errors import AccessDenied, ConfigurationError, DeadlineExceeded
from worker.ops.deadline import Deadline
from worker.settings.stream import KafkaSettings

_CONNECT_TIMEOUT_S = 5.0
_PAUSE_S = 0.5


def check_reachable(settings: KafkaSettings, context: ssl.SSLContext | None) -> None:
    """Return once one broker of the list takes a connection (and its certificate verifies, with TLS).

    Raises:
        AccessDenied: TLS fails: the broker's certificate is expired, not signed by the CA, or for another host.
        ConfigurationError: the list of brokers cannot be read.
        DeadlineExceeded: no broker answered within `request_timeout_s`.
    """
    servers = [_host_and_port(server) for server in settings.bootstrap_servers.split(",") if server.strip()]
    if not servers:
        raise ConfigurationError("INTAKE_KAFKA__BOOTSTRAP_SERVERS is empty: give host:port, comma-separated")
    deadline = Deadline.after(settings.request_timeout_s)
    while True:
        failures = []
        for host, port in servers:
            try:
                _connect(host, port, context)
            except ssl.SSLError as error:
                reason = getattr(error, "verify_message", None) or error.reason or str(error)
                raise AccessDenied(
                    f"TLS with Kafka at {host}:{port} fails: {reason}; check the broker's certificate and INTAKE_KAFKA__SSL_CAFILE"
                ) from error
            except OSError as error:
                failures.append(f"{host}:{port}: {error.strerror or error}")
            else:
                return
        if deadline.passed:
            raise DeadlineExceeded(
                f"no Kafka broker answered within {settings.request_timeout_s:g} s ({'; '.join(failures)}); "
                "check INTAKE_KAFKA__BOOTSTRAP_SERVERS and the network"
            )
        time.sleep(min(_PAUSE_S, deadline.remaining()))


def _host_and_port(server: str) -> tuple[str, int]:
    host, _colon, port = server.strip().rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"INTAKE_KAFKA__BOOTSTRAP_SERVERS: {server.strip()!r} is not host:port")
    return host.strip("[]"), int(port)


def _connect(host: str, port: int, context: ssl.SSLContext | None) -> None:
    with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S) as plain:
        if context is not None:
            with context.wrap_socket(plain, server_hostname=host):
                pass
