"""Every interleaving of two and three workers, with a crash, a replay and the bound at every step, driven by the worker's own rules.

Checked in each world: never two settled peers. In each end: every arrival has an outcome, inserts and articles are the same, no
pending point is left, every alert has its article. And a fair scheduler always reaches an end: no deadlock, no livelock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.matching import broken
from tests.matching.graph import components
from tests.matching.model import Findings, Setup, all_see, explore, symmetric
from worker.matching.race import Race

PAIR = ((0,), (1,))
TRIPLE = ((0,), (1,), (2,))


def holds(least: int, **setup: Any) -> Findings:
    """Explore; `least` states must be visited, so that the enumeration does not shrink unnoticed."""
    findings = explore(Setup(**setup))
    assert findings.problems == []
    assert findings.ends > 0
    assert findings.states >= least
    return findings


def test_two_workers() -> None:
    holds(900, batches=PAIR, sees=all_see(2))


def test_two_workers_with_the_bound() -> None:
    holds(5_000, batches=PAIR, sees=all_see(2), bounds=True)


def test_two_workers_whose_arrivals_have_two_photos_written_one_by_one() -> None:
    holds(4_000, batches=PAIR, sees=all_see(2), photos=2, micro=True)
    holds(20_000, batches=PAIR, sees=all_see(2), photos=2, micro=True, bounds=True)


def test_three_workers() -> None:
    findings = holds(50_000, batches=TRIPLE, sees=all_see(3), replays=False)

    # Without the bound, one of the three settles and the other two alert: three ends.
    assert findings.ends == 3


@pytest.mark.slow
def test_three_workers_with_replays() -> None:
    holds(100_000, batches=TRIPLE, sees=all_see(3))


@pytest.mark.slow
@pytest.mark.parametrize("sees", list(symmetric(3))[:-1], ids=str)
def test_three_workers_however_their_arrivals_are_alike(sees: tuple[tuple[bool, ...], ...]) -> None:
    holds(1_000, batches=TRIPLE, sees=sees, replays=False)


@pytest.mark.parametrize("batch", [(0, 1), (1, 0), (2, 0), (0, 2), (1, 2), (2, 1)], ids=str)
def test_a_batch_of_twins_against_a_rival(batch: tuple[int, int]) -> None:
    [other] = {0, 1, 2} - set(batch)
    holds(1_000, batches=(batch, (other,)), sees=all_see(3), micro=True)


@pytest.mark.parametrize("sees", list(symmetric(3)), ids=str)
def test_a_batch_of_three_meets_its_own_kind_and_a_replay(sees: tuple[tuple[bool, ...], ...]) -> None:
    holds(20, batches=((2, 0, 1),), sees=sees, micro=True)


def test_two_batches_of_two_crossing_twins() -> None:
    pairs = tuple(tuple(a != b and a % 2 == b % 2 for b in range(4)) for a in range(4))
    holds(10_000, batches=((0, 3), (1, 2)), sees=pairs, replays=False, micro=True)


def test_an_event_that_comes_twice_in_one_batch() -> None:
    holds(500, batches=((1, 1), (0,)), sees=all_see(2), replays=False)


@pytest.mark.parametrize("sees", [((False, True), (False, False)), ((False, False), (True, False))], ids=["0-sees-1", "1-sees-0"])
def test_where_only_one_sees_the_other_both_still_end(sees: tuple[tuple[bool, ...], ...]) -> None:
    holds(500, batches=PAIR, sees=sees)


def test_points_may_be_withdrawn_by_anybody_at_any_time() -> None:
    holds(8_000, batches=PAIR, sees=all_see(2), janitor=True)
    holds(10_000, batches=PAIR, sees=all_see(2), janitor=True, bounds=True, replays=False)


def test_an_overtaken_worker_that_no_longer_writes_does_no_harm() -> None:
    """A worker was stopped, its event given to another, and it wakes up: the fence keeps it from writing."""
    holds(10_000, batches=PAIR, sees=all_see(2), ghost=True, ghost_calls=0, replays=False)


@pytest.mark.slow
def test_an_overtaken_worker_that_no_longer_writes_does_no_harm_when_bounds_are_reached() -> None:
    holds(100_000, batches=PAIR, sees=all_see(2), ghost=True, ghost_calls=0, bounds=True, replays=False)


def test_an_overtaken_worker_never_makes_a_second_article_while_no_bound_is_reached() -> None:
    """Without the fence it may leave an orphan if it is killed as it wakes (the sweep's work), and nothing worse."""
    findings = explore(Setup(batches=PAIR, sees=all_see(2), ghost=True, replays=False), most_problems=10**9)

    assert findings.problems
    assert all(problem.startswith("an orphan of ") for problem in findings.problems)


@pytest.mark.parametrize(
    ("rules", "more", "expected"),
    [
        (broken.NoSecondSearch, {}, "two settled peers"),
        (broken.SearchBeforeWrite, {}, "two settled peers"),
        (broken.IgnoresSmallerPending, {}, "two settled peers"),
        (broken.IgnoresLargerPending, {}, "two settled peers"),
        (broken.WaitsWithItsPoints, {}, "never ends"),
        (broken.BothWithdraw, {"crashes": False}, "never ends"),
        (broken.AlertsWithItsPoints, {}, "an orphan"),
        (broken.LeavesWithItsPoints, {"bounds": True}, "an orphan"),
        (broken.ForgetsItself, {}, ""),
        (broken.TrustsItsPendingPoints, {}, "two settled peers"),
        (broken.SettlesHalfAnArrival, {"photos": 2, "micro": True}, ""),
        (broken.TakesSettlingForGranted, {"janitor": True}, "an insert without its article"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_rule_is_caught(rules: Callable[..., Race], more: dict[str, Any], expected: str) -> None:
    findings = explore(Setup(batches=PAIR, sees=all_see(2), rules=rules, **more))

    assert len(findings.problems) >= 1
    assert expected in findings.problems[0]


def test_components_are_found_in_a_graph_with_known_ones() -> None:
    # 0 -> 1 -> 2 -> 0 is a ring; 2 -> 3 -> 4 -> 3 another; 5 stands alone and leads into the first.
    edges = [[(0, 1)], [(0, 2)], [(0, 0), (0, 3)], [(0, 4)], [(0, 3)], [(0, 0)]]

    assert sorted(sorted(part) for part in components(edges)) == [[0, 1, 2], [3, 4], [5]]
