"""What a check finds, and how checks are run: side by side, each with a deadline, none able to break another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from worker.errors import IntakeError
from worker.ops.deadline import Deadline


class Level(StrEnum):
    """How bad it is. Only `fail` keeps a worker from doing its work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `advice` says what to do; empty where there is nothing to do."""

    check: str
    level: Level
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A named group of questions. `run` yields findings as it goes; an error it raises is its last finding."""

    name: str
    run: Callable[[], Iterator[Finding]]
    timeout_s: float = 60.0


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, message)


def warn(check: str, message: str, advice: str) -> Finding:
    """It works, and should be looked at."""
    return Finding(check, Level.WARN, message, advice)


def fail(check: str, message: str, advice: str) -> Finding:
    """A worker would not do its work."""
    return Finding(check, Level.FAIL, message, advice)


def of_error(check: str, error: Exception) -> Finding:
    """A check that raised. The worker's own errors say in their message what to do, after the semicolon or colon."""
    if isinstance(error, IntakeError):
        return Finding(check, Level.FAIL, str(error))
    return fail(
        check, f"the check itself failed: {type(error).__name__}: {error}", "this is a defect of the worker: please report it"
    )


def run_checks(checks: Sequence[Check], redact: Callable[[str], str] = str) -> list[Finding]:
    """Run all checks at once and give their findings in the checks' order, cleaned by `redact`.

    A check that does not end in time gives what it found so far and one failure; its thread is left behind (a daemon).
    """
    boxes = [(check, _start(check), Deadline.after(check.timeout_s)) for check in checks]
    findings = [finding for check, box, deadline in boxes for finding in _collect(check, box, deadline)]
    return [replace(each, message=redact(each.message), advice=redact(each.advice)) for each in findings]


def _start(check: Check) -> queue.SimpleQueue[Finding | None]:
    box: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            for finding in check.run():
                box.put(finding)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one dependency, the report goes on
            box.put(of_error(check.name, error))
        finally:
            box.put(None)

    threading.Thread(target=work, name=f"doctor-{check.name}", daemon=True).start()
    return box


def _collect(check: Check, box: queue.SimpleQueue[Finding | None], deadline: Deadline) -> Iterator[Finding]:
    while True:
        try:
            finding = box.get(timeout=max(0.001, deadline.remaining()))
        except queue.Empty:
            yield fail(
                check.name, f"no answer within {check.timeout_s:g} s", "something between here and there swallows requests"
            )
            return
        if finding is None:
            return
        yield finding
