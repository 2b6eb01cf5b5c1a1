"""From points to articles: the best pair of photos for each article."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.catalogue.protocol import Hit


@dataclass(frozen=True, slots=True)
class ArticleHit:
    """An article the photos of one arrival found.

    Attributes:
        photo: index of the arrival's photo in the best pair.
        hit: the article's photo in the best pair; its `similarity` is the article's.
    """

    article_id: str
    similarity: float
    photo: int
    hit: Hit


def group_by_article(hits_by_photo: Sequence[Sequence[Hit]], limit: int | None = None) -> list[ArticleHit]:
    """Hits of an arrival's photos (one sequence for each photo, in order) to articles, best first.

    An article's similarity is that of its best pair of photos: the cosine is symmetric, so of two arrivals either both or neither
    see the other. Ties are broken by article id and photo, so that a replay gives the same order.
    """
    best: dict[str, ArticleHit] = {}
    for photo, hits in enumerate(hits_by_photo):
        for hit in hits:
            known = best.get(hit.article_id)
            if known is None or _rank(hit, photo) < _rank(known.hit, known.photo):
                best[hit.article_id] = ArticleHit(hit.article_id, hit.similarity, photo, hit)
    ordered = sorted(best.values(), key=lambda article: (-article.similarity, article.article_id))
    return ordered if limit is None else ordered[:limit]


def _rank(hit: Hit, photo: int) -> tuple[float, int, str]:
    return (-hit.similarity, photo, str(hit.point_id))
