"""The service's own metrics: beside those of the process, for it has no stream and no events."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from worker import __version__
from worker.events import DecisionKind
from worker.ops.metrics import STAGE_BUCKETS


class ServeMetrics:
    """All metrics of the service, on a registry of their own. Labels take only values this program chose."""

    def __init__(self, *, process: bool = True) -> None:
        """`process` adds the process, platform and garbage-collector metrics (once a process is enough)."""
        self.registry = registry = CollectorRegistry(auto_describe=True)
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)
        self.requests = Counter(
            "intake_serve_requests", "Requests by route and HTTP status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "intake_serve_request_seconds",
            "From a request's head to its answer.",
            ["route"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.refused = Counter("intake_serve_refused", "Searches without an answer, by reason.", ["reason"], registry=registry)
        self.decisions = Counter("intake_serve_decisions", "Searches by what was decided.", ["decision"], registry=registry)
        for kind in DecisionKind:
            self.decisions.labels(kind.value)
        self.steps = Histogram(
            "intake_serve_step_seconds", "Time of one step of a search.", ["step"], buckets=STAGE_BUCKETS, registry=registry
        )
        self.in_work = Gauge("intake_serve_in_work", "Searches in work.", registry=registry)
        self.dependency_up = Gauge(
            "intake_dependency_up", "1 if the dependency answered its last check, else 0.", ["dependency"], registry=registry
        )
        self.build = Gauge("intake_build_info", "The program's version; always 1.", ["version"], registry=registry)
        self.build.labels(__version__).set(1)

    def answered(self, decision: DecisionKind, timings_ms: Mapping[str, float]) -> None:
        """A search was answered."""
        self.decisions.labels(decision.value).inc()
        for step, milliseconds in timings_ms.items():
            self.steps.labels(step).observe(milliseconds / 1000.0)

    def dependency_answered(self, name: str, ok: bool) -> None:
        """A dependency answered its check, or did not."""
        self.dependency_up.labels(name).set(1 if ok else 0)
