"""TLS, SASL and ACLs: with exactly the documented grants the worker works; with one thing wrong it ends with one clear error."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.infra.kafka import KafkaServer, unique, wait_until
from tests.infra.kafka_secured import PASSWORD, Grant, SecuredKafka, grants
from tests.stream.flows import FAST, Topics, make_flow, running
from worker.errors import AccessDenied, ConfigurationError, DeadlineExceeded
from worker.settings import Settings, load_settings
from worker.stream.letters import Selection, read_letters
from worker.stream.redrive import purge, purgeable, redrive
from worker.stream.topics import create_topics

pytestmark = pytest.mark.integration

NAMES = Topics("intake.item-photographed", "intake.match-alert", "intake.catalogue-insert", "intake.dead-letter")


@pytest.fixture(scope="module")
def server(secured_kafka: SecuredKafka) -> Iterator[KafkaServer]:
    """The broker through the listener only the tests know, with the worker's topics."""
    server = KafkaServer(secured_kafka.broker.bootstrap_servers)
    secured_kafka.set_grants("operator", grants("operator"))
    create_topics(settings_for(secured_kafka, "operator"), partitions=2, replication_factor=1)
    yield server
    server.close()


@pytest.fixture
def allowed(secured_kafka: SecuredKafka, server: KafkaServer) -> SecuredKafka:
    """Every role has its documented grants."""
    for role in ("worker", "submitter", "operator"):
        secured_kafka.set_grants(role, grants(role))
    return secured_kafka


def settings_for(broker: SecuredKafka, user: str, listener: str = "SCRAM", **kafka: Any) -> Settings:
    options = {
        "bootstrap_servers": broker.broker.address(listener),
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(broker.ca_file),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": user,
        "sasl_password": PASSWORD,
        "request_timeout_s": 5.0,
    } | kafka
    return load_settings(kafka={name: value for name, value in options.items() if value is not None}, stream=dict(FAST))


def published(server: KafkaServer) -> set[bytes | None]:
    return {message.key for message in server.read(NAMES.alert, NAMES.dead_letter)}


def run_once(server: KafkaServer, settings: Settings, records: Sequence[tuple[bytes, bytes]]) -> None:
    """Publish records and let a worker with these settings work them off."""
    server.send(NAMES.input, records)
    expected = {key for key, _value in records}
    with running(settings, make_flow(NAMES)) as worker:
        wait_until(lambda: worker.errors or expected <= published(server), "the records")
        worker.stop()


def test_with_tls_scram_and_exactly_the_documented_grants_the_worker_works(allowed: SecuredKafka, server: KafkaServer) -> None:
    run_once(server, settings_for(allowed, "worker"), [(b"k1", b"1"), (b"k2", b"2"), (b"k3", b"bad")])


def test_the_operator_can_do_his_work_with_exactly_the_documented_grants(allowed: SecuredKafka, server: KafkaServer) -> None:
    run_once(server, settings_for(allowed, "worker"), [(b"k9", b"bad")])
    operator = settings_for(allowed, "operator")
    assert [done for _state, done in create_topics(operator, partitions=2, replication_factor=1)] == ["exists"] * 5
    letters = read_letters(operator)
    report = redrive(operator, Selection())
    assert len(report.redriven) == len(letters) > 0
    purge(operator, purgeable(operator, read_letters(operator), everything=False))
    assert read_letters(operator) == []
    run_once(server, settings_for(allowed, "worker"), [(b"after the purge", b"1")])


@pytest.mark.parametrize("missing", grants("worker"), ids=lambda each: f"{each.resource} {each.name} {each.operation}")
def test_each_missing_grant_is_one_clear_error_and_nothing_is_published(
    allowed: SecuredKafka, server: KafkaServer, missing: Grant
) -> None:
    allowed.set_grants("worker", [each for each in grants("worker") if each != missing])
    server.send(NAMES.input, [(key := unique("denied").encode(), b"1")])
    with running(settings_for(allowed, "worker"), make_flow(NAMES)) as worker, pytest.raises(AccessDenied) as denied:
        worker.join(30)
    message = str(denied.value)
    assert "worker" in message
    assert PASSWORD not in message
    if missing.resource != "TRANSACTIONAL_ID":
        assert missing.name in message
    assert key not in published(server)


