"""A process that stood still may have been overtaken: it writes nothing until it knows better."""

from __future__ import annotations

import pytest

from worker.errors import RetryError
from worker.ops.fence import StandstillFence


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fence() -> tuple[StandstillFence, Clock]:
    clock = Clock()
    return StandstillFence(10.0, clock), clock


def test_it_is_open_before_the_first_beat_however_long_the_models_take_to_load() -> None:
    guard, clock = fence()
    clock.now += 1000
    guard.check()


def test_it_stays_open_while_the_poll_loop_turns() -> None:
    guard, clock = fence()
    for _ in range(50):
        guard.beat()
        clock.now += 9.9
        guard.check()


def test_it_is_closed_when_a_stage_goes_on_before_the_poll_loop_does() -> None:
    guard, clock = fence()
    guard.beat()
    clock.now += 10.1
    with pytest.raises(RetryError, match="stood still"):
        guard.check()


def test_it_is_closed_for_a_session_when_the_poll_loop_woke_first_and_open_again_after_that() -> None:
    guard, clock = fence()
    guard.beat()
    clock.now += 60
    guard.beat()
    with pytest.raises(RetryError):
        guard.check()
    clock.now += 9.0
    guard.beat()
    with pytest.raises(RetryError):
        guard.check()
    clock.now += 1.5
    guard.beat()
    guard.check()
