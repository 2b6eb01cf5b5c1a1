from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from worker.ops.logs import configure_logging, current_context, log_context, log_uncaught_exceptions
from worker.ops.redaction import PLACEHOLDER, Redactor
from worker.settings.ops import OpsSettings


def fail(message: str, local_only: str = "") -> None:
    raise RuntimeError(message)


class Lines(io.StringIO):
    """What was logged, as JSON objects. Clients of other tests' brokers log from threads of their own, at any time: not theirs."""

    def parsed(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in lines if not line.get("logger", "").startswith("kafka")]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    root.handlers, root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def lines() -> Lines:
    stream = Lines()
    configure_logging(OpsSettings(), Redactor.of(["hunter2-secret"]), stream)
    return stream


def test_a_line_is_one_json_object_with_time_level_and_logger(lines: Lines) -> None:
    structlog.get_logger("worker.pipeline").info("decided", decision="new", similarity=0.5)
    (line,) = lines.parsed()
    assert line["event"] == "decided"
    assert line["level"] == "info"
    assert line["logger"] == "worker.pipeline"
    assert line["decision"] == "new"
    assert line["similarity"] == 0.5
    assert line["timestamp"].endswith("Z")


def test_the_context_is_on_each_line_inside_and_on_none_outside(lines: Lines) -> None:
    log = structlog.get_logger("t")
    with log_context({"arrival_id": "A-1"}, event_id="e-1", trace_id=None):
        log.info("inside")
        with log_context(stage="fetch"):
            logging.getLogger("worker.x").warning("deeper")
        assert dict(current_context()) == {"arrival_id": "A-1", "event_id": "e-1"}
    log.info("outside")
    inside, deeper, outside = lines.parsed()
    assert (inside["arrival_id"], inside["event_id"]) == ("A-1", "e-1")
    assert "trace_id" not in inside
    assert (deeper["arrival_id"], deeper["stage"]) == ("A-1", "fetch")
    assert "arrival_id" not in outside


def test_the_context_ends_also_when_the_item_fails(lines: Lines) -> None:
    with pytest.raises(ValueError, match="bad"), log_context(arrival_id="A-1"):
        raise ValueError("bad")
    assert current_context() == {}


def test_each_thread_has_its_own_context(lines: Lines) -> None:
    both_in = threading.Barrier(2, timeout=10)

    def work(arrival: str) -> None:
        with log_context(arrival_id=arrival):
            both_in.wait()
            structlog.get_logger("t").info(arrival)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("A-1", "A-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted((line["event"], line["arrival_id"]) for line in lines.parsed()) == [("A-1", "A-1"), ("A-2", "A-2")]


def test_secrets_are_redacted_wherever_they_stand(lines: Lines) -> None:
    log = structlog.get_logger("t")
    log.info("connecting with hunter2-secret", sasl_password="x1y2z3", nested={"api_key": "k"}, url="https://u:p4ss@h/")
    logging.getLogger("some.library").warning("auth %s failed", "hunter2-secret")
    logging.getLogger("some.library").warning("extra", extra={"token": "abc-def"})
    try:
        fail("login hunter2-secret refused")
    except RuntimeError:
        log.exception("failed")
    text = lines.getvalue()
    for leak in ("hunter2", "x1y2z3", "p4ss", "abc-def"):
        assert leak not in text
    first, _second, third, failed = lines.parsed()
    assert first["nested"] == {"api_key": PLACEHOLDER}
    assert third["token"] == PLACEHOLDER
    assert "RuntimeError" in failed["exception"]


def test_bound_context_is_redacted_too(lines: Lines) -> None:
    with log_context(authorization="Bearer abc", note="hunter2-secret"):
        structlog.get_logger("t").info("x")
    assert "hunter2" not in lines.getvalue()
    assert "Bearer abc" not in lines.getvalue()


def test_libraries_are_heard_at_warning_only(lines: Lines) -> None:
    for name in ("kafka.conn", "botocore.auth", "qdrant_client.http", "httpx"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")
    heard = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert heard.count("trouble") == 4
    assert "chatter" not in heard


def test_the_level_of_the_settings_holds() -> None:
    stream = Lines()
    configure_logging(OpsSettings(log_level="error"), stream=stream)
    structlog.get_logger("t").warning("not this")
    structlog.get_logger("t").error("this")
    assert [line["event"] for line in stream.parsed()] == ["this"]


def test_a_value_json_cannot_hold_is_logged_as_text(lines: Lines) -> None:
    structlog.get_logger("t").info("odd", raw=b"\xff\x00", thing=object, nested={1: {2}})
    (line,) = lines.parsed()
    assert line["thing"] == "<class 'object'>"
    assert line["nested"] == {"1": [2]}


def test_console_lines_are_readable_and_cannot_control_the_terminal() -> None:
    stream = io.StringIO()
    configure_logging(OpsSettings(log_format="console"), Redactor.of(["hunter2-secret"]), stream)
    with log_context(arrival_id="A-1"):
        structlog.get_logger("t").warning("key \x1b[2J refused", key="a\x1b]0;x\x07", password="p")
    text = stream.getvalue()
    assert "A-1" in text
    assert "refused" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert f"password={PLACEHOLDER}" in text


def test_console_tracebacks_show_no_local_variables() -> None:
    stream = io.StringIO()
    configure_logging(OpsSettings(log_format="console"), stream=stream)
    try:
        fail("visible in the message", local_only="visible-in-locals")
    except RuntimeError:
        structlog.get_logger("t").exception("failed")
    assert "RuntimeError: visible in the message" in stream.getvalue()
    assert "local_only = " not in stream.getvalue()


def test_warnings_become_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old way", UserWarning, stacklevel=1)
    assert any("old way" in line["event"] for line in lines.parsed())


def test_configuring_again_does_not_double_the_lines(lines: Lines) -> None:
    second = Lines()
    configure_logging(OpsSettings(), stream=second)
    structlog.get_logger("t").info("once")
    assert lines.getvalue() == ""
    assert len(second.parsed()) == 1


def test_an_uncaught_exception_of_a_thread_is_a_redacted_line(lines: Lines) -> None:
    log_uncaught_exceptions()

    def fail() -> None:
        raise RuntimeError("hunter2-secret")

    thread = threading.Thread(target=fail, name="line-1")
    thread.start()
    thread.join(10)
    (line,) = lines.parsed()
    assert line["level"] == "critical"
    assert line["thread"] == "line-1"
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in lines.getvalue()


def test_an_uncaught_exception_of_the_main_thread_is_a_redacted_line(lines: Lines) -> None:
    log_uncaught_exceptions()
    error = RuntimeError("hunter2-secret")
    sys.excepthook(RuntimeError, error, None)
    assert lines.parsed()[0]["event"] == "uncaught exception"
    assert "hunter2" not in lines.getvalue()


def test_ctrl_c_is_not_logged_as_a_failure(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    log_uncaught_exceptions()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert lines.getvalue() == ""
    assert "KeyboardInterrupt" in capsys.readouterr().err
