"""Before a client is opened: is a broker there, is its certificate good, does it take the credentials?

kafka-python takes a refused connection, a failed TLS handshake and (as it often sees the end of the connection before the answer) a
refused log-in for passing troubles, tries until its time is over, and then says only that it timed out. Asked directly, the operating
system, OpenSSL and the broker name the reason.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

from kafka import errors as kafka_errors
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from worker.errors import AccessDenied, ConfigurationError, DeadlineExceeded
from worker.ops.deadline import Deadline
from worker.settings.stream import KafkaSettings

_CONNECT_TIMEOUT_S = 5.0
_PAUSE_S = 0.5
_RECEIVE_BYTES = 65_536


def check_reachable(
    settings: KafkaSettings, context: ssl.SSLContext | None, configuration: Mapping[str, Any] | None = None
) -> None:
    """Return once one broker of the list takes a connection (and its certificate verifies, with TLS).

    With the clients' `configuration` it must also take their credentials, if they have any.

    Raises:
        KafkaError: the broker refuses the credentials, or does not take their mechanism.
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
                _connect(host, port, context, configuration)
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


def _connect(host: str, port: int, context: ssl.SSLContext | None, configuration: Mapping[str, Any] | None) -> None:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S))
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname=host))
        if configuration is not None and "sasl_mechanism" in configuration:
            _log_in(connection, host, configuration)


def _log_in(connection: socket.socket, host: str, configuration: Mapping[str, Any]) -> None:
    """The exchange of KIP-43 and KIP-152, with kafka-python's own messages and mechanisms."""
    protocol = KafkaProtocol(client_id=configuration["client_id"])
    name = configuration["sasl_mechanism"]
    handshake = _ask(connection, protocol, SaslHandshakeRequest(mechanism=name, version=1))
    if handshake.error_code:
        raise kafka_errors.for_code(handshake.error_code)(f"it takes {', '.join(handshake.mechanisms)}, not {name}")
    mechanism = get_sasl_mechanism(name)(host=host, **configuration)
    while not mechanism.is_done():
        answer = _ask(connection, protocol, SaslAuthenticateRequest(mechanism.auth_bytes(), version=1))
        if answer.error_code:
            raise kafka_errors.for_code(answer.error_code)(answer.error_message)
        mechanism.receive(answer.auth_bytes)
    if not mechanism.is_authenticated():
        raise kafka_errors.SaslAuthenticationFailedError(f"the broker could not prove that it knows the password of {name}")


def _ask(connection: socket.socket, protocol: KafkaProtocol, request: Any) -> Any:
    protocol.send_request(request)
    connection.sendall(protocol.send_bytes())
    while True:
        data = connection.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("the broker closed the connection during the log-in")
        for _correlation_id, answer in protocol.receive_bytes(data):
            return answer
