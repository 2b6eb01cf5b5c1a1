from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import Reason
from worker.ops.metrics import Metrics
from worker.ops.observer import PipelineReports, StreamReports
from worker.stream.observer import StreamObserver


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


@pytest.fixture
def reports(metrics: Metrics) -> StreamReports:
    return StreamReports(metrics)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


def test_the_reports_are_a_stream_observer(reports: StreamReports) -> None:
    observer: StreamObserver = reports  # checked by mypy
    wanted = {name for name, _ in inspect.getmembers(StreamObserver, inspect.isfunction) if not name.startswith("_")}
    assert wanted
    for name in wanted:
        assert (
            inspect.signature(getattr(type(observer), name)).parameters.keys()
            == inspect.signature(getattr(StreamObserver, name)).parameters.keys()
        ), name


def test_a_committed_transaction_counts_its_events_and_an_aborted_one_does_not(metrics: Metrics, reports: StreamReports) -> None:
    reports.transaction_ended("committed", 12, 0.03)
    reports.transaction_ended("aborted", 5, 0.5)
    assert value(metrics, "intake_committed_events_total") == 12
    assert value(metrics, "intake_transaction_seconds_count", result="committed") == 1
    assert value(metrics, "intake_transaction_seconds_sum", result="aborted") == 0.5


def test_dead_letters_and_retries_are_counted_by_cause(metrics: Metrics, reports: StreamReports) -> None:
    reports.dead_letter(Reason.PHOTO_CORRUPT, "decode")
    reports.retry("CatalogueUnavailable", "search")
    reports.watchdog("heal")
    assert value(metrics, "intake_dead_letters_total", reason="photo-corrupt", stage="decode") == 1
    assert value(metrics, "intake_events_total", outcome="dead-letter") == 1
    assert value(metrics, "intake_retries_total", error="CatalogueUnavailable", stage="search") == 1
    assert value(metrics, "intake_watchdog_total", action="heal") == 1


def test_stages_and_queues_are_measured(metrics: Metrics, reports: StreamReports) -> None:
    reports.batch_sent("models", 8)
    assert value(metrics, "intake_queued_batches", line="models") == 1
    reports.batch_taken("models", 8)
    reports.stage_ended("embed", 8, 0.2)
    assert value(metrics, "intake_queued_batches", line="models") == 0
    assert value(metrics, "intake_batch_size_sum", line="models") == 8
    assert value(metrics, "intake_stage_seconds_sum", stage="embed") == 0.2
    assert value(metrics, "intake_stage_records_total", stage="embed") == 8


def test_a_partition_that_went_elsewhere_has_no_lag_here(metrics: Metrics, reports: StreamReports) -> None:
    reports.lag("t", 0, 7)
    reports.lag("t", 1, 0)
    assert value(metrics, "intake_lag", topic="t", partition="0") == 7
    reports.lag("t", 0, None)
    reports.lag("t", 0, None)
    reports.lag("other", 3, None)
    assert value(metrics, "intake_lag", topic="t", partition="0") is None
    assert value(metrics, "intake_lag", topic="t", partition="1") == 0


def test_work_waits_when_something_is_in_flight_or_a_partition_lags(reports: StreamReports) -> None:
    assert not reports.waiting()
    reports.in_flight(1)
    assert reports.waiting()
    reports.in_flight(0)
    assert not reports.waiting()
    reports.lag("t", 0, 3)
    assert reports.waiting()
    reports.lag("t", 0, 0)
    assert not reports.waiting()
    reports.lag("t", 0, 3)
    reports.lag("t", 0, None)
    assert not reports.waiting()


def test_an_assignment_makes_the_worker_ready_and_its_loss_unready(metrics: Metrics, reports: StreamReports) -> None:
    assert not reports.has_assignment()
    reports.rebalanced("assigned", 3)
    reports.assignment(3, 1)
    assert reports.has_assignment()
    assert value(metrics, "intake_partitions_assigned") == 3
    assert value(metrics, "intake_partitions_waiting") == 1
    assert value(metrics, "intake_rebalances_total", kind="assigned") == 1
    assert value(metrics, "intake_rebalanced_partitions_total", kind="assigned") == 3
    reports.assignment(0, 0)
    assert not reports.has_assignment()


def test_turns_and_moves_reach_the_progress() -> None:
    reports = StreamReports(Metrics(process=False))
    reports.turned()
    reports.moved()  # nothing attached yet: harmless
    now = 0.0
    progress = reports.attach(10)
    progress.clock = lambda: now
    reports.turned()
    reports.moved()
    reports.in_flight(1)
    assert progress.verdict().ok
    now = 9.0
    reports.turned()
    assert progress.verdict().ok
    now = 11.0
    reports.turned()
    assert not progress.verdict().ok
    reports.moved()
    assert progress.verdict().ok


def test_reports_from_many_threads_lose_nothing(metrics: Metrics, reports: StreamReports) -> None:
    start = threading.Barrier(8, timeout=10)

    def report(_n: int) -> None:
        start.wait()
        for partition in range(50):
            reports.stage_ended("embed", 1, 0.001)
            reports.lag("t", partition, 1)
            reports.waiting()
            reports.lag("t", partition, None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, range(8)))
    assert value(metrics, "intake_stage_records_total", stage="embed") == 400
    assert not reports.waiting()


def test_what_the_stages_know_is_counted(metrics: Metrics) -> None:
    pipeline = PipelineReports(metrics)
    pipeline.decided("review", 0.83, 0.4)
    pipeline.decided("new", None, None)
    pipeline.fetched(200_000)
    pipeline.decoded("jpeg", ("photo-dark", "photo-blurred"))
    pipeline.decoder_lost()
    pipeline.twin_waited("again")
    assert value(metrics, "intake_events_total", outcome="review") == 1
    assert value(metrics, "intake_events_total", outcome="new") == 1
    assert value(metrics, "intake_best_similarity_count", decision="review") == 1
    assert value(metrics, "intake_event_to_decision_seconds_count") == 1
    assert value(metrics, "intake_photo_bytes_sum") == 200_000
    assert value(metrics, "intake_photos_total", format="jpeg") == 1
    assert value(metrics, "intake_photo_flags_total", flag="photo-dark") == 1
    assert value(metrics, "intake_decoder_crashes_total") == 1
    assert value(metrics, "intake_twin_waits_total", end="again") == 1
