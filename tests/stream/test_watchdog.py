"""Calls that do not end in time end the process."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from worker.stream.watchdog import CallWatchdog


def test_a_call_that_ends_in_time_is_left_alone_and_one_that_does_not_is_named() -> None:
    named: list[tuple[str, float]] = []
    happened = threading.Event()

    def on_timeout(call: str, timeout_s: float) -> None:
        named.append((call, timeout_s))
        happened.set()

    watchdog = CallWatchdog(60.0, on_timeout)
    watchdog.start()
    with watchdog.guard("quick"):
        pass
    with watchdog.guard("slow", 0.01):
        assert happened.wait(10)
    with watchdog.guard("quick again"):
        pass
    watchdog.stop()
    assert named == [("slow", 0.01)]


def test_the_process_really_ends_although_its_threads_wait_for_ever() -> None:
    code = (
        "import threading\n"
        "from worker.stream.watchdog import CallWatchdog\n"
        "watchdog = CallWatchdog(0.2)\n"
        "watchdog.start()\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "with watchdog.guard('commit_transaction'):\n"
        "    threading.Event().wait()\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False, cwd=Path(__file__).parents[2]
    )
    assert answer.returncode == 75
    assert "commit_transaction" in answer.stdout + answer.stderr
