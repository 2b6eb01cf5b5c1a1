from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import worker
from worker.catalogue.protocol import CatalogueStats
from worker.errors import Reason
from worker.ops.metrics import OUTCOMES, STAGE_BUCKETS, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


def test_every_metric_of_the_worker_has_the_prefix_and_a_sentence() -> None:
    rows = Metrics(process=False).rows()
    assert len(rows) > 25
    for name, kind, text in rows:
        assert re.fullmatch(r"intake_[a-z_]+", name), name
        assert text.endswith("."), f"{name}: {text}"
        assert len(text) > 20
        assert kind in {"counter", "gauge", "histogram"}


def test_no_metric_is_made_anywhere_else() -> None:
    root = Path(worker.__file__).parent
    makers = re.compile(r"\b(?:Counter|Gauge|Histogram|Summary|Info|Enum)\(\s*[\"']")
    elsewhere = [
        str(p.relative_to(root))
        for p in root.rglob("*.py")
        if p.name != "metrics.py" and "prometheus_client" in p.read_text() and makers.search(p.read_text())
    ]
    assert elsewhere == []


def test_two_sets_of_metrics_do_not_share_anything() -> None:
    one, two = Metrics(), Metrics()
    one.events.labels("new").inc()
    assert value(one, "intake_events_total", outcome="new") == 1
    assert value(two, "intake_events_total", outcome="new") == 0


def test_every_outcome_is_there_from_the_start() -> None:
    metrics = Metrics(process=False)
    assert [value(metrics, "intake_events_total", outcome=outcome) for outcome in OUTCOMES] == [0, 0, 0, 0]


def test_the_promise_of_a_second_is_a_bucket_of_its_own() -> None:
    assert 1.0 in STAGE_BUCKETS
    assert sorted(STAGE_BUCKETS) == list(STAGE_BUCKETS)


@dataclass(frozen=True)
class Models:
    segmenter_id: str = "u2netp"
    embedder_id: str = "lite0"
    fingerprint: str = "f1"
    providers: tuple[str, ...] = ("CPUExecutionProvider",)


def stats(collection: str) -> CatalogueStats:
    return CatalogueStats("qdrant", collection, "catalogue", points=10, pending=3, dimension=4)


@dataclass(frozen=True)
class Thresholds:
    duplicate_threshold: float = 0.91
    review_threshold: float = 0.8


def test_models_index_and_thresholds_in_force_are_named() -> None:
    metrics = Metrics(process=False)
    metrics.describe(Models(), stats("c1"), Thresholds())
    assert value(metrics, "intake_model_info", task="segment", model_id="u2netp", provider="CPUExecutionProvider") == 1
    assert value(metrics, "intake_index_info", engine="qdrant", collection="c1", alias="catalogue", fingerprint="f1") == 1
    assert value(metrics, "intake_index_points", state="settled") == 7
    assert value(metrics, "intake_index_points", state="pending") == 3
    assert value(metrics, "intake_threshold", decision="duplicate") == 0.91
    assert value(metrics, "intake_threshold", decision="review") == 0.8


def test_models_and_index_that_change_leave_no_old_series() -> None:
    metrics = Metrics(process=False)
    metrics.describe(Models(embedder_id="old"), stats("c1"), Thresholds())
    metrics.describe(Models(embedder_id="new", providers=()), stats("c2"), Thresholds())
    text = metrics.render().decode()
    assert 'model_id="new",provider="none"' in text
    assert 'model_id="old"' not in text
    assert 'collection="c2"' in text
    assert 'collection="c1"' not in text


def test_a_dependency_that_answers_is_up() -> None:
    metrics = Metrics(process=False)
    metrics.dependency_answered("s3", True)
    metrics.dependency_answered("kafka", False)
    assert value(metrics, "intake_dependency_up", dependency="s3") == 1
    assert value(metrics, "intake_dependency_up", dependency="kafka") == 0


def test_the_build_is_named() -> None:
    assert value(Metrics(process=False), "intake_build_info", version=worker.__version__) == 1


def test_process_metrics_are_there_when_asked_for() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()
    assert b"process_resident_memory_bytes" not in Metrics(process=False).render()


def test_every_reason_fits_a_label() -> None:
    metrics = Metrics(process=False)
    for reason in Reason:
        metrics.dead_letters.labels(reason, "decode").inc()
    assert value(metrics, "intake_dead_letters_total", reason="photo-corrupt", stage="decode") == 1
