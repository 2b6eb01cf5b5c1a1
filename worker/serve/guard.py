"""What surrounds every request: whom the service answers to, headers that protect whoever looks at it, one log line, one count."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.serve.metrics import ServeMetrics
from worker.serve.problems import Refusal, failed
from worker.settings import ServeSettings

_log = structlog.get_logger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
# Kubelet and Prometheus call a pod by its address.
PROBES = frozenset({"/livez", "/readyz", "/metrics"})

# Nothing but the page itself is ever rendered: everything else may do nothing at all. No CORS header is ever sent.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def problem_response(refusal: Refusal, retry_after_s: int) -> JSONResponse:
    """A problem as a response (RFC 9457)."""
    headers = {"Cache-Control": "no-store"}
    if refusal.retry:
        headers["Retry-After"] = str(retry_after_s)
    problem = refusal.problem.model_dump(mode="json")
    return JSONResponse(problem, refusal.status.value, headers, media_type="application/problem+json")


class Guard:
    """ASGI middleware around the whole service.

    - The Host header must name the service (`ServeSettings.allowed_hosts`): a page elsewhere that points a name of its own at this
      address (DNS rebinding) gets no answer.
    - A browser that says another site makes it send a POST gets none either: the answer could not be read there, the work would be done.
    - A failure is logged once, and answered without a word about itself.
    - The log line has method, route, status and time: no query, no file name, no header of the client's.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: ServeMetrics, route_of: Callable[[str], str]) -> None:
        """`route_of` names the route of a path by one of a few names."""
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._route_of = route_of
        self._hosts = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_guarded)
        except Refusal as refusal:
            self._metrics.refused.labels(refusal.reason).inc()
            await problem_response(refusal, self._settings.retry_after_s)(scope, receive, send_guarded)
        except Exception:  # noqa: BLE001  whatever it is, the client gets an answer and the operator a log line
            _log.exception("a request failed", route=self._route_of(scope["path"]))
            if status == 0:
                await problem_response(failed(), self._settings.retry_after_s)(scope, receive, send_guarded)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._hosts is not None and scope["path"] not in PROBES and host_name(headers.get("host", "")) not in self._hosts:
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "host-unknown",
                "This service does not answer to the name it was called by (INTAKE_SERVE__ALLOWED_HOSTS).",
            )
        if scope["method"] not in {"GET", "HEAD", "OPTIONS"} and headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            raise Refusal(HTTPStatus.FORBIDDEN, "cross-site", "Pages of other sites may not send photos here.")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route_of(scope["path"])
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if scope["path"] not in PROBES:
            _log.info("answered", method=scope["method"][:16], route=route, status=status, ms=round(seconds * 1000.0, 1))


def allowed_hosts(settings: ServeSettings) -> frozenset[str] | None:
    """Names that may stand in the Host header; None: any."""
    if "*" in settings.allowed_hosts:
        return None
    if settings.allowed_hosts:
        return frozenset(name.lower() for name in settings.allowed_hosts)
    return LOOPBACK_NAMES if is_loopback(settings.host) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(header: str) -> str:
    """The name in a Host header, without port, brackets and capitals."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
