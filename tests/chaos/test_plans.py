"""What a run means to break is drawn fairly, is the same for a seed, and counts only if something met it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, cast

import httpx
import pytest

from tests.chaos.injections import Injections
from tests.chaos.rooms import Rooms
from tests.chaos.slots import End, deck, name_of
from tests.chaos.weather import KINDS, MEET_S, Weather, forecast
from tests.infra.qdrant_process import QdrantStandin
from tests.infra.s3_proxy import FaultProxy
from worker.ops.faults import POINTS


def test_a_full_deck_holds_every_named_point_equally_often() -> None:
    fates = deck(kills=205, terms=20, stops=16, batches=4.0, rng=random.Random(1))
    ends = Counter(fate.end for fate in fates)
    assert ends == {End.POINT: 150, End.KILL: 55, End.TERM: 20, End.STOP: 16}
    assert Counter(fate.point for fate in fates if fate.end is End.POINT) == dict.fromkeys(POINTS, 6)
    assert {fate.count for fate in fates if fate.end is End.POINT} == set(range(1, 9))


def test_a_short_deck_holds_different_points() -> None:
    points = [fate.point for fate in deck(kills=15, terms=0, stops=0, batches=1.0, rng=random.Random(1)) if fate.point]
    assert len(points) == len(set(points)) == 12


def test_the_same_seed_gives_the_same_faults() -> None:
    assert deck(50, 5, 5, 2.0, random.Random(3)) == deck(50, 5, 5, 2.0, random.Random(3))
    assert forecast(KINDS, 2, random.Random(3)) == forecast(KINDS, 2, random.Random(3))
    assert forecast(KINDS, 2, random.Random(3)) != forecast(KINDS, 2, random.Random(4))
    assert Counter(forecast(KINDS, 3, random.Random(3))) == dict.fromkeys(KINDS, 3)


def test_stopped_workers_are_reported_by_their_kind_of_transactional_id() -> None:
    fate = next(fate for fate in deck(0, 0, 1, 1.0, random.Random(1)) if fate.end is End.STOP)
    assert name_of(fate, static=True) != name_of(fate, static=False)


@pytest.mark.integration
@pytest.mark.parametrize("asked", [True, False])
def test_a_fault_of_the_index_counts_once_a_request_met_it(own_qdrant_standin: QdrantStandin, *, asked: bool) -> None:
    injections = Injections()
    rooms = Rooms(
        kafka=cast("Any", None), proxy=FaultProxy("http://127.0.0.1:1"), index=own_qdrant_standin, system=cast("Any", None)
    )
    now = [1000.0]
    weather = Weather(rooms, injections, ["index answers 503"], random.Random(1), lambda: now[0])

    for _ in range(20):
        weather.tick(1.0)
        now[0] += MEET_S / 10
        if asked:
            httpx.get(f"{own_qdrant_standin.url}/collections", trust_env=False)

    assert (weather.done, weather.unmet()) == (1, False)
    assert injections.counts()["index answers 503"] == (1 if asked else 0)
