"""Logs: one JSON object (or one console line) an event, with what is being worked on bound to each line, and no secret in any.

`configure_logging` is called once, at the start of a command. structlog and the standard library's logging then share one way out:
bound context, redaction, rendering. Modules write ``structlog.get_logger(__name__).info("photo refused", reason=...)``; libraries'
own records come through the same processors, at warning level and above.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.ops.redaction import Redactor
from worker.settings.ops import OpsSettings

# Libraries whose information lines would bury the worker's own (kafka-python logs each heartbeat, httpx each request).
QUIET = ("kafka", "boto3", "botocore", "s3transfer", "urllib3", "qdrant_client", "httpx", "httpcore", "opentelemetry", "PIL")

# Terminal control characters: an attacker's object key must not repaint the operator's screen.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}


def configure_logging(settings: OpsSettings, redactor: Redactor | None = None, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (stderr by default), as `settings` say, without secrets.

    Safe to call again (tests do): the last call wins.
    """
    redactor = redactor or Redactor()
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        RedactSecrets(redactor, escape_controls=settings.log_format == "console"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *(p for p in shared if not isinstance(p, structlog.stdlib.ExtraAdder)),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    target = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings, target)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _renderer(settings: OpsSettings, stream: TextIO) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_to_json)
    # Plain tracebacks: the pretty ones show local variables, and with them secrets.
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _to_json(event: Mapping[str, Any], **_options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class RedactSecrets:
    """The last processor before rendering: whatever a line holds, also tracebacks, leaves without secrets."""

    def __init__(self, redactor: Redactor, *, escape_controls: bool) -> None:
        self._redactor = redactor
        self._escape = escape_controls

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Redact each field in place; structlog's own bookkeeping (names with an underscore) stays as it is."""
        for name, value in event.items():
            if name.startswith("_"):
                continue
            clean = self._redactor.field(name, value)
            event[name] = clean.translate(_CONTROL) if self._escape and isinstance(clean, str) and name != "exception" else clean
        return event


@contextmanager
def log_context(fields: Mapping[str, object] | None = None, /, **more: object) -> Iterator[None]:
    """Every line written inside carries these fields: arrival_id, event_id, trace_id, stage, ... None values are left out.

    Bound by context variable: a line of another thread does not carry them. What works on one item of a batch enters it for that
    item; what works on the whole batch logs ``arrival_ids`` itself.
    """
    present = {name: value for name, value in {**(fields or {}), **more}.items() if value is not None}
    with bound_contextvars(**present):
        yield


def current_context() -> Mapping[str, Any]:
    """The fields bound to lines written here."""
    return structlog.contextvars.get_contextvars()


def log_uncaught_exceptions() -> None:
    """Make uncaught exceptions, also those of threads, log lines (redacted like every other) instead of bare tracebacks."""
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("worker").critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    structlog.get_logger("worker").critical(
        "uncaught exception in a thread", thread=name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback)
    )
