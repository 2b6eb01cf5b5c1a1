"""The stream worker on a real broker: everything consumed is published once, in order, whatever fails on the way."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from tests.infra.kafka import KafkaServer, Message, wait_until
from tests.stream.flows import Seen, Topics, make_flow, make_settings, make_topics, running, values
from worker.errors import (
    CatalogueUnavailable,
    ConfigurationError,
    PhotoRefused,
    Reason,
    StopError,
    StorageUnavailable,
)
from worker.events import DeadLetter
from worker.ops.faults import Faults
from worker.stream.letters import read_letters
from worker.stream.limits import DeadLetterLimitReached
from worker.stream.types import Flow, Ignored, SourceRecord, Stage

pytestmark = pytest.mark.integration

Run = Callable[[Sequence[SourceRecord]], Sequence[Any]]


def numbered(count: int, keys: int) -> list[tuple[bytes, bytes]]:
    return [(f"k{number % keys}".encode(), f"{number}".encode()) for number in range(count)]


def by_key(messages: Sequence[Message]) -> dict[bytes | None, list[int]]:
    found: dict[bytes | None, list[int]] = defaultdict(list)
    for message in messages:
        found[message.key].append(int(message.value or b""))
    return found


def each(work: Callable[[SourceRecord], Any]) -> Run:
    """A stage that treats its values one by one; what `work` raises is its result."""

    def run(records: Sequence[SourceRecord]) -> Sequence[Any]:
        results = []
        for record in records:
            try:
                results.append(work(record))
            except (StorageUnavailable, CatalogueUnavailable, PhotoRefused) as error:
                results.append(error)
        return results

    return run


def settled(kafka: KafkaServer, topics: Topics, count: int) -> Callable[[], bool]:
    """True once so many records are committed."""
    return lambda: sum(kafka.committed(topics.input, topics.input).values()) >= count


def letters(kafka: KafkaServer, topics: Topics) -> list[DeadLetter]:
    return [DeadLetter.model_validate(orjson.loads(message.value or b"")) for message in kafka.read(topics.dead_letter)]


def test_every_event_of_several_partitions_is_published_once_and_in_the_order_of_its_key(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=4)
    kafka.send(topics.input, numbered(1000, keys=37))
    with running(make_settings(kafka, topics), make_flow(topics)) as worker:
        wait_until(settled(kafka, topics, 1000), "1000 records")
        worker.stop()
    published = by_key(kafka.read(topics.alert))
    assert sum(len(numbers) for numbers in published.values()) == 1000
    for key, numbers in published.items():
        assert numbers == [n for n in range(1000) if f"k{n % 37}".encode() == key]


def test_the_stages_of_successive_batches_overlap(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(40, keys=40))
    together = threading.Barrier(2)

    def meet(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        together.wait(timeout=20)  # only passes if both lines are at work at the same moment
        return records

    first_of_all = threading.Event()

    def meet_from_the_second_batch_on(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        if not first_of_all.is_set():
            first_of_all.set()
            return records
        together.wait(timeout=20)
        return records

    flow = make_flow(topics, Stage("fetch", meet_from_the_second_batch_on, "fetch"), Stage("embed", meet, "embed"))
    settings = make_settings(kafka, topics, batch_size=8)
    with running(settings, flow) as worker:
        # five batches: the fetch of each of the last four meets the embedding of the one before it
        wait_until(settled(kafka, topics, 32), "32 records")
        together.abort()
        with pytest.raises(threading.BrokenBarrierError):
            worker.join()


def test_a_stage_never_sees_a_key_twice_in_one_batch(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(60, keys=7))
    batches: list[list[bytes | None]] = []

    def look(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        batches.append([record.key for record in records])
        return records

    with running(make_settings(kafka, topics), make_flow(topics, Stage("fetch", look, "fetch"))) as worker:
        wait_until(settled(kafka, topics, 60), "60 records")
        worker.stop()
    assert all(len(set(keys)) == len(keys) for keys in batches)
    assert max(len(keys) for keys in batches) == 7


def test_a_passing_failure_is_retried_in_place_and_nothing_overtakes_its_key_while_other_partitions_go_on(
    kafka: KafkaServer,
) -> None:
    topics = make_topics(kafka, partitions=2)
    kafka.send(topics.input, numbered(100, keys=5), partition=0)
    kafka.send(topics.input, [(b"other", str(number).encode()) for number in range(50)], partition=1)
    healthy = threading.Event()
    failures: list[int] = []
    settled_order: list[tuple[bytes | None, bytes | None]] = []

    def fail_on_42(record: SourceRecord) -> SourceRecord:
        if record.value == b"42" and record.partition == 0 and not healthy.is_set():
            failures.append(record.offset)
            raise StorageUnavailable("S3 answers 503")
        return record

    def remember(record: SourceRecord) -> SourceRecord:
        settled_order.append((record.key, record.value))
        return record

    seen = Seen()
    flow = make_flow(topics, Stage("fetch", each(fail_on_42), "fetch"), Stage("search", each(remember), "search"))
    with running(make_settings(kafka, topics), flow, seen) as worker:
        wait_until(lambda: kafka.committed(topics.input, topics.input).get(1) == 50, "the other partition")
        wait_until(lambda: len(failures) >= 3, "three attempts")
        # What came before it is done, nothing after it is.
        wait_until(lambda: kafka.committed(topics.input, topics.input).get(0) == 42, "what came before it")
        healthy.set()
        wait_until(settled(kafka, topics, 150), "everything")
        worker.stop()
    published = by_key([message for message in kafka.read(topics.alert) if message.key != b"other"])
    assert dict(published) == {f"k{n}".encode(): list(range(n, 100, 5)) for n in range(5)}
    # Not even the work of a later stage was done out of order: 47 follows 42, though 43 to 46 were polled with it again.
    order = [int(value or b"") for key, value in settled_order if key == b"k2"]
    assert order == sorted(order)
    assert seen.count("retry", "StorageUnavailable", "fetch") == len(failures)
    assert seen.count("rebalanced") == 1  # the group was kept


def test_a_failure_of_the_whole_batch_stands_for_every_event_of_it(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=3)
    kafka.send(topics.input, numbered(90, keys=90))
    calls: list[int] = []

    def search(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        calls.append(len(records))
        if len(calls) % 3 == 1:
            raise CatalogueUnavailable("the index does not answer")
        return records

    with running(make_settings(kafka, topics), make_flow(topics, Stage("search", search, "search"))) as worker:
        wait_until(settled(kafka, topics, 90), "90 records")
        worker.stop()
    assert sorted(int(value) for value in values(kafka, topics.alert)) == list(range(90))


def test_a_refused_event_is_one_dead_letter_with_everything_in_it_and_its_neighbours_go_on(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    kafka.send(topics.input, [(b"k0", b"0")])
    kafka.send(
        topics.input, [(b"k1", b"bad"), (b"k2", b"\xff\x00refused")], headers=[("traceparent", trace.encode()), ("x", b"\xfe")]
    )
    kafka.send(topics.input, [(b"k3", b"3")])
    abandoned: list[SourceRecord] = []

    def refuse(record: SourceRecord) -> SourceRecord:
        if record.key == b"k2":
            raise PhotoRefused(Reason.PHOTO_CORRUPT, "not a photo")
        return record

    seen = Seen()
    flow = make_flow(topics, Stage("decode", each(refuse), "decode"), abandoned=abandoned)
    with running(make_settings(kafka, topics), flow, seen) as worker:
        wait_until(settled(kafka, topics, 4), "4 records")
        worker.stop()
    assert values(kafka, topics.alert) == [b"0", b"3"]
    unread, corrupt = letters(kafka, topics)
    assert (unread.reason, unread.stage, unread.arrival_id) == (Reason.EVENT_NOT_JSON, "parse", None)
    assert (corrupt.reason, corrupt.stage, corrupt.arrival_id) == (Reason.PHOTO_CORRUPT, "decode", "k2")
    assert corrupt.attempts == 1
    assert corrupt.traceparent == trace
    assert (corrupt.source.topic, corrupt.source.partition, corrupt.source.offset) == (topics.input, 0, 2)
    assert corrupt.original_value_base64 == "/wByZWZ1c2Vk"
    assert corrupt.original_key_base64 == "azI="
    assert [(header.name, header.value_base64) for header in corrupt.original_headers][-1] == ("x", "/g==")
    assert [record.key for record in abandoned] == [b"k2"]  # what could not be read left nothing behind to withdraw
    assert seen.count("dead-letter", Reason.PHOTO_CORRUPT, "decode") == 1
    headers = dict(kafka.read(topics.dead_letter)[1].headers)
    assert headers["traceparent"] == trace.encode()
    assert headers["ce_type"] == b"intake.dead-letter.v1"


def test_a_dead_letter_waits_until_the_flow_could_withdraw_what_it_left_behind(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, [(b"k0", b"0"), (b"k1", b"refuse"), (b"k2", b"2")])
    tries: list[int] = []

    def refuse(record: SourceRecord) -> SourceRecord:
        if record.value == b"refuse":
            raise PhotoRefused(Reason.PHOTO_CORRUPT, "not a photo")
        return record

    def abandon(records: Sequence[SourceRecord]) -> None:
        tries.append(len(records))
        if len(tries) < 3:
            raise CatalogueUnavailable("the index does not answer")

    flow = make_flow(topics, Stage("decode", each(refuse), "decode"))
    flow = Flow(flow.parse, flow.stages, abandon, flow.context)
    with running(make_settings(kafka, topics), flow) as worker:
        wait_until(settled(kafka, topics, 3), "3 records")
        worker.stop()
    (letter,) = letters(kafka, topics)
    assert (letter.reason, letter.attempts) == (Reason.PHOTO_CORRUPT, 3)
    assert tries == [1, 1, 1]
    assert values(kafka, topics.alert) == [b"0", b"2"]


@pytest.mark.parametrize("behind", [0, 30], ids=["as the last of its partition", "with others behind it"])
def test_a_retry_that_outlives_its_policy_becomes_a_dead_letter_and_the_partition_goes_on(
    kafka: KafkaServer, behind: int
) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, [(b"first", b"0"), (b"doomed", b"x"), *numbered(behind, keys=behind)])

    def fail(record: SourceRecord) -> SourceRecord:
        if record.key == b"doomed":
            raise StorageUnavailable("S3 answers 503")
        return record

    retry = {"initial_s": 0.01, "maximum_s": 0.02, "give_up_after_s": 0.3}
    settings = make_settings(kafka, topics, storage_retry=retry)
    with running(settings, make_flow(topics, Stage("fetch", each(fail), "fetch"))) as worker:
        wait_until(settled(kafka, topics, 2 + behind), "the doomed event")
        kafka.send(topics.input, [(b"later", b"9")])
        wait_until(settled(kafka, topics, 3 + behind), "what came later")
        worker.stop()
    (letter,) = letters(kafka, topics)
    assert letter.reason is Reason.RETRIES_EXHAUSTED
    assert letter.attempts >= 2  # how many more fit into the time depends on the machine
    assert "S3 answers 503" in letter.message
    assert len(values(kafka, topics.alert)) == 2 + behind


def test_what_the_flow_ignores_is_committed_and_published_nowhere(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(10, keys=10))
    flow = make_flow(topics)
    flow = Flow(lambda record: Ignored("odd") if int(record.value or b"") % 2 else record, flow.stages, flow.abandon)
    with running(make_settings(kafka, topics), flow) as worker:
        wait_until(settled(kafka, topics, 10), "10 records")
        worker.stop()
    assert values(kafka, topics.alert) == [b"0", b"2", b"4", b"6", b"8"]


def test_two_input_topics_are_consumed(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    second = kafka.create_topic()
    settings = make_settings(kafka, topics)
    settings = settings.model_copy(
        update={
            "stream": settings.stream.model_copy(
                update={"topics": settings.stream.topics.model_copy(update={"s3_notifications": second})}
            )
        }
    )
    kafka.send(topics.input, [(b"a", b"event")])
    kafka.send(second, [(b"b", b"notification")])
    with running(settings, make_flow(topics)) as worker:
        wait_until(lambda: len(values(kafka, topics.alert)) == 2, "both")
        worker.stop()
    assert sorted(values(kafka, topics.alert)) == [b"event", b"notification"]


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), StopError("the model is broken")], ids=["a bug", "a stop"])
def test_an_error_that_is_no_result_ends_the_worker_and_nothing_is_committed(kafka: KafkaServer, error: Exception) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(5, keys=5))

    def fail(_records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        raise error

    with (
        running(make_settings(kafka, topics), make_flow(topics, Stage("embed", fail, "embed"))) as worker,
        pytest.raises(type(error)),
    ):
        worker.join()
    assert kafka.committed(topics.input, topics.input) == {}
    assert values(kafka, topics.alert) == []


def test_a_stage_that_loses_a_value_ends_the_worker(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(5, keys=5))
    flow = make_flow(topics, Stage("embed", lambda records: records[1:], "embed"))
    with (
        running(make_settings(kafka, topics), flow) as worker,
        pytest.raises(RuntimeError, match="stage embed returned 4 results for 5"),
    ):
        worker.join()


def test_stopping_finishes_and_commits_what_is_in_flight(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(8, keys=8))
    working, go_on = threading.Event(), threading.Event()

    def work(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        working.set()
        go_on.wait(20)
        return records

    flow = make_flow(topics, Stage("embed", work, "embed"))
    with running(make_settings(kafka, topics, batch_size=4), flow) as worker:
        assert working.wait(20)
        worker.worker.request_stop()
        go_on.set()
        worker.join()
    published = values(kafka, topics.alert)
    assert published == [str(number).encode() for number in range(len(published))]
    assert len(published) >= 4
    assert kafka.committed(topics.input, topics.input) == {0: len(published)}


def test_what_does_not_finish_before_the_deadline_is_left_to_the_next_worker(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(4, keys=4))
    working, go_on = threading.Event(), threading.Event()

    def work(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        working.set()
        go_on.wait(30)
        return records

    settings = make_settings(kafka, topics, drain_timeout_s=0.5)
    with running(settings, make_flow(topics, Stage("embed", work, "embed"))) as worker:
        assert working.wait(20)
        started = time.monotonic()
        worker.stop()
        assert time.monotonic() - started < 8
    go_on.set()
    assert values(kafka, topics.alert) == []
    with running(settings, make_flow(topics)) as worker:
        wait_until(settled(kafka, topics, 4), "the next worker")
        worker.stop()
    assert len(values(kafka, topics.alert)) == 4


def test_a_stage_that_takes_longer_than_the_poll_interval_does_not_cost_the_membership(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(40, keys=40))
    slow = threading.Event()

    def work(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        if not slow.is_set():
            slow.set()
            time.sleep(10)  # the slowness itself is what is tested
        return records

    seen = Seen()
    settings = make_settings(kafka, topics, max_poll_interval_s=8.0, drain_timeout_s=1.0, batch_size=4)
    with running(settings, make_flow(topics, Stage("embed", work, "embed")), seen) as worker:
        wait_until(settled(kafka, topics, 40), "40 records")
        worker.stop()
    assert seen.count("rebalanced") == 1
    assert seen.count("transaction", "aborted") == 0
    assert len(values(kafka, topics.alert)) == 40


def test_a_run_of_refusals_stops_the_worker_and_a_restart_grants_it_no_more(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, [(f"k{number}".encode(), b"bad") for number in range(100)])
    limits = {"run_length": 20}
    for _life in range(3):
        settings = make_settings(kafka, topics, dead_letter_limits=limits, batch_size=6)
        with running(settings, make_flow(topics)) as worker, pytest.raises(DeadLetterLimitReached, match="RUN_LENGTH"):
            worker.join()
    assert 15 <= len(letters(kafka, topics)) <= 20
    committed = kafka.committed(topics.input, topics.input)[0]
    assert committed == len(letters(kafka, topics))  # not one more event was consumed than is in the dead letters
    with running(make_settings(kafka, topics, dead_letter_limits={"run_length": 1000}), make_flow(topics)) as worker:
        wait_until(settled(kafka, topics, 100), "the raised limit")
        worker.stop()
    assert len(letters(kafka, topics)) == 100


def test_a_high_rate_of_refusals_stops_the_worker(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    records = [(f"k{number}".encode(), b"bad" if number >= 100 and number % 2 else b"good") for number in range(300)]
    kafka.send(topics.input, records)
    settings = make_settings(kafka, topics, dead_letter_limits={"rate": 0.4, "rate_window": 50}, batch_size=4)
    with running(settings, make_flow(topics)) as worker, pytest.raises(DeadLetterLimitReached, match="of the last 50"):
        worker.join()
    assert 10 <= len(letters(kafka, topics)) < 20  # 40 % of 50


def test_an_original_too_large_for_a_dead_letter_is_named_instead(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    large = kafka.create_topic(configs={"max.message.bytes": "4000000"})
    settings = make_settings(kafka, Topics(large, topics.alert, topics.insert, topics.dead_letter))
    kafka.send(large, [(b"k", b"x" * 2_000_000)])
    flow = make_flow(topics)

    def refuse(_record: SourceRecord) -> SourceRecord:
        raise PhotoRefused(Reason.EVENT_TOO_LARGE, "2 MB")

    with running(settings, Flow(refuse, flow.stages, flow.abandon)) as worker:
        wait_until(lambda: kafka.committed(large, large) == {0: 1}, "the large event")
        worker.stop()
    (stored,) = read_letters(settings)
    assert not stored.holds_original
    assert f"at offset 0 of partition 0 of {large}" in stored.letter.message


def test_missing_topics_are_named_before_anything_is_consumed(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    settings = make_settings(kafka, Topics(topics.input, "nowhere-1", "nowhere-2", topics.dead_letter))
    with running(settings, make_flow(topics)) as worker, pytest.raises(ConfigurationError, match="nowhere-1, nowhere-2"):
        worker.join()


@pytest.mark.parametrize(
    "point",
    [
        "after-poll",
        "before-settle",
        "after-settle",
        "before-transaction",
        "after-begin",
        "after-send",
        "after-offsets",
        "before-commit",
    ],
)
def test_a_passing_failure_at_any_point_loses_and_repeats_nothing(kafka: KafkaServer, point: str) -> None:
    topics = make_topics(kafka, partitions=2)
    kafka.send(topics.input, numbered(60, keys=60))
    faults = Faults.parse(f"{point}:raise:1,{point}:raise:3")
    with running(make_settings(kafka, topics, batch_size=8), make_flow(topics), faults=faults) as worker:
        wait_until(settled(kafka, topics, 60), "60 records")
        worker.stop()
    assert sorted(int(value) for value in values(kafka, topics.alert)) == list(range(60))
    assert len(kafka.read(topics.alert, isolation="read_uncommitted")) >= 60


def test_health_can_read_how_the_worker_stands(kafka: KafkaServer) -> None:
    topics = make_topics(kafka, partitions=2)
    kafka.send(topics.input, numbered(20, keys=20))
    with running(make_settings(kafka, topics), make_flow(topics, Stage("fetch", copy_records, "fetch"))) as worker:
        assert not worker.worker.progress.latest.joined
        wait_until(settled(kafka, topics, 20), "20 records")
        wait_until(lambda: [p.lag for p in worker.worker.progress.latest.partitions.values()] == [0, 0], "a report")
        latest = worker.worker.progress.latest
        assert latest.joined
        assert set(latest.partitions) == {(topics.input, 0), (topics.input, 1)}
        assert sum(p.end or 0 for p in latest.partitions.values()) == 20
        worker.stop()
    assert not worker.worker.progress.latest.joined


def copy_records(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
    return records


# A standstill is longer than a pause of a busy machine, and no transaction takes so long.
QUICK_WATCH: dict[str, Any] = {"transaction_timeout_s": 2.0, "stuck_after_s": 2.5, "progress_check_s": 0.2}


def test_a_partition_that_silently_stands_is_healed_and_counted(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(10, keys=10))
    seen = Seen()
    with running(make_settings(kafka, topics, **QUICK_WATCH), make_flow(topics), seen) as worker:
        wait_until(settled(kafka, topics, 10), "the first records")
        before = seen.count("watchdog", "heal")
        fetcher = worker.worker._consumer._fetcher
        fetchable = fetcher._fetchable_partitions
        # A client that forgets a partition until it is told where to read: what the watchdog is for.
        fetcher._fetchable_partitions = lambda: fetchable() if seen.count("watchdog", "heal") > before else []
        wait_until(lambda: not fetcher.in_flight_fetches(), "the last fetch")
        kafka.send(topics.input, numbered(10, keys=10))
        wait_until(settled(kafka, topics, 20), "the records behind the standstill")
        worker.stop()
    assert seen.count("watchdog", "heal") == before + 1
    assert len(values(kafka, topics.alert)) == 20


def test_a_partition_that_cannot_be_healed_ends_the_process(kafka: KafkaServer) -> None:
    topics = make_topics(kafka)
    kafka.send(topics.input, numbered(10, keys=10))
    seen = Seen()
    with running(make_settings(kafka, topics, **QUICK_WATCH), make_flow(topics), seen) as worker:
        wait_until(settled(kafka, topics, 10), "the first records")
        fetcher = worker.worker._consumer._fetcher
        fetcher._fetchable_partitions = list
        wait_until(lambda: not fetcher.in_flight_fetches(), "the last fetch")
        kafka.send(topics.input, numbered(10, keys=10))
        with pytest.raises(StopError, match="does not get on"):
            worker.join()
    assert seen.count("watchdog", "restart") == 1
    assert kafka.committed(topics.input, topics.input) == {0: 10}
