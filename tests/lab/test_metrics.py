"""Figures against slow, obvious statements of what they are, on random data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from worker.lab.manifest import Manifest, ManifestLine
from worker.lab.method import Distance
from worker.lab.metrics import (
    Pairs,
    Resampler,
    alert_threshold,
    chance_average_precision,
    chance_within,
    curves,
    pairs_of,
    within,
)
from worker.lab.search import LOST, average_precision, search
from worker.vision.types import FloatArray


def random_case(seed: int, *, ties: bool = False) -> tuple[Manifest, FloatArray]:
    rng = np.random.default_rng(seed)
    lines: list[ManifestLine] = []
    for article in range(12):
        lines += [
            ManifestLine(f"c{article}-{p}.jpg", f"a{article:02d}", "catalogue", "studio") for p in range(int(rng.integers(1, 4)))
        ]
    for query in range(30):
        item = f"a{int(rng.integers(12)):02d}" if query % 3 else ("", "elsewhere")[query % 2]
        lines.append(ManifestLine(f"q{query}.jpg", item, "query", ("phone", "back")[query % 2]))
    order = rng.permutation(len(lines))
    vectors = rng.normal(size=(len(lines), 5)).astype(np.float32)
    if ties:
        vectors = np.round(vectors[:, :2])
        vectors[(vectors == 0).all(axis=1)] = 1
    from pathlib import Path

    return Manifest(tuple(lines[i] for i in order), Path("/photos")), vectors


def slow_similarity(a: FloatArray, b: FloatArray, distance: Distance) -> float:
    if distance == "l1":
        return -sum(abs(float(x) - float(y)) for x, y in zip(a, b, strict=True))
    if distance == "l2":
        return -math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return dot / (math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(y) ** 2 for y in b)))


@pytest.mark.parametrize("distance", ["cosine", "l1", "l2"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ranks_and_precision_are_those_of_comparing_everything_with_everything(seed: int, distance: Distance) -> None:
    manifest, vectors = random_case(seed)
    found = search(manifest, vectors, distance)
    catalogue = [n for n, line in enumerate(manifest.lines) if line.role == "catalogue"]
    for number, row in enumerate(found.rows):
        line = manifest.lines[row]
        scores = {n: slow_similarity(vectors[row], vectors[n], distance) for n in catalogue}
        best: dict[str, float] = {}
        for n, score in scores.items():
            item = manifest.lines[n].item_id
            best[item] = max(best.get(item, -math.inf), score)
        assert found.best[number] == pytest.approx(max(best.values()), abs=1e-5)
        if line.item_id not in best:
            assert found.rank[number] == 0
            assert math.isnan(found.average_precision[number])
            continue
        ranking = sorted(best, key=lambda item: -best[item])
        assert found.rank[number] == ranking.index(line.item_id) + 1
        photos = sorted(catalogue, key=lambda n: -scores[n])
        precisions, hits = [], 0
        for place, n in enumerate(photos, start=1):
            if manifest.lines[n].item_id == line.item_id:
                hits += 1
                precisions.append(hits / place)
        assert found.average_precision[number] == pytest.approx(sum(precisions) / len(precisions))


def test_equal_wrong_articles_stand_before_the_right_one() -> None:
    manifest, vectors = random_case(7, ties=True)
    found = search(manifest, vectors, "l1")
    tied = 0
    for number, right in enumerate(found.right):
        if right < 0:
            continue
        own = found.similarity[number, right]
        worse = sum(1 for other in found.similarity[number] if other >= own)
        tied += sum(1 for other in found.similarity[number] if other == own) > 1
        assert found.rank[number] == worse
        assert (found.first[number] == right) == (found.rank[number] == 1)
    assert tied > 0


def test_a_descriptor_that_gives_everything_the_same_vector_finds_nothing() -> None:
    manifest, vectors = random_case(3)
    found = search(manifest, np.ones_like(vectors), "cosine")
    assert not within(found.rank, 1).any()
    assert (found.rank[found.seen] == 12).all()


def test_what_cannot_be_read_is_never_found_however_small_the_catalogue() -> None:
    from pathlib import Path

    lines = (
        ManifestLine("a", "a", "catalogue", ""),
        ManifestLine("b", "b", "catalogue", ""),
        ManifestLine("x", "a", "query", ""),
        ManifestLine("y", "b", "query", ""),
        ManifestLine("z", "", "query", ""),
    )
    vectors = np.array([[1, 0], [np.nan, np.nan], [np.nan, np.nan], [0, 1], [1, 1]], np.float32)
    found = search(Manifest(lines, Path("/p")), vectors, "cosine")
    assert found.rank.tolist() == [LOST, LOST, 0]
    assert not within(found.rank, 50).any()
    assert found.average_precision[:2].tolist() == [0.0, 0.0]


def test_a_photo_does_not_find_itself() -> None:
    from pathlib import Path

    lines = (
        ManifestLine("a1", "a", "catalogue", ""),
        ManifestLine("a2", "a", "catalogue", ""),
        ManifestLine("b1", "b", "catalogue", ""),
        ManifestLine("a1", "a", "query", ""),
        ManifestLine("b1", "b", "query", ""),
    )
    vectors = np.array([[1, 0], [0, 1], [1, 0.1], [1, 0], [1, 0.1]], np.float32)
    found = search(Manifest(lines, Path("/p")), vectors, "cosine")
    assert found.rank.tolist() == [2, LOST]  # a's other photo is far; b has no other photo
    assert found.candidates.tolist() == [2, 2]
    assert found.relevant.tolist() == [1, 0]


def test_average_precision_counts_ties_against_the_ranking() -> None:
    def scores(*values: float) -> FloatArray:
        return np.array(values, np.float32)

    assert average_precision(scores(0.9, 0.5), scores(0.7)) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision(scores(0.5), scores(0.5)) == pytest.approx(1 / 2)
    assert average_precision(scores(-np.inf), scores(0.5)) == 0.0
    assert math.isnan(average_precision(scores(), scores(0.5)))


def slow_curves(same: list[float], different: list[float]) -> tuple[float, float]:
    """AUC as the share of pairs of pairs in order; average precision by going down all thresholds."""
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in same for b in different)
    precision_sum, last = 0.0, 0
    for level in sorted(set(same + different), reverse=True):
        hits = sum(a >= level for a in same)
        alarms = sum(b >= level for b in different)
        precision_sum += (hits - last) / len(same) * hits / (hits + alarms)
        last = hits
    return wins / (len(same) * len(different)), precision_sum


@pytest.mark.parametrize("seed", range(5))
def test_curves_agree_with_counting_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    same = np.round(rng.normal(0.5, 1, 40), 1).astype(np.float32)
    different = np.round(rng.normal(0, 1, 150), 1).astype(np.float32)
    found = curves(Pairs(same, different))
    assert found is not None
    auc, precision = slow_curves(same.tolist(), different.tolist())
    assert found.auc == pytest.approx(auc)
    assert found.average_precision == pytest.approx(precision)
    assert found.roc[0] == (0.0, 0.0)
    assert found.roc[-1] == (1.0, 1.0)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(found.roc))


def test_curves_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(9)
    same, different = rng.normal(1, 1, 300).astype(np.float32), rng.normal(0, 1, 4000).astype(np.float32)
    found = curves(Pairs(same, different))
    assert found is not None
    truth, scores = np.r_[np.ones(300), np.zeros(4000)], np.r_[same, different]
    assert found.auc == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found.average_precision == pytest.approx(metrics.average_precision_score(truth, scores))
    assert len(found.roc) <= 203


def test_there_are_no_curves_without_both_kinds_of_pairs() -> None:
    assert curves(Pairs(np.zeros(0, np.float32), np.ones(3, np.float32))) is None
    assert curves(Pairs(np.ones(3, np.float32), np.zeros(0, np.float32))) is None


def test_pairs_are_all_pairs_or_a_repeatable_draw_of_known_weight() -> None:
    rng = np.random.default_rng(0)
    similarity, right = rng.normal(size=(50, 40)).astype(np.float32), rng.integers(-1, 40, 50)
    whole = pairs_of(similarity, right)
    seen = int((right >= 0).sum())
    assert (len(whole.same), len(whole.different), whole.weight) == (seen, 50 * 40 - seen, 1.0)
    part, again = pairs_of(similarity, right, most=500), pairs_of(similarity, right, most=500)
    assert np.array_equal(part.different, again.different)
    assert len(part.different) <= 500
    assert part.weight * len(part.different) == pytest.approx(50 * 40 - seen)
    one, other = curves(whole), curves(part)
    assert one is not None
    assert other is not None
    assert other.auc == pytest.approx(one.auc, abs=0.05)


@pytest.mark.parametrize("count", [1, 50, 99, 100, 101, 250, 1000])
def test_the_alert_threshold_is_the_lowest_that_lets_one_percent_pass(count: int) -> None:
    best = np.round(np.random.default_rng(count).normal(size=count), 2).astype(np.float32)
    limit = np.float32(alert_threshold(best))
    assert (best >= limit).mean() <= 0.01
    lower = best[best < limit]
    assert (best >= lower.max()).mean() > 0.01  # the next similarity there is lets more pass


def test_without_unseen_garments_there_is_no_alert_threshold() -> None:
    assert math.isnan(alert_threshold(np.zeros(0, np.float32)))


def test_chance_is_what_shuffling_gives() -> None:
    assert chance_within(200, 10) == 0.05
    assert chance_within(5, 10) == 1.0
    rng = np.random.default_rng(0)
    relevant, candidates = np.array([1, 3]), np.array([10, 10])
    simulated = []
    for r in relevant:
        for _ in range(4000):
            places = np.sort(rng.permutation(10)[:r]) + 1
            simulated.append(np.mean(np.arange(1, r + 1) / places))
    assert chance_average_precision(relevant, candidates) == pytest.approx(np.mean(simulated), abs=0.01)


def test_intervals_hold_the_mean_are_repeatable_and_narrow_with_more_articles() -> None:
    rng = np.random.default_rng(5)
    widths = []
    for articles in (20, 500):
        values = rng.random(articles) < 0.7
        groups = [f"a{n}" for n in range(articles)]
        low, high = Resampler(groups).interval(values)
        assert low <= values.mean() <= high
        assert Resampler(groups).interval(values) == (low, high)
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_queries_of_one_article_are_drawn_together() -> None:
    values = np.repeat([0.0, 1.0] * 10, 20)  # 20 articles of 20 equal queries
    together = Resampler([f"a{n // 20}" for n in range(400)]).interval(values)
    apart = Resampler([""] * 400).interval(values)
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])


def test_resampled_thresholds_are_those_of_the_resamples() -> None:
    best = np.random.default_rng(2).normal(size=300).astype(np.float32)
    resampler = Resampler([""] * 300, resamples=40)
    for counts, limit in zip(resampler.counts, resampler.thresholds(best), strict=True):
        assert limit == pytest.approx(alert_threshold(np.repeat(best, counts)), abs=1e-6)
