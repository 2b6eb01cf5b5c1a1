"""`intake run`: the worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

import structlog

from worker import __version__
from worker.assembly import Parts, build_flow, build_pipeline, open_parts
from worker.ops.fence import StandstillFence
from worker.ops.health import Condition, Dependency, Readiness
from worker.ops.http import HealthServer, Probes
from worker.ops.logs import configure_logging, log_uncaught_exceptions
from worker.ops.metrics import Metrics
from worker.ops.observer import PipelineReports, StreamReports
from worker.ops.redaction import Redactor, secrets_of
from worker.ops.tracing import open_tracing
from worker.settings import load_settings
from worker.stream.runner import StreamWorker

_log = structlog.get_logger(__name__)


def command() -> None:
    """Consume arrivals until SIGTERM. All settings come from the environment (INTAKE_...); see `intake doctor`."""
    settings = load_settings()
    redactor = Redactor.of(secrets_of(settings))
    configure_logging(settings.ops, redactor)
    log_uncaught_exceptions()
    metrics = Metrics()
    fence = StandstillFence(settings.stream.session_timeout_s)
    reports = StreamReports(metrics, fence)
    progress = reports.attach(settings.ops.progress_timeout_s)
    with ExitStack() as stack:
        _log.info("starting", version=__version__)
        tracing = stack.enter_context(closing(open_tracing(settings.ops, redactor)))
        parts: list[Parts] = []
        readiness = Readiness(
            (
                Condition("models", lambda: bool(parts), "loading"),
                Condition("partitions", reports.has_assignment, "none assigned: more workers than partitions, or still joining"),
            ),
            on_answer=metrics.dependency_answered,
            redact=redactor.text,
        )
        server = HealthServer(
            Probes(progress.verdict, readiness.verdict, metrics.registry), settings.ops.http_host, settings.ops.http_port
        )
        server.start()
        stack.callback(server.stop)
        opened = stack.enter_context(open_parts(settings))
        parts.append(opened)
        metrics.describe(opened.models, opened.catalogue.stats(), opened.calibration)
        readiness.watch(Dependency("catalogue", opened.catalogue.check))
        readiness.watch(Dependency("storage", lambda: _silently(opened.source.check)))
        stack.enter_context(readiness)
        pipeline = build_pipeline(opened, PipelineReports(metrics), fence.check)
        worker = StreamWorker(settings, build_flow(pipeline, settings, tracing), reports, opened.faults)
        _log.info("ready", probes=server.url, models=opened.fingerprint.model_dump())
        try:
            worker.run()
        finally:
            readiness.drain()
            progress.stop_beating()
        _log.info("stopped")


def _silently(check: Callable[[], object]) -> None:
    """Run `check`; what it returns is for `intake doctor`."""
    check()
