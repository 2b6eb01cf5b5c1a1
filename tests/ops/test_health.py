from __future__ import annotations

import threading
import time
from collections.abc import Callable

from worker.ops.health import Condition, Dependency, Progress, Readiness, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for `condition`, with a deadline."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        pause.wait(0.005)


# ---- /livez


def test_an_idle_worker_is_alive_for_ever() -> None:
    clock = Clock()
    progress = Progress(10, waiting=lambda: False, clock=clock)
    clock.now += 1_000_000
    assert progress.verdict().ok


def test_a_worker_that_holds_work_and_moves_nothing_is_dead_after_the_timeout() -> None:
    clock = Clock()
    progress = Progress(10, waiting=lambda: True, clock=clock)
    assert progress.verdict().ok
    clock.now += 10
    assert progress.verdict().ok
    clock.now += 1
    verdict = progress.verdict()
    assert not verdict.ok
    assert "nothing moved for 11 s" in verdict.details["progress"]


def test_a_movement_gives_the_whole_timeout_again() -> None:
    clock = Clock()
    progress = Progress(10, waiting=lambda: True, clock=clock)
    for _ in range(5):
        clock.now += 9
        progress.move()
    clock.now += 9
    assert progress.verdict().ok


def test_work_that_comes_after_a_long_idle_time_is_not_a_stall() -> None:
    clock = Clock()
    waiting = False
    progress = Progress(10, waiting=lambda: waiting, clock=clock)
    assert progress.verdict().ok
    clock.now += 5000
    waiting = True
    assert progress.verdict().ok
    clock.now += 10
    assert progress.verdict().ok
    clock.now += 1
    assert not progress.verdict().ok


def test_work_that_went_away_and_came_back_starts_a_new_wait() -> None:
    clock = Clock()
    waiting = True
    progress = Progress(10, waiting=lambda: waiting, clock=clock)
    progress.verdict()
    clock.now += 9
    waiting = False
    assert progress.verdict().ok
    waiting = True
    clock.now += 9
    assert progress.verdict().ok


def test_a_poll_loop_that_stops_turning_is_dead_even_when_no_work_waits() -> None:
    clock = Clock()
    progress = Progress(10, waiting=lambda: False, clock=clock)
    progress.beat()
    clock.now += 10
    assert progress.verdict().ok
    clock.now += 1
    verdict = progress.verdict()
    assert not verdict.ok
    assert "poll loop" in verdict.details["progress"]
    progress.beat()
    assert progress.verdict().ok


def test_a_poll_loop_that_ended_on_purpose_is_no_failure() -> None:
    clock = Clock()
    progress = Progress(10, clock=clock)
    progress.beat()
    progress.stop_beating()
    clock.now += 1000
    assert progress.verdict().ok


# ---- /readyz


def test_a_worker_is_ready_when_every_condition_holds_and_every_dependency_answers() -> None:
    warm = False
    heard: list[tuple[str, bool]] = []
    readiness = Readiness(
        [Condition("models", lambda: warm, "warming up")],
        [Dependency("catalogue", lambda: None)],
        on_answer=lambda name, ok: heard.append((name, ok)),
    )
    assert readiness.verdict() == Verdict(ok=False, details={"models": "warming up", "catalogue": "not asked yet"})
    with readiness:
        until(lambda: readiness.verdict().details["catalogue"] == "ok")
        assert not readiness.verdict().ok
        warm = True
        assert readiness.verdict() == Verdict(ok=True, details={"models": "ok", "catalogue": "ok"})
        until(lambda: ("catalogue", True) in heard)


def test_a_dependency_that_fails_and_comes_back_is_followed() -> None:
    down = threading.Event()
    down.set()

    def check() -> None:
        if down.is_set():
            raise ConnectionError("refused by https://u:topsecret@host/")

    readiness = Readiness(dependencies=[Dependency("s3", check, interval_s=0.01)], redact=lambda t: t.replace("topsecret", "***"))
    with readiness:
        until(lambda: "ConnectionError" in readiness.verdict().details["s3"])
        assert "topsecret" not in readiness.verdict().details["s3"]
        assert not readiness.verdict().ok
        down.clear()
        until(lambda: readiness.verdict().ok)


def test_a_check_that_hangs_makes_the_worker_unready_and_no_probe_slow() -> None:
    clock = Clock()
    hang = threading.Event()
    first = threading.Event()

    def check() -> None:
        if first.is_set():
            hang.wait(60)
        first.set()

    readiness = Readiness(dependencies=[Dependency("kafka", check, interval_s=0.01, timeout_s=5)], clock=clock)
    readiness.start()
    until(lambda: readiness.verdict().ok)
    clock.now += 6
    started = time.monotonic()
    verdict = readiness.verdict()
    assert time.monotonic() - started < 1
    assert not verdict.ok
    assert "has not answered for 6 s" in verdict.details["kafka"]
    hang.set()
    readiness.stop()


def test_one_hanging_dependency_does_not_hide_another() -> None:
    hang = threading.Event()
    readiness = Readiness(dependencies=[Dependency("slow", lambda: void(hang.wait(60))), Dependency("quick", lambda: None)])
    readiness.start()
    until(lambda: readiness.verdict().details["quick"] == "ok")
    assert readiness.verdict().details["slow"] == "not asked yet"
    hang.set()
    readiness.stop()


def void(_value: object) -> None:
    """For lambdas that must return nothing."""


def test_a_dependency_opened_later_is_asked_too() -> None:
    readiness = Readiness()
    readiness.watch(Dependency("late", lambda: None))
    assert not readiness.verdict().ok
    with readiness:
        until(lambda: readiness.verdict().ok)


def test_a_draining_worker_is_not_ready() -> None:
    readiness = Readiness()
    assert readiness.verdict().ok
    readiness.drain()
    assert readiness.verdict() == Verdict(ok=False, details={"shutdown": "draining"})


def test_stopping_ends_the_threads() -> None:
    readiness = Readiness(dependencies=[Dependency("x", lambda: None, interval_s=60)])
    readiness.start()
    until(lambda: readiness.verdict().ok)
    readiness.stop(timeout_s=10)
    assert not any(thread.name == "ready-x" for thread in threading.enumerate())
