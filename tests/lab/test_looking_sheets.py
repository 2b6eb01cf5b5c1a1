"""Sheets say what search says, label by label and frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lab.test_evaluation import embedded
from worker.lab.evaluation import Evaluated, evaluate
from worker.lab.looking.clusters import Cluster, Clustering
from worker.lab.looking.drawing import BAD, GOOD, LINE, Canvas
from worker.lab.looking.plates import FRAME, TILE, draw_clusters, draw_sheet, draw_silhouette, sheet_location
from worker.lab.looking.sheets import SHOWN, Sheet, SheetRow, make_sheets, threshold_of

ALL_OF_THEM = 10_000


@pytest.fixture(scope="module")
def evaluated() -> Evaluated:
    return evaluate(embedded(noise=1.6, threshold=0.88))


def sheet(evaluated: Evaluated, name: str, count: int = ALL_OF_THEM) -> Sheet:
    return next(item for item in make_sheets(evaluated, count) if item.name == name)


def number_of(evaluated: Evaluated, row: SheetRow) -> int:
    """Which query of `Found` a row shows."""
    lines = evaluated.embedded.manifest.lines
    return next(n for n, line in enumerate(evaluated.found.rows) if row.location.endswith(f"/{lines[line].path}"))


def test_hits_misses_and_false_alerts_are_those_of_the_search(evaluated: Evaluated) -> None:
    rank, best = evaluated.found.rank, evaluated.found.best
    readable = np.isfinite(best)
    for name, wanted in (("hits", rank == 1), ("misses", (rank > 1) & readable), ("false-alerts", (rank == 0) & readable)):
        made = sheet(evaluated, name)
        shown = {number_of(evaluated, row) for row in made.rows}
        assert shown == set(np.flatnonzero(wanted).tolist())
        assert made.of == len(made.rows) == len(shown) > 3


def test_every_candidate_has_the_similarity_the_place_and_the_article_of_the_search(evaluated: Evaluated) -> None:
    found = evaluated.found
    for name in ("hits", "misses", "false-alerts"):
        for row in sheet(evaluated, name).rows[:40]:
            n = number_of(evaluated, row)
            order = np.argsort(-found.similarity[n], kind="stable")[:SHOWN]
            assert [near.article for near in row.found] == [found.articles[a] for a in order]
            assert [near.place for near in row.found] == list(range(1, SHOWN + 1))
            for near, article in zip(row.found, order, strict=True):
                assert near.similarity == pytest.approx(float(found.similarity[n, article]), abs=1e-6)
                assert near.right == (int(article) == int(found.right[n]))
                assert near.location.endswith(f"/c{int(near.article[1:])}.jpg")


def test_a_right_article_beyond_the_ten_stands_apart_with_its_place() -> None:
    evaluated = evaluate(embedded(noise=4))
    rows = sheet(evaluated, "misses").rows
    beyond = [row for row in rows if row.right is not None]
    assert beyond
    for row in rows:
        rank = int(evaluated.found.rank[number_of(evaluated, row)])
        assert (row.right is not None) == (rank > SHOWN)
        if row.right is not None:
            assert (row.right.place, row.right.article, row.right.right) == (rank, row.label, True)


def test_alerts_are_those_at_or_above_the_threshold_the_most_similar_first(evaluated: Evaluated) -> None:
    limit, what = threshold_of(evaluated)
    assert (limit, what) == (0.88, "the calibrated threshold")
    rows = sheet(evaluated, "false-alerts").rows
    best = [row.found[0].similarity for row in rows]
    assert best == sorted(best, reverse=True)
    assert [row.alert for row in rows] == [value >= 0.88 for value in best]
    assert {row.alert for row in rows} == {True, False}
    assert {row.label for row in rows} == {"not in the catalogue"}


def test_without_a_calibrated_threshold_the_one_of_one_percent_counts() -> None:
    evaluated = evaluate(embedded())
    limit, what = threshold_of(evaluated)
    assert limit == evaluated.result.threshold_at_1_percent
    assert "1 %" in what
    assert sum(bool(row.alert) for row in sheet(evaluated, "false-alerts").rows) == 2


def test_few_rows_are_shared_out_among_the_kinds_and_hits_reach_from_the_surest_to_the_closest(evaluated: Evaluated) -> None:
    for name in ("hits", "misses"):
        kinds = [row.kind for row in sheet(evaluated, name, 6).rows]
        assert kinds in (["phone"] * 3 + ["back"] * 3, ["back"] * 3 + ["phone"] * 3)
    assert [item.rows for item in make_sheets(evaluated, 0)] == [(), (), ()]


def test_a_photo_does_not_find_itself() -> None:
    from dataclasses import replace

    from worker.lab.manifest import Manifest, ManifestLine

    item = embedded()
    lines = [*item.manifest.lines, ManifestLine("c0.jpg", "a00", "query", "own")]
    vectors = np.vstack([item.vectors, item.vectors[:1]])
    made = evaluate(replace(item, manifest=Manifest(tuple(lines), item.manifest.folder), vectors=vectors))
    rows = [row for part in make_sheets(made, ALL_OF_THEM) for row in part.rows if row.location.endswith("/c0.jpg")]
    assert all(near.location != row.location for row in rows for near in row.found)


def pixels_of(row: int, column: int, drawn: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Colours of the frame and of the middle of a candidate's tile."""
    x, y = sheet_location(row, column)
    return tuple(int(v) for v in drawn[y - 1, x + TILE // 2]), tuple(int(v) for v in drawn[y + TILE // 2, x + TILE // 2])


def test_the_right_one_is_framed_green_the_false_alert_red_and_each_tile_shows_its_own_crop(evaluated: Evaluated) -> None:
    rng = np.random.default_rng(1)
    manifest = evaluated.embedded.manifest
    crops = {location: np.full((30, 30, 3), rng.integers(0, 256, 3), np.uint8) for location in manifest.locations}
    seen = set()
    for name in ("hits", "misses", "false-alerts"):
        made = sheet(evaluated, name, 8)
        drawn = draw_sheet("t", made, crops, crops)
        for number, row in enumerate(made.rows):
            for column, near in enumerate(row.found):
                frame, middle = pixels_of(number, column, drawn)
                wanted = GOOD if near.right else BAD if name == "false-alerts" and column == 0 and row.alert else LINE
                assert frame == wanted
                assert middle == tuple(crops[near.location][0, 0].tolist())
                seen.add(frame)
                if near.right:
                    x, y = sheet_location(number, column)
                    assert tuple(drawn[y - FRAME, x].tolist()) == GOOD
    assert seen == {GOOD, BAD, LINE}


def test_the_words_of_a_sheet_are_labels_kinds_articles_and_similarities(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Canvas, "text", lambda _self, _x, _y, words, *_rest, **_more: written.append(words))
    made = sheet(evaluated, "misses", 4)
    draw_sheet("the title", made, {}, {})
    assert written[0] == "the title"
    for row in made.rows:
        assert row.label in written
        assert row.kind in written
        for near in row.found:
            assert near.article in written
            assert f"{near.similarity:.3f}" in written
        if row.right is not None:
            assert f"{row.right.similarity:.3f}  (place {row.right.place})" in written


def test_an_empty_sheet_says_so_and_what_cannot_be_shown_is_grey() -> None:
    assert draw_sheet("t", Sheet("hits", (), 0), {}, {}).min() < 150
    row = make_sheets(evaluate(embedded()), 1)[0].rows[0]
    drawn = draw_sheet("t", Sheet("hits", (row,), 1), {}, {})
    assert pixels_of(0, 3, drawn)[1] == (225, 225, 225)


def test_clusters_and_their_curve_are_drawn_the_same_in_every_run() -> None:
    clusters = (Cluster(1, (0, 1), 0.5, (("tops", 2),)), Cluster(2, (2,), 0.1, ()))
    clustering = Clustering(clusters, np.array([1, 1, 2]), ((2, 0.4), (3, 0.2)), chosen=True)
    crops = {"a": np.zeros((9, 9, 3), np.uint8)}
    drawn = [draw_clusters("t", clusters, ["a", "b", "c"], crops) for _ in range(2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(draw_silhouette(clustering), draw_silhouette(clustering))
    assert (drawn[0] == 0).all(axis=2).sum() >= TILE**2
