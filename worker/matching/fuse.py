"""From the hits of an arrival's photos to articles.

The similarity of an arrival and an article is that of their best pair of photos. The measure is symmetric: whichever of two
arrivals asks, both get the same number, and that is what the race protocol stands on. It also suits the photos: a label or a
detail seen by only one side must not pull down two front views that agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from worker.calibration import Calibration
from worker.catalogue.protocol import Hit, PointState
from worker.matching.decision import Candidate


def fuse(hits: Sequence[Sequence[Hit]], calibration: Calibration) -> tuple[Candidate, ...]:
    """Every article in `hits`, best first, equals by article id.

    Args:
        hits: for each photo of the arrival, in the event's order, what its search returned.
        calibration: similarity to probability.

    Returns:
        One candidate an article. An article counts as pending only while no hit shows it settled: the points of one arrival are
        settled by one call, but need not become visible at one instant.
    """
    best: dict[str, tuple[int, Hit]] = {}
    settled: set[str] = set()
    for photo, photo_hits in enumerate(hits):
        for hit in photo_hits:
            if hit.state is PointState.SETTLED:
                settled.add(hit.article_id)
            held = best.get(hit.article_id)
            if held is None or _order(photo, hit) < _order(*held):
                best[hit.article_id] = (photo, hit)
    candidates = [
        _candidate(photo, hit, calibration, pending=article_id not in settled) for article_id, (photo, hit) in best.items()
    ]
    return tuple(sorted(candidates, key=lambda candidate: (-candidate.similarity, candidate.article_id)))


def margins(candidates: Sequence[Candidate]) -> tuple[float | None, ...]:
    """For each candidate (best first) its similarity minus that of the next; None for the last."""
    return (*(one.similarity - after.similarity for one, after in pairwise(candidates)), None) if candidates else ()


def _order(photo: int, hit: Hit) -> tuple[float, int, str]:
    """Best similarity first; equals by the arrival's photo and then the point, so that a replay names the same pair."""
    return (-hit.similarity, photo, str(hit.point_id))


def _candidate(photo: int, hit: Hit, calibration: Calibration, *, pending: bool) -> Candidate:
    # Engines compute in float32: the cosine of a vector with itself may come out as 1.0000001.
    similarity = max(-1.0, min(1.0, hit.similarity))
    return Candidate(
        article_id=hit.article_id,
        similarity=similarity,
        probability=calibration.probability(similarity),
        arrival_photo=photo,
        article_view=hit.view,
        article_location=hit.location,
        attributes=hit.attributes,
        pending_arrival=(hit.arrival_id or hit.article_id) if pending else None,
    )
