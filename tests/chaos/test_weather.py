"""Faults of the surroundings: one after the other, each kept up until a request met it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests.chaos.injections import Injections
from tests.chaos.rooms import Rooms
from tests.chaos.weather import GAP_S, MEET_S, WINDOW_S, Weather
from tests.infra.s3_proxy import FaultProxy, Mode

ERRORS, ANSWERS = "S3 answers 500", "S3 answers 503"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Sky:
    """A weather over a real proxy, and the time."""

    proxy: FaultProxy
    clock: Clock = field(default_factory=Clock)
    injections: Injections = field(default_factory=Injections)

    def of(self, *kinds: str) -> Weather:
        rooms = Rooms(kafka=None, proxy=self.proxy, index=None, system=None)  # type: ignore[arg-type]
        return Weather(rooms, self.injections, list(kinds), random.Random(0), self.clock)

    def meet(self) -> None:
        """Ask until a request has met the fault in force."""
        while self.proxy.hits[Mode.ERROR] == 0:
            httpx.get(self.proxy.url, trust_env=False)


@pytest.fixture
def sky() -> Iterator[Sky]:
    with FaultProxy("http://127.0.0.1:9", seed=1) as proxy:  # nobody is behind it
        yield Sky(proxy)


def test_nothing_breaks_before_anything_was_decided(sky: Sky) -> None:
    weather = sky.of(ERRORS)
    weather.tick(0.0)
    assert sky.injections.all == []
    assert not weather.unmet()


def test_a_fault_that_was_met_ends_with_its_window_and_counts_once(sky: Sky) -> None:
    weather = sky.of(ERRORS)
    weather.tick(0.1)
    assert weather.unmet()
    assert (weather.done, weather.over) == (1, False)  # the last fault is not over when it has begun
    sky.meet()
    assert not weather.unmet()
    sky.clock.now += WINDOW_S
    weather.tick(0.1)

    assert sky.injections.counts() == {ERRORS: 1}
    assert sky.injections.all[0].ended < float("inf")
    assert weather.over
    assert weather.share == 1.0


def test_a_fault_that_nobody_met_is_kept_up_until_somebody_does(sky: Sky) -> None:
    weather = sky.of(ERRORS)
    weather.tick(0.1)
    sky.clock.now += MEET_S - 1
    weather.tick(0.9)
    assert weather.unmet()
    sky.meet()
    weather.tick(0.9)

    assert sky.injections.counts() == {ERRORS: 1}
    assert weather.share == 1.0


def test_a_fault_that_nobody_meets_for_too_long_is_none_and_is_not_counted(sky: Sky) -> None:
    weather = sky.of(ERRORS)
    weather.tick(0.1)
    sky.clock.now += MEET_S
    weather.tick(0.1)

    assert sky.injections.counts() == {}
    assert weather.done == len(weather.forecast) == 1


def test_arrivals_are_kept_back_for_faults_that_have_not_begun(sky: Sky) -> None:
    weather = sky.of(ERRORS, ANSWERS)
    assert weather.share == 0.0
    weather.tick(0.01)
    assert weather.share == pytest.approx(1 / 3)
    sky.meet()
    sky.clock.now += WINDOW_S
    weather.tick(0.3)
    sky.clock.now += GAP_S
    weather.tick(0.3)
    assert weather.done == 1  # a third must be decided first
    weather.tick(0.34)
    assert weather.done == 2
    assert weather.share == pytest.approx(2 / 3)
