from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

from rich.console import Console

from worker.doctor.findings import Check, Finding, Level, fail, ok, run_checks, warn
from worker.doctor.report import as_json, as_table, healthy, summary
from worker.errors import AccessDenied


def of(*findings: Finding) -> Iterator[Finding]:
    yield from findings


def test_findings_come_in_the_order_of_the_checks_whichever_is_first() -> None:
    second_done = threading.Event()

    def slow() -> Iterator[Finding]:
        second_done.wait(10)
        yield ok("a", "late")

    def quick() -> Iterator[Finding]:
        yield ok("b", "early")
        second_done.set()

    assert [finding.message for finding in run_checks([Check("a", slow), Check("b", quick)])] == ["late", "early"]


def test_an_error_of_the_worker_is_the_last_finding_and_keeps_what_was_found_before() -> None:
    def check() -> Iterator[Finding]:
        yield ok("kafka", "answers")
        raise AccessDenied("Kafka refuses it; check the password")

    first, last = run_checks([Check("kafka", check)])
    assert first.level is Level.OK
    assert last == Finding("kafka", Level.FAIL, "Kafka refuses it; check the password")


def test_a_check_that_breaks_does_not_break_the_report() -> None:
    def check() -> Iterator[Finding]:
        yield from ()
        raise ZeroDivisionError("x")

    broken, fine = run_checks([Check("a", check), Check("b", lambda: of(ok("b", "fine")))])
    assert broken.level is Level.FAIL
    assert "ZeroDivisionError" in broken.message
    assert fine.level is Level.OK


def test_a_check_that_hangs_is_a_failure_and_holds_up_the_others_no_longer_than_its_deadline() -> None:
    forever = threading.Event()

    def hang() -> Iterator[Finding]:
        yield ok("s3", "so far so good")
        forever.wait(60)

    began = time.monotonic()
    findings = run_checks([Check("s3", hang, timeout_s=2.0), Check("b", lambda: of(ok("b", "fine")))])
    assert time.monotonic() - began < 10
    assert [finding.level for finding in findings] == [Level.OK, Level.FAIL, Level.OK]
    assert "no answer within 2 s" in findings[1].message
    forever.set()


def test_secrets_are_taken_out_of_messages_and_advice() -> None:
    check = Check("a", lambda: of(warn("a", "login hunter2 refused", "not hunter2")))
    (finding,) = run_checks([check], redact=lambda text: text.replace("hunter2", "***"))
    assert finding == warn("a", "login *** refused", "not ***")


def test_only_a_failure_makes_the_report_unhealthy() -> None:
    assert healthy([ok("a", "x"), warn("b", "y", "z")])
    assert not healthy([ok("a", "x"), fail("b", "y", "z")])


def test_the_table_shows_everything_and_takes_no_message_for_markup() -> None:
    long = "/a/very/long/path/" + "x" * 200
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(as_table([fail("disk", f"[red]{long}[/red]", "make room")]))
    text = "".join(character for character in console.export_text() if character not in "\n│ ┃")
    assert "[red]" in text
    assert text.count("x") >= 200
    assert "makeroom" in text


def test_the_json_report_is_one_document() -> None:
    document = json.loads(as_json([warn("a", "x", "y")]))
    assert document == {"ok": True, "findings": [{"check": "a", "level": "warn", "message": "x", "advice": "y"}]}


def test_the_summary_says_what_matters_first() -> None:
    assert summary([fail("a", "x", "y"), warn("b", "x", "y")]).startswith("1 thing(s) keep a worker")
    assert "would do its work" in summary([warn("b", "x", "y")])
    assert summary([ok("a", "x")]) == "all is well"
