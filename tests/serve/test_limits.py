"""How much is taken, for how long, and from whom."""

from __future__ import annotations

import json

import pytest

from tests.serve.conftest import Running
from tests.serve.wire import answer_of, ask, connected, head
from worker.serve.guard import allowed_hosts, host_name
from worker.serve.slots import Slots
from worker.settings import ServeSettings

HOST = "Host: localhost"


@pytest.mark.parametrize(
    ("content_type", "announced", "reason"),
    [("image/jpeg", 400_001, "photo-too-large"), ("multipart/form-data; boundary=b", 1_000_001, "body-too-large")],
)
def test_what_is_announced_as_too_large_is_refused_before_its_body_is_read(
    service: Running, content_type: str, announced: int, reason: str
) -> None:
    with connected(service.url) as connection:
        # Not one byte of the body is sent: an answer can only come from the head.
        connection.sendall(head("POST", "/search", HOST, f"Content-Type: {content_type}", f"Content-Length: {announced}"))
        status, _, body = answer_of(connection)
    assert (status, json.loads(body)["reason"]) == (413, reason)


def test_a_client_that_asks_first_is_not_told_to_go_on(service: Running) -> None:
    with connected(service.url) as connection:
        connection.sendall(
            head("POST", "/search", HOST, "Content-Type: image/jpeg", "Content-Length: 999999999", "Expect: 100-continue")
        )
        status, _, _ = answer_of(connection)
    assert status == 413


def test_a_body_of_unknown_length_is_cut_at_the_limit(service: Running) -> None:
    with connected(service.url) as connection:
        connection.sendall(head("POST", "/search", HOST, "Content-Type: image/jpeg", "Transfer-Encoding: chunked"))
        block = b"x" * 50_000
        for _ in range(9):  # 450,000 bytes, and never the last chunk
            connection.sendall(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        status, _, body = answer_of(connection)
    assert (status, json.loads(body)["reason"]) == (413, "photo-too-large")


def test_a_photo_in_a_form_has_the_same_limit(service: Running) -> None:
    answer = service.client.post("/search", files={"photo": b"x" * 400_001})
    assert (answer.status_code, answer.json()["reason"]) == (413, "photo-too-large")


def test_a_slot_is_given_back_once() -> None:
    slots = Slots(1)
    assert slots.take()
    assert not slots.take()
    slots.give_back()
    with pytest.raises(RuntimeError):
        slots.give_back()
    assert slots.take()


# ---- from whom


def test_every_answer_carries_the_headers_that_protect_who_looks_at_it(service: Running) -> None:
    for path, status in (
        ("/", 200),
        ("/search", 405),
        ("/nothing", 404),
        ("/livez", 200),
        ("/openapi.json", 200),
        ("/photo/x", 404),
    ):
        answer = service.client.get(path)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_no_other_site_is_allowed_in(service: Running, red_shirt: bytes) -> None:
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    preflight = service.client.options("/search", headers=origin)
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control-")]
    for site in ("cross-site", "same-site"):
        answer = service.client.post("/search", files={"photo": red_shirt}, headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.json()["reason"]) == (403, "cross-site")
    assert (
        service.client.post("/search", files={"photo": red_shirt}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    )


@pytest.mark.parametrize("host", ["elsewhere.example", "localhost.elsewhere.example", "127.0.0.1.nip.example:80", "", "[::2]"])
def test_on_loopback_only_loopback_names_are_answered_to(service: Running, host: str) -> None:
    status, _, body = ask(service.url, "GET", "/", f"Host: {host}")
    assert (status, json.loads(body)["reason"]) == (421, "host-unknown")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
def test_loopback_names_are_known_by_any_spelling(service: Running, host: str) -> None:
    assert ask(service.url, "GET", "/", f"Host: {host}")[0] == 200


def test_probes_are_answered_by_any_name_because_the_cluster_calls_by_address(service: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert ask(service.url, "GET", path, "Host: 10.1.2.3:8080")[0] == 200


def test_names_can_be_set_and_are_not_asked_for_where_everyone_may_come() -> None:
    assert allowed_hosts(ServeSettings(host="0.0.0.0")) is None
    assert allowed_hosts(ServeSettings(allowed_hosts=("*",))) is None
    assert allowed_hosts(ServeSettings(host="0.0.0.0", allowed_hosts=("Photos.example",))) == frozenset({"photos.example"})
    assert host_name("Photos.Example:443") == "photos.example"


def test_logs_and_metrics_name_routes_and_not_what_clients_ask_for(service: Running) -> None:
    service.client.get("/wild-path-7f3a")
    ask(service.url, "WILDMETHOD", "/search", HOST)
    text = service.client.get("/metrics").text
    assert "wild-path" not in text
    assert "WILDMETHOD" not in text
    assert 'intake_serve_requests_total{route="other",status="404"}' in text
    assert 'intake_dependency_up{dependency="catalogue"} 1.0' in text
