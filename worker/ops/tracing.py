"""Traces: one span for each arrival in each stage, in the trace its producer began (W3C `traceparent`), sent by OTLP/HTTP.

OpenTelemetry is an extra (``pip install 'intake-worker[tracing]'``). Off, nothing of it is imported and a stage costs one call more.
A stage works on a whole batch, so the spans of a batch's arrivals in one stage share begin and end; waiting between two stages is the
gap between their spans. An event without a traceparent gets a trace derived from its arrival id: its spans still hang together, also
those of a replay.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from worker import __version__
from worker.errors import ConfigurationError, DeadLetterError, IntakeError
from worker.events.trace import Traceparent
from worker.ops.redaction import Redactor
from worker.settings.ops import OpsSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

SERVICE_NAME = "intake-worker"
TRACES_PATH = "/v1/traces"  # of OTLP/HTTP
# Spans that wait to be sent when the worker ends get this long; the drain has its own, larger deadline.
CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class TracedItem:
    """One arrival, as its spans name it. `attributes` must be short and hold no secret."""

    arrival_id: str
    traceparent: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


StageRun = Callable[[Sequence[Any]], Sequence[Any]]


class Tracing(Protocol):
    """Where finished stages are reported."""

    def stage_done(
        self, stage: str, items: Sequence[TracedItem], errors: Sequence[BaseException | None], start_ns: int, end_ns: int
    ) -> None:
        """One span for each item, from `start_ns` to `end_ns` (Unix time), failed where `errors` holds an error."""

    def close(self) -> None:
        """Send what is left, within a bound. Idempotent."""


class NoTracing:
    """Tracing is off."""

    def stage_done(
        self, stage: str, items: Sequence[TracedItem], errors: Sequence[BaseException | None], start_ns: int, end_ns: int
    ) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def place_in_trace(item: TracedItem) -> Traceparent:
    """The span an arrival's spans are children of: its producer's, or one derived from the arrival id."""
    given = Traceparent.parse(item.traceparent)
    if given is not None:
        return given
    digest = hashlib.sha256(item.arrival_id.encode()).hexdigest()
    return Traceparent(digest[:32], digest[32:48])


def open_tracing(settings: OpsSettings, redactor: Redactor | None = None, exporter: SpanExporter | None = None) -> Tracing:
    """Tracing as the settings say. `exporter` takes the place of OTLP/HTTP (tests).

    Without `otlp_endpoint` OpenTelemetry's own variables hold (``OTEL_EXPORTER_OTLP_ENDPOINT`` and so on). An unreachable collector
    costs log lines and spans, nothing else.

    Raises:
        ConfigurationError: tracing is asked for and the extra is not installed.
    """
    if not settings.tracing:
        return NoTracing()
    try:
        return _OtlpTracing(settings.otlp_endpoint, redactor or Redactor(), exporter)
    except ImportError as error:
        raise ConfigurationError(
            "INTAKE_OPS__TRACING is on but OpenTelemetry is not installed: pip install 'intake-worker[tracing]', or turn it off"
        ) from error


def traced(tracing: Tracing, stage: str, run: StageRun, item_of: Callable[[Any], TracedItem]) -> StageRun:
    """`run` (a stage), reporting to `tracing`. Results and exceptions pass through untouched."""
    if isinstance(tracing, NoTracing):
        return run

    def run_traced(values: Sequence[Any]) -> Sequence[Any]:
        items = [item_of(value) for value in values]
        start = time.time_ns()
        try:
            results = run(values)
        except BaseException as error:
            tracing.stage_done(stage, items, [error] * len(items), start, time.time_ns())
            raise
        errors = [result if isinstance(result, BaseException) else None for result in results]
        tracing.stage_done(stage, items, errors, start, time.time_ns())
        return results

    return run_traced


class _OtlpTracing:
    """The only place that touches OpenTelemetry. A provider of its own: nothing global is set."""

    def __init__(self, endpoint: str | None, redactor: Redactor, exporter: SpanExporter | None) -> None:
        from opentelemetry import trace as api  # noqa: PLC0415  an extra, imported only where it is asked for
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._api = api
        self._redactor = redactor
        resource = Resource.create({"service.name": SERVICE_NAME, "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        target = exporter if exporter is not None else OTLPSpanExporter(endpoint=_traces_url(endpoint), timeout=CLOSE_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(target))
        self._tracer = self._provider.get_tracer("worker", __version__)
        self._closed = False

    def stage_done(
        self, stage: str, items: Sequence[TracedItem], errors: Sequence[BaseException | None], start_ns: int, end_ns: int
    ) -> None:
        for item, error in zip(items, errors, strict=True):
            span = self._tracer.start_span(
                f"intake {stage}",
                context=self._parent(item),
                attributes={
                    "intake.arrival_id": item.arrival_id,
                    "intake.stage": stage,
                    "intake.batch_size": len(items),
                    **item.attributes,
                },
                start_time=start_ns,
            )
            if error is not None:
                self._mark(span, error)
            span.end(end_ns)

    def _mark(self, span: Span, error: BaseException) -> None:
        span.set_attribute("error.type", type(error).__name__)
        if isinstance(error, DeadLetterError):
            span.set_attribute("intake.reason", str(error.reason))
        # Only the worker's own errors have messages that are meant to be read outside.
        text = self._redactor.text(str(error)) if isinstance(error, IntakeError) else type(error).__name__
        span.set_status(self._api.StatusCode.ERROR, text)

    def _parent(self, item: TracedItem) -> Any:
        place = place_in_trace(item)
        context = self._api.SpanContext(
            trace_id=int(place.trace_id, 16),
            span_id=int(place.span_id, 16),
            is_remote=True,
            trace_flags=self._api.TraceFlags(place.flags),
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(context))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._provider.force_flush(int(CLOSE_TIMEOUT_S * 1000))
        self._provider.shutdown()


def _traces_url(endpoint: str | None) -> str | None:
    """A collector's base address, or the full address of its traces."""
    if endpoint is None or endpoint.rstrip("/").endswith(TRACES_PATH):
        return endpoint
    return endpoint.rstrip("/") + TRACES_PATH
