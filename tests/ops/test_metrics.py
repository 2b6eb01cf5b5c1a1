from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import worker
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
    rows = list(Metrics(process=False).describe())
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


def test_models_and_index_that_change_leave_no_old_series() -> None:
    metrics = Metrics(process=False)
    row = {"task": "embed", "model_id": "a", "sha256": "1", "provider": "cpu"}
    metrics.set_models([row])
    metrics.set_models([{**row, "model_id": "b"}])
    metrics.set_index(engine="qdrant", collection="c1", alias="catalogue", fingerprint="f1")
    metrics.set_index(engine="qdrant", collection="c2", alias="catalogue", fingerprint="f2")
    text = metrics.render().decode()
    assert 'model_id="b"' in text
    assert 'model_id="a"' not in text
    assert 'collection="c2"' in text
    assert 'collection="c1"' not in text


def test_thresholds_are_shown() -> None:
    metrics = Metrics(process=False)
    metrics.set_thresholds(duplicate=0.91, review=0.8)
    assert value(metrics, "intake_threshold", decision="duplicate") == 0.91
    assert value(metrics, "intake_threshold", decision="review") == 0.8


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
