from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import ConfigurationError
from worker.ops.health import Verdict
from worker.ops.http import HealthServer, Probes
from worker.ops.metrics import Metrics


class State:
    """What the probes say; tests change it."""

    def __init__(self) -> None:
        self.live = Verdict(ok=True, details={"progress": "idle: no work waits"})
        self.ready = Verdict(ok=False, details={"models": "warming up"})
        self.fail = False
        self.metrics = Metrics(process=False)

    def ask_live(self) -> Verdict:
        if self.fail:
            raise RuntimeError("secret detail")
        return self.live


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def server(state: State) -> Iterator[HealthServer]:
    with HealthServer(Probes(state.ask_live, lambda: state.ready, state.metrics.registry), "127.0.0.1", 0) as running:
        yield running


def test_a_free_port_is_found_when_asked_for_none(server: HealthServer) -> None:
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}"


def test_livez_says_200_with_the_reason(server: HealthServer) -> None:
    answer = httpx.get(f"{server.url}/livez")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "progress": "idle: no work waits"}
    assert answer.headers["cache-control"] == "no-store"


def test_readyz_says_503_and_what_is_missing_then_200(server: HealthServer, state: State) -> None:
    answer = httpx.get(f"{server.url}/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "models": "warming up"}
    state.ready = Verdict(ok=True, details={"models": "ok"})
    assert httpx.get(f"{server.url}/readyz?verbose").status_code == 200


def test_a_probe_that_breaks_is_a_probe_that_failed_and_tells_no_details(server: HealthServer, state: State) -> None:
    state.fail = True
    answer = httpx.get(f"{server.url}/livez")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "probe": "failed: RuntimeError"}
    state.fail = False
    assert httpx.get(f"{server.url}/livez").status_code == 200


def test_metrics_are_served_in_both_formats(server: HealthServer, state: State) -> None:
    state.metrics.events.labels("new").inc(3)
    plain = httpx.get(f"{server.url}/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    samples = {
        s.name: s.value for f in text_string_to_metric_families(plain.text) for s in f.samples if s.labels == {"outcome": "new"}
    }
    assert samples["intake_events_total"] == 3
    open_metrics = httpx.get(f"{server.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_head_has_no_body_and_other_paths_are_not_found(server: HealthServer) -> None:
    head = httpx.head(f"{server.url}/livez")
    assert head.status_code == 200
    assert head.content == b""
    assert httpx.get(f"{server.url}/").status_code == 404
    assert httpx.get(f"{server.url}/metrics/../etc/passwd").status_code == 404
    assert httpx.post(f"{server.url}/livez").status_code == 501


def test_many_probes_at_once_are_answered(server: HealthServer) -> None:
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda _i: httpx.get(f"{server.url}/livez").status_code, range(64)))
    assert codes == [200] * 64


def test_a_client_that_sends_nothing_holds_up_nobody(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert httpx.get(f"{server.url}/livez", timeout=5).status_code == 200


def test_a_taken_port_is_a_configuration_error_that_names_the_setting(server: HealthServer, state: State) -> None:
    second = HealthServer(Probes(state.ask_live, lambda: state.ready, state.metrics.registry), "127.0.0.1", server.port)
    with pytest.raises(ConfigurationError, match="INTAKE_OPS__HTTP_PORT"):
        second.start()


def test_stopping_frees_the_port_and_may_be_repeated(state: State) -> None:
    server = HealthServer(Probes(state.ask_live, lambda: state.ready, state.metrics.registry), "127.0.0.1", 0)
    server.start()
    port = server.port
    server.stop()
    server.stop()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.port
