"""The real settle stage dies at every call to the catalogue, before it, after it and half way through; the next life ends well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from tests.matching.make import article, memory, noisy_photo_of, photo_of, request, settler, states
from tests.matching.memory import MemoryCatalogue
from tests.matching.watched import Crashed, Watched
from worker.catalogue.protocol import PointState
from worker.errors import TwinInFlight
from worker.matching.record import Record
from worker.matching.requests import Alert, Settled, SettleOutcome

Batch = Sequence[tuple[str, Sequence[npt.NDArray[np.float32]]]]
HOW = ("before", "after", "half")


def run(catalogue: MemoryCatalogue, batch: Batch, crash_at: tuple[int, str] | None) -> tuple[list[SettleOutcome] | None, int]:
    """One life of a worker; None if it died. Also how many calls it made."""
    watched = Watched(catalogue, crash_at)
    requests = [request(catalogue, name, *vectors) for name, vectors in batch]
    try:
        return settler(watched, settle_wait_s=0).settle(requests), len(watched.calls)
    except Crashed:
        return None, len(watched.calls)


def check(catalogue: MemoryCatalogue, outcomes: dict[str, SettleOutcome], twins: Sequence[set[str]]) -> None:
    """Inserts and articles are the same, alerts leave nothing, and of twins one is settled and the others name it."""
    settled = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Settled)}
    assert states(catalogue) == {name: {PointState.SETTLED} for name in settled}
    for name, new in settled.items():
        events = {Record.from_text(point.record, name).event for point in catalogue.points_of_arrivals([name])[name]}
        assert events == {new.event}
    for group in twins:
        [article_of] = group & set(settled)
        for name in group - {article_of}:
            outcome = outcomes[name]
            assert isinstance(outcome, Alert)
            assert f"article-{article_of}" in [one.article_id for one in outcome.decision.candidates]


def every_crash(lives: int, play: Callable[[list[tuple[int, str] | None]], int]) -> int:
    """Play with every plan of `lives` crashes until a crash lies behind the last call. How many plans were played."""
    played = 0
    ends: dict[tuple[tuple[int, str], ...], bool] = {}
    for numbers in product(range(30), repeat=lives):
        for hows in product(HOW, repeat=lives):
            plan = tuple(zip(numbers, hows, strict=True))
            if any(ends.get(plan[: n + 1]) for n in range(lives)):
                continue
            lived_through = play(list(plan))
            if lived_through < lives:
                # This life ended without reaching its crash: later numbers need not be tried for the same lives before.
                for how in HOW:
                    for number in range(numbers[lived_through], 30):
                        ends[(*plan[:lived_through], (number, how))] = True
            played += 1
    return played


NEW: Batch = [("a", [photo_of(1), photo_of(2)])]
TWINS: Batch = [("b", [noisy_photo_of(1, 1)]), ("a", [noisy_photo_of(1, 2), photo_of(2)]), ("c", [photo_of(3), photo_of(4)])]


@pytest.mark.parametrize("batch", [NEW, TWINS], ids=["one-of-two-photos", "twins-and-a-stranger"])
@pytest.mark.parametrize("lives", [1, 2])
def test_dying_anywhere_and_living_again_settles_once(batch: Batch, lives: int) -> None:
    twins = [{"a"}] if batch is NEW else [{"a", "b"}, {"c"}]
    deaths: list[int] = []

    def play(plan: list[tuple[int, str] | None]) -> int:
        catalogue = memory()
        died = 0
        for crash_at in plan:
            outcomes, _ = run(catalogue, batch, crash_at)
            if outcomes is not None:
                break
            died += 1
        deaths.append(died)
        if died == len(plan):
            outcomes, _ = run(catalogue, batch, None)
        assert outcomes is not None
        check(catalogue, {name: one for (name, _), one in zip(batch, outcomes, strict=True)}, twins)
        again, _ = run(catalogue, batch, None)
        assert again is not None
        for first, second in zip(outcomes, again, strict=True):
            assert type(first) is type(second)
            if isinstance(first, Settled) and isinstance(second, Settled):
                assert first.event == second.event
        return died

    played = every_crash(lives, play)

    assert max(deaths) == lives
    assert played == len(deaths) >= 15


@pytest.mark.parametrize(("mine", "theirs"), [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("how", HOW)
def test_a_rival_between_death_and_redelivery_never_makes_a_second_article(mine: str, theirs: str, how: str) -> None:
    """Mine dies at call n; theirs comes, and waits or settles; mine comes again; theirs, if it waited, comes again."""
    for number in range(30):
        catalogue = memory()
        my_batch: Batch = [(mine, [noisy_photo_of(1, 1), photo_of(2)])]
        their_batch: Batch = [(theirs, [noisy_photo_of(1, 2)])]

        lived, calls = run(catalogue, my_batch, (number, how))
        ours: dict[str, SettleOutcome] = {}
        for _ in range(3):
            for batch in (their_batch, my_batch):
                outcomes, _ = run(catalogue, batch, None)
                assert outcomes is not None
                ours[batch[0][0]] = outcomes[0]
        assert not any(isinstance(outcome, TwinInFlight) for outcome in ours.values())
        check(catalogue, ours, [{mine, theirs}])
        if lived is not None:
            assert number == calls >= 5
            return
    pytest.fail("the worker never lived through")


@pytest.mark.parametrize("how", HOW)
def test_dying_while_withdrawing_leaves_no_orphan(how: str) -> None:
    """A pending point of an earlier life, and by now a settled peer: the replay withdraws and alerts, whenever it dies."""
    died = 0
    for number in range(10):
        catalogue = memory()
        batch: Batch = [("a", [noisy_photo_of(1, 1), photo_of(2)])]
        run(catalogue, batch, (1, "after"))  # written, not yet searched
        catalogue.upsert([article("shirt", photo_of(1))])

        outcomes, _ = run(catalogue, batch, (number, how))
        if outcomes is None:
            died += 1
            outcomes, _ = run(catalogue, batch, None)

        assert outcomes is not None
        assert isinstance(outcomes[0], Alert)
        assert states(catalogue) == {}
    assert died == 2


@pytest.mark.parametrize("how", HOW)
def test_a_dead_letter_after_any_death_leaves_no_orphan(how: str) -> None:
    for number in range(6):
        catalogue = memory()
        outcomes, _ = run(catalogue, NEW, (number, how))

        settler(catalogue).abandon(["a"])

        found = catalogue.points_of_arrivals(["a"]).get("a", [])
        assert all(point.state is PointState.SETTLED for point in found)
        if outcomes is not None:
            assert len(found) == 2
