"""The settle stage, one worker at a time: what it decides, what it costs, what it leaves behind."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.matching.make import (
    CALIBRATION,
    DIMENSION,
    PLAN,
    Recorder,
    article,
    memory,
    noisy_photo_of,
    photo_of,
    points_of,
    request,
    settle_one,
    settler,
    states,
)
from tests.matching.memory import MemoryCatalogue
from tests.matching.watched import Watched
from worker.catalogue.protocol import PointState
from worker.errors import CatalogueUnavailable, EventRefused, Reason, RetryError, StopError, TwinInFlight
from worker.events import Attributes, DecisionKind
from worker.matching.queries import SearchPlan
from worker.matching.record import Record
from worker.matching.requests import Alert, Settled, SettleOutcome, SettleRequest
from worker.matching.tools import SettleTools
from worker.ops.faults import Fault, Faults

SETTLED = {PointState.SETTLED}
PENDING = {PointState.PENDING}


@dataclass
class FakeTime:
    """A clock that only moves when somebody sleeps."""

    now: float = 1000.0
    naps: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def tools(self, **more: object) -> SettleTools:
        return SettleTools(clock=self.clock, sleep=self.sleep, **more)  # type: ignore[arg-type]


def alert(outcome: SettleOutcome) -> Alert:
    assert isinstance(outcome, Alert), outcome
    return outcome


def settled(outcome: SettleOutcome) -> Settled:
    assert isinstance(outcome, Settled), outcome
    return outcome


def put_pending(catalogue: MemoryCatalogue, arrival_id: str, *garments: int, written_at: datetime | None = None) -> None:
    """What a worker that died left."""
    points = points_of(arrival_id, [noisy_photo_of(garment, 77) for garment in garments], written_at=written_at)
    record = Record(f"body of {arrival_id}").to_text()
    catalogue.upsert([replace(point, record=record) for point in points])


# Decisions


def test_an_arrival_nothing_looks_like_is_settled_with_its_event_on_every_photo() -> None:
    catalogue = memory()
    record = Recorder()

    [outcome] = settler(catalogue).settle([request(catalogue, "a", photo_of(1), photo_of(2), record=record)])

    found = catalogue.points_of_arrivals(["a"])["a"]
    assert not settled(outcome).replayed
    assert [(point.state, Record.from_text(point.record, "a").event) for point in found] == [
        (PointState.SETTLED, settled(outcome).event)
    ] * 2
    assert [decision.kind for decision in record.made] == [DecisionKind.NEW]


def test_an_arrival_like_a_settled_article_alerts_and_writes_nothing() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1)), article("coat", photo_of(2))])

    decision = alert(settle_one(catalogue, "a", photo_of(1, 0.9))).decision

    assert decision.kind is DecisionKind.DUPLICATE
    assert decision.candidates[0].article_id == "shirt"
    assert decision.candidates[0].similarity == pytest.approx(0.9, abs=1e-6)
    assert catalogue.points_of_arrivals(["a"]) == {}


def test_between_the_thresholds_a_person_is_asked() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1))])

    assert alert(settle_one(catalogue, "a", photo_of(1, 0.75))).decision.kind is DecisionKind.REVIEW


def test_what_is_new_records_its_nearest_settled_neighbour() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1))])
    put_pending(catalogue, "zz-pending", 2)
    record = Recorder()

    # Nearer to the pending arrival than to the shirt, and a peer of neither.
    vector = photo_of(2, 0.65, towards=1)
    vector[1] = 0.5
    vector[40] = (1.0 - float(vector @ vector)) ** 0.5
    [outcome] = settler(catalogue).settle([request(catalogue, "a", vector, record=record)])

    settled(outcome)
    assert [candidate.article_id for candidate in record.made[0].candidates] == ["shirt"]
    assert record.made[0].candidates[0].similarity == pytest.approx(0.5, abs=1e-6)


def test_any_pair_of_photos_that_matches_is_enough() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1)), article("shirt", photo_of(2), view="back")])

    decision = alert(settle_one(catalogue, "a", photo_of(5), photo_of(2, 0.95))).decision

    assert (decision.candidates[0].arrival_photo, decision.candidates[0].article_view) == (1, "back")


def test_flags_of_the_photos_are_in_the_decision() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1))])

    [outcome] = settler(catalogue).settle([request(catalogue, "a", photo_of(1), flags=("photo-blurred",))])

    assert alert(outcome).decision.flags == ("photo-blurred",)


def test_a_filter_keeps_other_categories_from_being_peers() -> None:
    catalogue = memory()
    plan = SearchPlan(point_limit=40, filter_attributes=("category",))
    requests = [
        request(catalogue, name, noisy_photo_of(1, n), attributes=Attributes(category=category), plan=plan)
        for n, (name, category) in enumerate([("a", "dress"), ("b", "skirt"), ("c", "dress")])
    ]

    first, second, third = settler(catalogue, plan=plan).settle(requests)

    settled(first)
    settled(second)
    assert [candidate.article_id for candidate in alert(third).decision.candidates] == ["article-a"]


@pytest.mark.parametrize("knowing", ["first", "second", "both", "neither"])
@pytest.mark.parametrize("together", [True, False])
def test_twins_find_each_other_whichever_of_them_knows_the_attribute_that_narrows(knowing: str, *, together: bool) -> None:
    catalogue = memory()
    plan = SearchPlan(point_limit=40, filter_attributes=("category",))
    stage = settler(catalogue, plan=plan)
    dress = Attributes(category="dress")
    known = {"a": dress if knowing in ("first", "both") else None, "b": dress if knowing in ("second", "both") else None}

    def arrive(name: str, shot: int) -> SettleRequest:
        return request(catalogue, name, noisy_photo_of(1, shot), attributes=known[name], plan=plan)

    if together:
        first, second = stage.settle([arrive("a", 1), arrive("b", 2)])
    else:
        [first] = stage.settle([arrive("a", 1)])
        [second] = stage.settle([arrive("b", 2)])

    settled(first)
    assert [candidate.article_id for candidate in alert(second).decision.candidates] == ["article-a"]


@pytest.mark.parametrize(("mine", "other"), [("dress", None), (None, "dress"), ("dress", "dress"), (None, None)])
def test_an_arrival_waits_for_a_pending_twin_whichever_of_them_knows_the_attribute(mine: str | None, other: str | None) -> None:
    catalogue = memory()
    plan = SearchPlan(point_limit=40, filter_attributes=("category",))
    pending = points_of("a", [noisy_photo_of(1, 1)], Attributes(category=other))
    catalogue.upsert([replace(point, record=Record("body of a").to_text()) for point in pending])
    asked = request(catalogue, "b", noisy_photo_of(1, 2), attributes=Attributes(category=mine), plan=plan)

    [outcome] = settler(catalogue, plan=plan, tools=FakeTime().tools()).settle([asked])

    assert isinstance(outcome, TwinInFlight)
    assert catalogue.points_of_arrivals(["b"]) == {}


# Cost


def test_sixteen_new_arrivals_share_five_calls() -> None:
    catalogue = memory()
    watched = Watched(catalogue)
    requests = [request(catalogue, f"a{n:02}", photo_of(n), photo_of(n + 16)) for n in range(16)]

    outcomes = settler(watched).settle(requests)

    assert all(isinstance(outcome, Settled) for outcome in outcomes)
    assert watched.calls == ["points_of_arrivals", "upsert", "search", "settle", "points_of_arrivals"]


def test_sixteen_known_arrivals_share_one_call() -> None:
    catalogue = memory()
    catalogue.upsert([article(f"article-{n}", photo_of(n)) for n in range(16)])
    watched = Watched(catalogue)
    requests = [request(catalogue, f"a{n:02}", noisy_photo_of(n, n)) for n in range(16)]

    outcomes = settler(watched).settle(requests)

    assert all(isinstance(outcome, Alert) for outcome in outcomes)
    assert watched.calls == ["points_of_arrivals"]


def test_no_arrivals_are_no_calls() -> None:
    watched = Watched(memory())

    assert settler(watched).settle([]) == []
    settler(watched).abandon([])
    assert watched.calls == []


# Inside one batch


def test_of_twins_in_one_batch_the_first_becomes_the_article_whatever_the_ids() -> None:
    catalogue = memory()
    requests = [request(catalogue, name, noisy_photo_of(1, n)) for n, name in enumerate(["z", "a", "m"])]
    watched = Watched(catalogue)

    first, *others = settler(watched).settle(requests)

    settled(first)
    assert [alert(outcome).decision.candidates[0].article_id for outcome in others] == ["article-z", "article-z"]
    assert states(catalogue) == {"z": SETTLED}
    assert len(watched.calls) == 6


def test_strangers_do_not_wait_for_twins() -> None:
    catalogue = memory()
    put_pending(catalogue, "a-dead", 1)
    time = FakeTime()
    requests = [request(catalogue, "b", noisy_photo_of(1, 1)), request(catalogue, "c", photo_of(2))]

    blocked, free = settler(catalogue, time.tools()).settle(requests)

    assert isinstance(blocked, TwinInFlight)
    settled(free)


def test_a_chain_of_likeness_is_settled_in_order() -> None:
    # a ~ b and b ~ c, but a and c are strangers: a is new, b is like a, and c, once b is no article, is new.
    catalogue = memory()
    vectors = [photo_of(1), photo_of(1, 0.71, towards=2), photo_of(2)]
    requests = [request(catalogue, name, vector) for name, vector in zip("abc", vectors, strict=True)]

    first, second, third = settler(catalogue).settle(requests)

    settled(first)
    assert alert(second).decision.candidates[0].article_id == "article-a"
    settled(third)


def test_an_event_that_comes_twice_in_one_batch_gives_the_same_event_twice() -> None:
    catalogue = memory()
    requests = [request(catalogue, "a", photo_of(1)), request(catalogue, "a", photo_of(1))]

    first, second = settler(catalogue).settle(requests)

    assert settled(first).event == settled(second).event
    assert (settled(first).replayed, settled(second).replayed) == (False, True)
    assert len(catalogue.points_of_arrivals(["a"])["a"]) == 1


def test_an_alert_that_comes_twice_in_one_batch_alerts_twice() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1))])

    first, second = settler(catalogue).settle([request(catalogue, "a", photo_of(1)), request(catalogue, "a", photo_of(1))])

    assert alert(first).decision == alert(second).decision


def test_another_body_under_the_same_id_in_one_batch_is_refused() -> None:
    catalogue = memory()
    requests = [request(catalogue, "a", photo_of(1), body="one"), request(catalogue, "a", photo_of(2), body="two")]

    first, second = settler(catalogue).settle(requests)

    settled(first)
    assert isinstance(second, EventRefused)
    assert second.reason is Reason.EVENT_CONFLICT


def test_an_event_that_comes_twice_waits_behind_its_first_copy() -> None:
    catalogue = memory()
    put_pending(catalogue, "a-dead", 1)
    time = FakeTime()
    requests = [request(catalogue, "b", noisy_photo_of(1, 1)), request(catalogue, "b", noisy_photo_of(1, 1))]

    outcomes = settler(catalogue, time.tools()).settle(requests)

    assert all(isinstance(outcome, TwinInFlight) for outcome in outcomes)
    assert states(catalogue) == {"a-dead": PENDING}


# Replays


def test_a_replay_publishes_the_recorded_event_again_byte_for_byte() -> None:
    catalogue = memory()
    before = settled(settle_one(catalogue, "a", photo_of(1)))
    record = Recorder()

    [after] = settler(catalogue).settle([request(catalogue, "a", photo_of(1), record=record)])

    assert settled(after).event == before.event
    assert settled(after).replayed
    assert record.made == []


def test_a_replay_stays_new_even_when_the_catalogue_has_the_article_by_now() -> None:
    catalogue = memory()
    before = settled(settle_one(catalogue, "a", photo_of(1)))
    catalogue.upsert([article("studio", photo_of(1))])

    assert settled(settle_one(catalogue, "a", photo_of(1))).event == before.event


def test_a_replay_with_another_body_is_refused_and_the_article_stays() -> None:
    catalogue = memory()
    settle_one(catalogue, "a", photo_of(1), body="one")

    outcome = settle_one(catalogue, "a", photo_of(2), body="two")

    assert isinstance(outcome, EventRefused)
    assert outcome.reason is Reason.EVENT_CONFLICT
    settler(catalogue).abandon(["a"])
    assert states(catalogue) == {"a": SETTLED}


def test_a_record_nobody_can_read_is_refused_and_does_not_stop_the_others() -> None:
    catalogue = memory()
    settle_one(catalogue, "a", photo_of(1))
    [point] = points_of("a", [photo_of(1)])
    catalogue.upsert([replace(point, state=PointState.SETTLED, record="not json")])

    refused, other = settler(catalogue).settle([request(catalogue, "a", photo_of(1)), request(catalogue, "b", photo_of(2))])

    assert isinstance(refused, EventRefused)
    settled(other)


def test_a_pending_point_of_an_earlier_life_is_settled_without_writing_again() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1)
    watched = Watched(catalogue)

    [outcome] = settler(watched).settle([request(catalogue, "a", noisy_photo_of(1, 77))])

    settled(outcome)
    assert watched.calls == ["points_of_arrivals", "search", "settle", "points_of_arrivals"]
    assert states(catalogue) == {"a": SETTLED}


def test_a_half_written_arrival_is_written_whole() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1)

    [outcome] = settler(catalogue).settle([request(catalogue, "a", noisy_photo_of(1, 77), photo_of(2))])

    settled(outcome)
    assert [point.state for point in catalogue.points_of_arrivals(["a"])["a"]] == [PointState.SETTLED] * 2


def test_a_stale_pending_point_is_withdrawn_when_a_peer_is_settled_by_now() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1)
    catalogue.upsert([article("shirt", photo_of(1))])

    alert(settle_one(catalogue, "a", noisy_photo_of(1, 77)))

    assert states(catalogue) == {}


def test_a_dead_letter_withdraws_what_is_pending() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1, 2)

    settler(catalogue).abandon(["a", "unknown", "a"])

    assert states(catalogue) == {}


# Waiting for a twin


def test_a_larger_id_waits_outside_and_leaves_nothing_behind() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1)
    time = FakeTime()

    [outcome] = settler(catalogue, time.tools(), settle_wait_s=1.0).settle([request(catalogue, "b", noisy_photo_of(1, 2))])

    assert isinstance(outcome, TwinInFlight)
    assert "arrival b waits for a," in str(outcome)
    assert sum(time.naps) == pytest.approx(1.0, abs=0.2)
    assert states(catalogue) == {"a": PENDING}


def test_a_smaller_id_also_waits_for_a_larger_one_that_wrote_first() -> None:
    catalogue = memory()
    put_pending(catalogue, "b", 1)

    [outcome] = settler(catalogue, FakeTime().tools()).settle([request(catalogue, "a", noisy_photo_of(1, 2))])

    assert isinstance(outcome, TwinInFlight)
    assert "arrival a waits for b," in str(outcome)
    assert states(catalogue) == {"b": PENDING}


@pytest.mark.parametrize(("mine", "theirs"), [("a", "b"), ("b", "a")])
def test_the_wait_ends_when_the_twin_is_settled(mine: str, theirs: str) -> None:
    catalogue = memory()
    put_pending(catalogue, theirs, 1)
    time = FakeTime()

    def between(step: str, _ids: tuple[str, ...]) -> None:
        if step == "before-wait" and len(time.naps) == 2:
            catalogue.settle({theirs: Record("body", "event").to_text()})

    [outcome] = settler(catalogue, time.tools(between=between)).settle([request(catalogue, mine, noisy_photo_of(1, 2))])

    assert alert(outcome).decision.candidates[0].article_id == f"article-{theirs}"
    assert states(catalogue) == {theirs: SETTLED}


@pytest.mark.parametrize(("mine", "theirs"), [("a", "b"), ("b", "a")])
def test_the_wait_ends_when_the_twin_is_withdrawn(mine: str, theirs: str) -> None:
    catalogue = memory()
    put_pending(catalogue, theirs, 1)
    time = FakeTime()

    def between(step: str, _ids: tuple[str, ...]) -> None:
        if step == "before-wait" and len(time.naps) == 2:
            catalogue.withdraw([theirs])

    [outcome] = settler(catalogue, time.tools(between=between)).settle([request(catalogue, mine, noisy_photo_of(1, 2))])

    settled(outcome)
    assert states(catalogue) == {mine: SETTLED}


@pytest.mark.parametrize(("mine", "theirs"), [("a", "b"), ("b", "a")])
def test_when_the_bound_is_reached_the_arrival_alerts_for_review_and_names_the_twin(mine: str, theirs: str) -> None:
    catalogue = memory()
    put_pending(catalogue, theirs, 1)
    time = FakeTime()
    stage = settler(catalogue, time.tools(), twin_wait_s=30.0, settle_wait_s=1.0)

    tries = 0
    while isinstance(outcome := stage.settle([request(catalogue, mine, noisy_photo_of(1, 2))])[0], TwinInFlight):
        assert states(catalogue) == {theirs: PENDING}
        tries += 1
        time.now += 5.0  # the partition waits outside
        assert tries < 10

    decision = alert(outcome).decision
    assert tries == 5
    assert decision.kind is DecisionKind.REVIEW
    assert decision.flags == ("twin-in-flight",)
    assert decision.candidates[0].pending_arrival == theirs
    assert f"Arrival {theirs} looks the same" in decision.reason
    assert "within 30 s" in decision.reason
    assert states(catalogue) == {theirs: PENDING}


def test_the_bound_counts_from_the_first_wait_and_again_after_a_decision() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1)
    time = FakeTime()
    stage = settler(catalogue, time.tools(), twin_wait_s=30.0)
    stage.settle([request(catalogue, "b", noisy_photo_of(1, 2))])
    time.now += 31.0
    alert(stage.settle([request(catalogue, "b", noisy_photo_of(1, 2))])[0])

    assert isinstance(stage.settle([request(catalogue, "b", noisy_photo_of(1, 2))])[0], TwinInFlight)


def test_a_review_by_a_settled_article_names_the_nearer_twin_in_flight_too() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", photo_of(1, 0.75))])
    put_pending(catalogue, "a", 1)

    decision = alert(settle_one(catalogue, "b", photo_of(1))).decision

    assert decision.kind is DecisionKind.REVIEW
    assert decision.flags == ("twin-in-flight",)
    assert [candidate.pending_arrival for candidate in decision.candidates] == ["a", None]


def test_pending_points_nobody_settles_any_more_are_withdrawn_at_the_bound() -> None:
    catalogue = memory()
    put_pending(catalogue, "a", 1, written_at=datetime.now(UTC) - timedelta(hours=1))
    time = FakeTime()
    stage = settler(catalogue, time.tools(), twin_wait_s=30.0, orphan_after_s=900.0)
    assert isinstance(stage.settle([request(catalogue, "b", noisy_photo_of(1, 2))])[0], TwinInFlight)
    time.now += 31.0

    settled(stage.settle([request(catalogue, "b", noisy_photo_of(1, 2))])[0])

    assert states(catalogue) == {"b": SETTLED}


# What can go wrong


def test_an_index_that_forgets_settled_points_is_an_error_and_no_insert() -> None:
    class Forgetful(Watched):
        def settle(self, records: object) -> None:
            self.calls.append("settle")

    catalogue = memory()
    forgetful = Forgetful(catalogue)

    [outcome] = settler(forgetful).settle([request(catalogue, "a", photo_of(1))])

    assert isinstance(outcome, CatalogueUnavailable)
    assert forgetful.calls.count("settle") == 3
    assert states(catalogue) == {}


def test_an_arrival_whose_points_are_withdrawn_before_they_settle_asks_again() -> None:
    catalogue = memory()
    gone: list[tuple[str, ...]] = []

    def between(step: str, ids: tuple[str, ...]) -> None:
        if step == "before-settle" and not gone:
            gone.append(ids)
            catalogue.withdraw(ids)
            settle_one(catalogue, "b", noisy_photo_of(1, 9))

    [outcome] = settler(catalogue, SettleTools(between=between)).settle([request(catalogue, "a", noisy_photo_of(1, 2))])

    assert alert(outcome).decision.candidates[0].article_id == "article-b"
    assert states(catalogue) == {"b": SETTLED}


def test_of_two_lives_of_one_event_the_first_record_is_published_by_both() -> None:
    catalogue = memory()
    other: list[SettleOutcome] = []

    def between(step: str, _ids: tuple[str, ...]) -> None:
        if step == "before-settle" and not other:
            other.append(settle_one(catalogue, "a", photo_of(1)))

    [outcome] = settler(catalogue, SettleTools(between=between)).settle([request(catalogue, "a", photo_of(1))])

    assert settled(outcome).event == settled(other[0]).event


def test_a_fence_stops_the_worker_before_it_writes_and_before_it_settles() -> None:
    for allowed, left in [(0, {}), (1, {"a": PENDING})]:
        catalogue = memory()
        passed: list[int] = []

        def fence(passed: list[int] = passed, allowed: int = allowed) -> None:
            if len(passed) == allowed:
                raise StopError("overtaken")
            passed.append(1)

        with pytest.raises(StopError, match="overtaken"):
            settler(catalogue, SettleTools(fence=fence)).settle([request(catalogue, "a", photo_of(1))])
        assert states(catalogue) == left


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("after-pending-write", {"a": PENDING}),
        ("after-second-search", {"a": PENDING}),
        ("before-settle-write", {"a": PENDING}),
        ("after-settle-write", {"a": SETTLED}),
    ],
)
def test_a_fault_at_each_named_point_is_met_there_and_the_next_life_ends_well(
    point: str, left: dict[str, set[PointState]]
) -> None:
    catalogue = memory()
    faults = Faults((Fault(point, "raise"),))
    stage = settler(catalogue, SettleTools(faults=faults))

    with pytest.raises(RetryError, match=point):
        stage.settle([request(catalogue, "a", photo_of(1))])
    assert states(catalogue) == left

    settled(stage.settle([request(catalogue, "a", photo_of(1))])[0])
    assert states(catalogue) == {"a": SETTLED}


def test_the_seam_is_told_of_every_step_with_the_arrivals_it_is_for() -> None:
    catalogue = memory()
    told: list[tuple[str, tuple[str, ...]]] = []
    tools = SettleTools(between=lambda step, ids: told.append((step, ids)))

    settler(catalogue, tools).settle([request(catalogue, "a", photo_of(1)), request(catalogue, "b", photo_of(2))])

    steps = ["look", "write", "search", "settle", "confirm"]
    assert told == [(f"{when}-{step}", ("a", "b")) for step in steps for when in ("before", "after")]


def test_two_threads_may_share_one_settler() -> None:
    catalogue = memory()
    stage = settler(catalogue, settle_wait_s=29.0)
    outcomes: list[SettleOutcome] = []

    def work(side: int) -> None:
        for n in range(20):
            outcomes.extend(stage.settle([request(catalogue, f"{side}-{n}", noisy_photo_of(n, side))]))

    threads = [threading.Thread(target=work, args=(side,)) for side in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(isinstance(outcome, Settled) for outcome in outcomes) == 20
    assert sum(isinstance(outcome, Alert) for outcome in outcomes) == 20
    assert len(states(catalogue)) == 20


def test_the_made_up_garments_are_what_the_tests_say() -> None:
    same = [float(noisy_photo_of(1, i) @ noisy_photo_of(1, j)) for i in range(20) for j in range(i)]
    other = [float(noisy_photo_of(1, i) @ noisy_photo_of(2, i)) for i in range(50)]

    assert min(same) > CALIBRATION.duplicate_threshold
    assert max(other) < CALIBRATION.review_threshold
    assert photo_of(3).shape == (DIMENSION,)
    assert PLAN.point_limit == 40
