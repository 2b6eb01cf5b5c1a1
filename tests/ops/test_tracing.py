from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from typing import Any, cast

import pytest

from tests.infra.needs import require
from worker.errors import CatalogueUnavailable, ConfigurationError, PhotoRefused, Reason
from worker.ops.redaction import Redactor
from worker.ops.tracing import NoTracing, TracedItem, Tracing, open_tracing, place_in_trace, traced
from worker.settings.ops import OpsSettings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ON = OpsSettings(tracing=True)


def installed() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


@pytest.fixture
def memory() -> Any:
    require(installed(), "the tracing extra")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    return InMemorySpanExporter()


def run_stage(tracing: Tracing, stage: str, results: Sequence[Any] | BaseException, items: Sequence[TracedItem]) -> Sequence[Any]:
    def run(_values: Sequence[Any]) -> Sequence[Any]:
        if isinstance(results, BaseException):
            raise results
        return results

    return traced(tracing, stage, run, lambda value: cast(TracedItem, value))(items)


# ---- off


def test_off_means_that_the_stage_is_the_stage_itself() -> None:
    tracing = open_tracing(OpsSettings())
    assert isinstance(tracing, NoTracing)

    def run(values: Sequence[Any]) -> Sequence[Any]:
        return values

    assert traced(tracing, "fetch", run, lambda _v: TracedItem("A-1")) is run
    tracing.stage_done("fetch", [], [], 0, 0)
    tracing.close()


def test_off_imports_nothing_of_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert isinstance(open_tracing(OpsSettings()), NoTracing)


def test_asked_for_but_not_installed_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'intake-worker\[tracing\]'"):
        open_tracing(ON)


# ---- where an arrival stands in a trace


def test_an_arrival_stands_where_its_producer_put_it() -> None:
    assert str(place_in_trace(TracedItem("A-1", PARENT))) == PARENT


@pytest.mark.parametrize("missing", [None, "", "rubbish", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_without_a_valid_traceparent_the_trace_is_derived_from_the_arrival(missing: str | None) -> None:
    first, again, other = (place_in_trace(TracedItem(name, missing)) for name in ("A-1", "A-1", "A-2"))
    assert first == again
    assert first.trace_id != other.trace_id
    assert first.sampled


# ---- on


def test_each_arrival_has_a_span_in_each_stage_under_its_own_parent(memory: Any) -> None:
    tracing = open_tracing(ON, exporter=memory)
    items = [TracedItem("A-1", PARENT, {"intake.topic": "t"}), TracedItem("A-2")]
    assert run_stage(tracing, "fetch", ["x", "y"], items) == ["x", "y"]
    run_stage(tracing, "decode", ["x", "y"], items)
    tracing.close()
    spans = memory.get_finished_spans()
    assert [(s.name, s.attributes["intake.arrival_id"]) for s in spans] == [
        ("intake fetch", "A-1"), ("intake fetch", "A-2"), ("intake decode", "A-1"), ("intake decode", "A-2"),
    ]  # fmt: skip
    first = spans[0]
    assert f"{first.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{first.parent.span_id:016x}" == "b7ad6b7169203331"
    assert first.attributes["intake.batch_size"] == 2
    assert first.attributes["intake.topic"] == "t"
    assert first.start_time <= first.end_time
    assert first.resource.attributes["service.name"] == "intake-worker"
    assert spans[1].context.trace_id == spans[3].context.trace_id != first.context.trace_id


def test_an_unsampled_trace_is_not_recorded(memory: Any) -> None:
    tracing = open_tracing(ON, exporter=memory)
    run_stage(tracing, "fetch", ["x"], [TracedItem("A-1", PARENT[:-2] + "00")])
    tracing.close()
    assert memory.get_finished_spans() == ()


def test_an_arrival_that_drops_out_has_a_failed_span_and_its_neighbour_has_not(memory: Any) -> None:
    tracing = open_tracing(ON, Redactor.of(["hunter2-secret"]), memory)
    refused = PhotoRefused(Reason.PHOTO_CORRUPT, "cut short; hunter2-secret")
    run_stage(tracing, "decode", [refused, "y"], [TracedItem("A-1", PARENT), TracedItem("A-2", PARENT)])
    tracing.close()
    failed, good = memory.get_finished_spans()
    assert failed.status.is_ok is False
    assert failed.attributes["intake.reason"] == "photo-corrupt"
    assert failed.attributes["error.type"] == "PhotoRefused"
    assert "hunter2" not in failed.to_json()
    assert good.status.description is None


def test_an_error_of_the_whole_batch_marks_every_span_and_is_raised(memory: Any) -> None:
    tracing = open_tracing(ON, exporter=memory)
    with pytest.raises(CatalogueUnavailable):
        run_stage(tracing, "search", CatalogueUnavailable("away"), [TracedItem("A-1"), TracedItem("A-2")])
    with pytest.raises(ZeroDivisionError):
        run_stage(tracing, "match", ZeroDivisionError("password=abc"), [TracedItem("A-1")])
    tracing.close()
    spans = memory.get_finished_spans()
    assert [s.attributes["error.type"] for s in spans] == ["CatalogueUnavailable", "CatalogueUnavailable", "ZeroDivisionError"]
    assert spans[2].status.description == "ZeroDivisionError"


def test_closing_twice_is_fine(memory: Any) -> None:
    tracing = open_tracing(ON, exporter=memory)
    tracing.close()
    tracing.close()


# ---- over the wire


class Collector(BaseHTTPRequestHandler):
    bodies: list[tuple[str, str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    bodies: list[tuple[str, str, bytes]] = []
    handler = type("Handler", (Collector,), {"bodies": bodies})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.parametrize("suffix", ["", "/", "/v1/traces"])
def test_spans_reach_a_collector_by_otlp_http(collector: tuple[str, list[tuple[str, str, bytes]]], suffix: str) -> None:
    require(installed(), "the tracing extra")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, bodies = collector
    tracing = open_tracing(OpsSettings(tracing=True, otlp_endpoint=url + suffix))
    run_stage(tracing, "embed", ["x"], [TracedItem("A-1", PARENT)])
    tracing.close()
    ((path, content_type, body),) = bodies
    assert path == "/v1/traces"
    assert content_type == "application/x-protobuf"
    (span,) = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    assert span.name == "intake embed"
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id.hex() == "b7ad6b7169203331"


def test_a_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    require(installed(), "the tracing extra")
    tracing = open_tracing(OpsSettings(tracing=True, otlp_endpoint="http://127.0.0.1:9"))
    assert run_stage(tracing, "embed", ["x"], [TracedItem("A-1", PARENT)]) == ["x"]
    tracing.close()
