"""From points to articles."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from worker.catalogue.grouping import group_by_article
from worker.catalogue.protocol import Hit, PointState
from worker.events import Attributes


def hit(article: str, similarity: float, number: int = 0) -> Hit:
    return Hit(UUID(int=number), similarity, article, "front", f"s3://b/{article}", PointState.SETTLED, Attributes())


def test_an_article_has_the_similarity_of_its_best_pair_of_photos() -> None:
    found = group_by_article([[hit("a", 0.7, 1), hit("a", 0.6, 2), hit("b", 0.5, 3)], [hit("b", 0.9, 4), hit("a", 0.1, 1)]])

    assert [(item.article_id, item.similarity, item.photo, item.hit.point_id.int) for item in found] == [
        ("b", 0.9, 1, 4),
        ("a", 0.7, 0, 1),
    ]


def test_equals_are_ordered_by_article_and_pairs_by_photo_whatever_the_engine_answers_first() -> None:
    one = group_by_article([[hit("b", 0.5, 9), hit("b", 0.5, 2)], [hit("a", 0.5, 1), hit("b", 0.5, 1)]])
    other = group_by_article([[hit("b", 0.5, 2), hit("b", 0.5, 9)], [hit("b", 0.5, 1), hit("a", 0.5, 1)]])

    assert one == other
    assert [(item.article_id, item.photo, item.hit.point_id.int) for item in one] == [("a", 1, 1), ("b", 0, 2)]


def test_only_as_many_articles_as_asked_for_are_returned() -> None:
    hits = [hit(f"a{number}", number / 100, number) for number in range(20)]

    assert [item.article_id for item in group_by_article([hits], limit=3)] == ["a19", "a18", "a17"]
    assert group_by_article([]) == []
    assert group_by_article([[], []]) == []


def test_the_hit_is_handed_on_untouched() -> None:
    pending = replace(hit("a", 0.4), state=PointState.PENDING, arrival_id="arrival-1")
    assert group_by_article([[pending]])[0].hit is pending
