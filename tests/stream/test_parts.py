"""The parts of the stream room that need no broker."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from worker.errors import CatalogueUnavailable, InferenceUnavailable, RetryError, StorageUnavailable, TwinInFlight
from worker.settings.stream import DeadLetterLimits, RetrySettings, StreamSettings
from worker.stream.assignment import Assignment
from worker.stream.backoff import Backoff
from worker.stream.feed import Feed
from worker.stream.limits import DeadLetterLimitReached, RefusalCounter
from worker.stream.partition import OwnedPartition
from worker.stream.progress import PartitionProgress, StandstillWatch

PLACE = TopicPartition("t", 0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(offset: int, key: bytes | None = None) -> Any:
    return SimpleNamespace(topic="t", partition=0, offset=offset, key=key, value=b"", headers=[], timestamp=0)


def offsets(batch: Any) -> list[int]:
    return [item.record.offset for item in batch.items]


# ---- feed


def test_a_full_batch_goes_at_once_and_a_partial_one_when_it_is_old_enough() -> None:
    clock = Clock()
    feed, owned = Feed(3, 0.5, clock), {PLACE: OwnedPartition(PLACE)}
    feed.add({PLACE: [record(n) for n in range(4)]}, owned)
    first = feed.next_batch()
    assert offsets(first) == [0, 1, 2]
    assert feed.next_batch() is None
    assert feed.due_in_s() == pytest.approx(0.5)
    clock.now += 0.5
    assert offsets(feed.next_batch()) == [3]
    assert feed.due_in_s() is None


def test_a_repeated_key_cuts_the_batch_short_without_waiting() -> None:
    feed, owned = Feed(10, 60.0, Clock()), {PLACE: OwnedPartition(PLACE)}
    feed.add({PLACE: [record(0, b"a"), record(1, b"b"), record(2, b"a"), record(3, None), record(4, None)]}, owned)
    assert offsets(feed.next_batch()) == [0, 1]
    assert feed.next_batch() is None  # the rest waits for more


@given(st.lists(st.sampled_from([b"a", b"b", b"c", None]), max_size=40), st.integers(1, 6))
def test_batches_keep_the_order_lose_nothing_and_hold_a_key_once(keys: list[bytes | None], size: int) -> None:
    feed, owned = Feed(size, 0.0, Clock()), {PLACE: OwnedPartition(PLACE)}
    feed.add({PLACE: [record(n, key) for n, key in enumerate(keys)]}, owned)
    seen: list[int] = []
    while (batch := feed.next_batch()) is not None:
        assert 1 <= len(batch.items) <= size
        named = [item.record.key for item in batch.items if item.record.key is not None]
        assert len(set(named)) == len(named)
        seen += offsets(batch)
    assert seen == list(range(len(keys)))


def test_dropping_a_partition_tells_from_where_it_must_be_read_again_and_leaves_the_others() -> None:
    other = TopicPartition("t", 1)
    mine, theirs = OwnedPartition(PLACE), OwnedPartition(other)
    feed = Feed(10, 0.0, Clock())
    feed.add({PLACE: [record(7), record(8)], other: [record(1)]}, {PLACE: mine, other: theirs})
    assert feed.drop(mine) == 7
    assert feed.drop(mine) is None
    assert offsets(feed.next_batch()) == [1]


def test_records_of_a_cut_or_foreign_partition_are_not_taken() -> None:
    cut = OwnedPartition(PLACE)
    cut.cut = 3
    feed = Feed(10, 0.0, Clock())
    feed.add({PLACE: [record(9)], TopicPartition("t", 5): [record(1)]}, {PLACE: cut})
    assert len(feed) == 0


# ---- partitions


def test_a_hold_blocks_what_is_behind_it_and_the_earliest_one_counts() -> None:
    partition = OwnedPartition(PLACE)
    partition.hold(8)
    partition.hold(5)
    partition.hold(9)
    assert [partition.blocks(offset) for offset in (4, 5, 6, 9)] == [False, False, True, True]
    partition.release()
    assert not partition.blocks(9)


def test_attempts_are_counted_for_each_record_and_forgotten_when_it_is_committed() -> None:
    partition = OwnedPartition(PLACE)
    partition.failed(5, now=1.0)
    again = partition.failed(5, now=4.0)
    assert (again.count, again.first_at) == (2, 1.0)
    assert (partition.attempts(5), partition.attempts(6)) == (3, 1)
    partition.committed(6)
    assert partition.attempts(5) == 1


def test_a_partition_that_comes_back_is_another_ownership() -> None:
    assignment = Assignment()
    assignment.on_partitions_assigned([PLACE])
    first = assignment.owned[PLACE]
    assignment.on_partitions_lost([PLACE])
    assignment.on_partitions_assigned([PLACE])
    assert not first.owned
    assert first.blocks(0)
    assert assignment.owned[PLACE] is not first
    changes = assignment.take_changes()
    assert (changes.lost, changes.revoked) == ([first], [])
    assert not assignment.take_changes()


def test_a_revoked_partition_may_still_be_finished() -> None:
    assignment = Assignment()
    assignment.on_partitions_assigned([PLACE])
    partition = assignment.owned[PLACE]
    assignment.on_partitions_revoked([PLACE])
    assert partition.owned
    assert partition.revoking
    assert not partition.blocks(0)
    assert PLACE not in assignment.owned


# ---- backoff


def test_the_wait_grows_to_its_limit_with_full_jitter() -> None:
    backoff = Backoff(StreamSettings(storage_retry=RetrySettings(initial_s=1, factor=2, maximum_s=8)), random.Random(1))
    for attempt, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (10_000, 8.0)):
        delays = [backoff.delay_s(StorageUnavailable("x"), attempt) for _ in range(300)]
        assert 0 <= min(delays) < 0.1 * ceiling
        assert 0.9 * ceiling < max(delays) <= ceiling


@pytest.mark.parametrize(
    ("error", "policy"),
    [
        (StorageUnavailable("x"), "storage_retry"),
        (CatalogueUnavailable("x"), "catalogue_retry"),
        (InferenceUnavailable("x"), "inference_retry"),
        (TwinInFlight("x"), "twin_retry"),
        (RetryError("x"), "storage_retry"),
    ],
)
def test_each_kind_of_failure_has_its_own_policy(error: RetryError, policy: str) -> None:
    settings = StreamSettings(
        storage_retry=RetrySettings(initial_s=1),
        catalogue_retry=RetrySettings(initial_s=2),
        inference_retry=RetrySettings(initial_s=3),
        twin_retry=RetrySettings(initial_s=4, give_up_after_s=9),
    )
    assert Backoff(settings).policy(error) == getattr(settings, policy)
    assert Backoff(settings).gives_up(error, 10) == (policy == "twin_retry")
    assert not Backoff(settings).gives_up(error, 8)


# ---- limits


def test_the_run_of_refusals_is_broken_by_one_success() -> None:
    counter = RefusalCounter(DeadLetterLimits(run_length=3, rate=1.0, rate_window=1000))
    counter.count([True, True, True, False, True, True, True])
    with pytest.raises(DeadLetterLimitReached, match="RUN_LENGTH"):
        counter.count([True])


def test_the_rate_counts_once_its_window_is_full() -> None:
    counter = RefusalCounter(DeadLetterLimits(run_length=100, rate=0.5, rate_window=10))
    counter.count([True, False] * 4)
    with pytest.raises(DeadLetterLimitReached, match="50% of the last 10"):
        counter.count([False, True])


def test_counts_survive_in_offset_metadata() -> None:
    limits = DeadLetterLimits(run_length=5, rate=1.0, rate_window=10)
    counter = RefusalCounter(limits)
    counter.count([False, True, True, True, True])
    successor = RefusalCounter(limits)
    successor.resume(counter.metadata())
    assert (successor.run, list(successor.window)) == (4, [False, True, True, True, True])
    successor.resume("written by something else")
    successor.resume(None)
    successor.count([True])
    with pytest.raises(DeadLetterLimitReached):
        successor.count([True])


def test_trying_out_counts_leaves_the_counter_as_it_was() -> None:
    counter = RefusalCounter(DeadLetterLimits(run_length=1))
    trial = counter.copy()
    with pytest.raises(DeadLetterLimitReached):
        trial.count([True, True])
    assert (counter.run, len(counter.window)) == (0, 0)


# ---- standstill


def test_a_partition_that_stands_while_its_end_moves_is_healed_and_then_given_up() -> None:
    clock = Clock()
    watch = StandstillWatch(60.0, clock)
    verdicts = []
    for step in range(30):
        verdicts.append(watch.look(PLACE, position=5, end=10 + step, busy=False))
        clock.now += 20
    assert verdicts[:4] == ["fine", "fine", "fine", "heal"]
    assert verdicts.count("heal") >= 3
    assert "give up" in verdicts
    assert verdicts.index("give up") > max(i for i, verdict in enumerate(verdicts[:13]) if verdict == "heal")


@pytest.mark.parametrize(("position", "end", "busy"), [(10, 10, False), (5, 10, True)], ids=["at its end", "in good hands"])
def test_a_partition_that_has_a_reason_to_stand_is_left_alone(position: int, end: int, busy: bool) -> None:
    clock = Clock()
    watch = StandstillWatch(60.0, clock)
    for _step in range(20):
        assert watch.look(PLACE, position=position, end=end, busy=busy) == "fine"
        clock.now += 20


def test_a_partition_that_never_gets_a_position_is_noticed_too() -> None:
    clock = Clock()
    watch = StandstillWatch(60.0, clock)
    assert watch.look(PLACE, position=None, end=3, busy=False) == "fine"
    clock.now += 61
    assert watch.look(PLACE, position=None, end=3, busy=False) == "heal"


def test_the_lag_is_what_is_not_committed() -> None:
    assert PartitionProgress(position=9, committed=4, end=10, waiting=False).lag == 6
    assert PartitionProgress(position=9, committed=None, end=10, waiting=False).lag == 1
    assert PartitionProgress(position=None, committed=None, end=10, waiting=False).lag is None


# ---- settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"drain_timeout_s": 130.0},
        {"session_timeout_s": 4.0, "heartbeat_interval_s": 3.0},
        {"stuck_after_s": 10.0},
    ],
)
def test_times_that_contradict_one_another_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        StreamSettings(**wrong)