def test_a_wrong_password_is_one_clear_error_that_does_not_show_it(allowed: SecuredKafka) -> None:
    settings = settings_for(allowed, "worker", sasl_password="not-the-password")
    started = time.monotonic()
    with running(settings, make_flow(NAMES)) as worker, pytest.raises(AccessDenied, match="credentials") as denied:
        worker.join(30)
    assert "not-the-password" not in str(denied.value)
    assert time.monotonic() - started < 15


def test_an_expired_certificate_is_named_as_that(allowed: SecuredKafka) -> None:
    settings = settings_for(allowed, "worker", "EXPIRED")
    with running(settings, make_flow(NAMES)) as worker, pytest.raises(AccessDenied, match="certificate has expired"):
        worker.join(30)


def test_a_certificate_of_another_authority_is_refused(allowed: SecuredKafka) -> None:
    settings = settings_for(allowed, "worker", ssl_cafile=str(allowed.other_ca_file))
    with running(settings, make_flow(NAMES)) as worker, pytest.raises(AccessDenied, match="SSL_CAFILE"):
        worker.join(30)


def test_a_missing_ca_file_is_named(allowed: SecuredKafka) -> None:
    settings = settings_for(allowed, "worker", ssl_cafile="/nowhere/ca.pem")
    with running(settings, make_flow(NAMES)) as worker, pytest.raises(ConfigurationError, match=r"SSL_CAFILE: /nowhere/ca\.pem"):
        worker.join(30)


def test_a_broker_that_is_not_there_is_named_with_its_address() -> None:
    settings = load_settings(kafka={"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1.0}, stream=dict(FAST))
    with (
        running(settings, make_flow(NAMES)) as worker,
        pytest.raises(DeadlineExceeded, match=r"127\.0\.0\.1:1.*BOOTSTRAP_SERVERS"),
    ):
        worker.join(30)


def test_sasl_plain_works(allowed: SecuredKafka, server: KafkaServer) -> None:
    settings = settings_for(
        allowed, "worker", "PLAINSASL", security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", ssl_cafile=None
    )
    run_once(server, settings, [(b"plain", b"1")])


class _TokenEndpoint(BaseHTTPRequestHandler):
    """Gives unsigned tokens to one client, as the broker of the tests takes them."""

    asked: list[str]

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        client = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        self.asked.append(form)
        if client != "worker:client-secret":
            self.send_response(401)
            self.end_headers()
            return
        now = time.time()
        parts = ({"alg": "none"}, {"sub": "worker", "iat": now, "exp": now + 3600})
        token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
        body = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def token_endpoint() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_TokenEndpoint,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token", asked
    server.shutdown()
    server.server_close()


def oauth_settings(broker: SecuredKafka, url: str, secret: str) -> Settings:
    return settings_for(
        broker,
        "worker",
        "OAUTH",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        ssl_cafile=None,
        sasl_username=None,
        sasl_password=None,
        oauth_token_url=url,
        oauth_client_id="worker",
        oauth_client_secret=secret,
        oauth_scope="kafka",
    )


def test_oauthbearer_with_client_credentials_works_and_the_token_is_kept(
    allowed: SecuredKafka, server: KafkaServer, token_endpoint: tuple[str, list[str]]
) -> None:
    url, asked = token_endpoint
    run_once(server, oauth_settings(allowed, url, "client-secret"), [(b"oauth", b"1")])
    assert set(asked) == {"grant_type=client_credentials&scope=kafka"}
    assert len(asked) <= 4  # one for each client: admin, producer, consumer


def test_a_client_the_token_endpoint_refuses_is_one_clear_error(
    allowed: SecuredKafka, token_endpoint: tuple[str, list[str]]
) -> None:
    settings = oauth_settings(allowed, token_endpoint[0], "wrong-secret")
    with running(settings, make_flow(NAMES)) as worker, pytest.raises(AccessDenied, match="HTTP 401") as denied:
        worker.join(30)
    assert "wrong-secret" not in str(denied.value)
