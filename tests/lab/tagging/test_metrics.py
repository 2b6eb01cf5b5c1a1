"""Every figure against a slow, obvious statement of its definition, on random data with ties."""

from __future__ import annotations

import math

import numpy as np
import pytest

from worker.lab.tagging.data import IntArray
from worker.lab.tagging.metrics import (
    confusion_matrix,
    f1_scores,
    hardest,
    precision_recall,
    softmax,
    sure_from,
    temperature,
    top_shares,
)
from worker.vision.types import FloatArray

CLASSES = 7


def drawn(seed: int, photos: int = 200) -> tuple[FloatArray, IntArray]:
    """Probabilities that are right more often than not, rounded so that some are equal."""
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, CLASSES, photos)
    logits = rng.normal(size=(photos, CLASSES))
    logits[np.arange(photos), truths] += 1.5
    return np.round(softmax(logits.astype(np.float32)), 2), truths


@pytest.mark.parametrize("seed", range(5))
def test_top_shares_are_counted_as_one_would_by_hand(seed: int) -> None:
    probabilities, truths = drawn(seed)
    for k, share in top_shares(probabilities, truths, (1, 2, 3, 5)).items():
        found = 0
        for row, truth in zip(probabilities.tolist(), truths.tolist(), strict=True):
            # Of equally probable classes the right one stands last.
            before = sum(1 for at, value in enumerate(row) if at != truth and value >= row[truth])
            found += before < k
        assert share == pytest.approx(found / len(truths))


@pytest.mark.parametrize("seed", range(5))
def test_confusions_and_f1_are_counted_as_one_would_by_hand(seed: int) -> None:
    probabilities, truths = drawn(seed)
    answers = probabilities.argmax(1)
    matrix = confusion_matrix(answers, truths, CLASSES)
    for truth in range(CLASSES):
        for answer in range(CLASSES):
            count = sum(1 for t, a in zip(truths, answers, strict=True) if (t, a) == (truth, answer))
            assert matrix[truth, answer] == count
    for at, score in enumerate(f1_scores(matrix)):
        hits = sum(1 for t, a in zip(truths, answers, strict=True) if t == a == at)
        precision, recall = hits / max(1, (answers == at).sum()), hits / (truths == at).sum()
        assert score == pytest.approx(2 * precision * recall / (precision + recall) if hits else 0.0)


def test_a_class_without_photos_has_no_f1_and_one_never_found_has_none_left() -> None:
    scores = f1_scores(np.array([[2, 0, 0], [3, 0, 0], [0, 0, 0]]))
    assert scores[1] == 0
    assert math.isnan(scores[2])


@pytest.mark.parametrize("seed", range(5))
def test_precision_and_recall_are_those_of_every_threshold(seed: int) -> None:
    probabilities, truths = drawn(seed)
    for at in range(CLASSES):
        scores, positive = probabilities[:, at], truths == at
        curve, average = precision_recall(scores, positive)
        wanted, area, last = [], 0.0, 0.0
        for threshold in sorted(set(scores.tolist()), reverse=True):
            chosen = [bool(p) for s, p in zip(scores, positive, strict=True) if s >= threshold]
            recall, precision = sum(chosen) / int(positive.sum()), sum(chosen) / len(chosen)
            wanted.append((recall, precision))
            area += (recall - last) * precision
            last = recall
        assert np.allclose(curve, wanted)
        assert average == pytest.approx(area)


def test_average_precision_agrees_with_an_established_library() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities, truths = drawn(11)
    for at in range(CLASSES):
        _, average = precision_recall(probabilities[:, at], truths == at)
        assert average == pytest.approx(metrics.average_precision_score(truths == at, probabilities[:, at]))


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    rng = np.random.default_rng(4)
    scores, positive = rng.random(5000).astype(np.float32), rng.random(5000) < 0.3
    curve, _ = precision_recall(scores, positive)
    assert len(curve) <= 200
    assert curve[-1][0] == 1
    assert curve[-1][1] == pytest.approx(positive.mean())


def test_the_curve_of_a_rare_class_keeps_its_course() -> None:
    rng = np.random.default_rng(5)
    positive = np.zeros(20000, bool)
    positive[:60] = True
    scores = (rng.random(20000) + 0.9 * positive).astype(np.float32)
    recalls = [recall for recall, _ in precision_recall(scores, positive)[0]]
    assert len(recalls) <= 200
    assert max(np.diff(recalls, prepend=0.0)) < 0.04


def test_without_positives_there_is_no_curve() -> None:
    curve, average = precision_recall(np.ones(3, np.float32), np.zeros(3, bool))
    assert curve == []
    assert math.isnan(average)


def test_the_hardest_confusions_come_first_and_right_answers_never() -> None:
    matrix = np.array([[9, 4, 0], [1, 5, 0], [7, 0, 2]])
    found = hardest(matrix, ["a", "b", "c"])
    assert [(item.truth, item.answer, item.photos) for item in found] == [("c", "a", 7), ("a", "b", 4), ("b", "a", 1)]
    assert found[0].share == pytest.approx(7 / 9)


def test_a_temperature_undoes_too_much_confidence() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(4000, CLASSES)).astype(np.float32)
    truths = np.array([rng.choice(CLASSES, p=row / row.sum()) for row in softmax(logits).astype(float)])
    assert temperature(logits * 3, truths) == pytest.approx(3, rel=0.1)
    assert temperature(logits, truths) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_tagger_is_sure_from_the_lowest_probability_that_is_right_often_enough(seed: int) -> None:
    probabilities, truths = drawn(seed, 600)
    found = sure_from(probabilities, truths, 0.9)
    best, right = probabilities.max(1), probabilities.argmax(1) == truths

    def share(limit: float) -> float:
        return float(right[best >= limit].mean())

    assert 0 < found < 1
    # Ties at the limit may be cut in two; the next value above is certain.
    above = [value for value in sorted(set(best.tolist())) if value > found]
    assert share(above[0] if above else found) >= 0.85
    lower = [value for value in sorted(set(best.tolist())) if value < found]
    assert all(share(value) < 0.9 for value in lower)


def test_a_tagger_that_is_never_right_enough_is_sure_of_certainty_alone() -> None:
    probabilities = np.full((100, 2), 0.5, np.float32)
    probabilities[:, 0] = 0.6
    assert sure_from(probabilities, np.ones(100, np.int64), 0.9) == 1.0
