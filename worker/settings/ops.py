"""Settings of logs, metrics, traces and health."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from worker.settings.base import Group


class OpsSettings(Group):
    """What the platform team sees."""

    log_format: Literal["json", "console"] = Field(default="json", description="One JSON object a line, or lines for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Of the worker; libraries: warning."
    )
    http_host: str = Field(
        default="0.0.0.0",  # noqa: S104  # nosec B104  a pod's probes come from outside the container
        description="Address the probes and metrics listen on.",
    )
    http_port: int = Field(default=9464, ge=0, le=65535, description="/livez, /readyz and /metrics; 0: any free port.")
    progress_timeout_s: float = Field(
        default=120.0, gt=0, description="/livez fails when nothing moved for this long while work waited."
    )
    tracing: bool = Field(default=False, description="OpenTelemetry traces by OTLP/HTTP; needs the `tracing` extra.")
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP/HTTP collector, as http://collector:4318; unset: OpenTelemetry's own variables hold."
    )
    faults: str | None = Field(
        default=None, description="Fault injection for tests, as in `after-settle:crash:3`. Never set in production."
    )
