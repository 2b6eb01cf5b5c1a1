"""Who looks the same as whom: what a search shows to the race protocol, and twins inside one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from worker.catalogue.protocol import Point, PointState
from worker.errors import EventRefused
from worker.matching.decision import Candidate
from worker.matching.race import Own, Sight
from worker.matching.record import Record

# Engines may add up a cosine in another order or rescore quantised vectors. Inside a batch similarity only sets who goes first,
# so a little more caution costs one search and nothing else.
BATCH_TOLERANCE = 1e-3


def sight(candidates: Sequence[Candidate], arrival_id: str, review_threshold: float) -> Sight:
    """The peers among `candidates` (every article the search returned, not only the ten best)."""
    peers = [candidate.pending_arrival for candidate in candidates if candidate.similarity >= review_threshold]
    pending = sorted({peer for peer in peers if peer is not None} - {arrival_id})
    return Sight(
        settled=None in peers,
        smaller=tuple(peer for peer in pending if peer < arrival_id),
        larger=tuple(peer for peer in pending if peer > arrival_id),
    )


def own_points(found: Sequence[Point], wanted: Sequence[Point], body_hash: str) -> tuple[Own, str | None]:
    """What an arrival finds of its own points, and the recorded event where it is settled.

    Args:
        found: the points of this arrival in the catalogue.
        wanted: the points it would write.
        body_hash: of its event.
    """
    if not found:
        return Own.NONE, None
    try:
        records = [Record.from_text(point.record, str(point.arrival_id)) for point in found]
    except EventRefused:
        return Own.FOREIGN, None
    if any(record.body_hash != body_hash for record in records):
        return Own.FOREIGN, None
    complete = {point.point_id for point in wanted} <= {point.point_id for point in found}
    settled = [record.event for point, record in zip(found, records, strict=True) if point.state is PointState.SETTLED]
    if not settled:
        return (Own.PENDING if complete else Own.PART_PENDING), None
    event = settled[0]
    if event is None:
        return Own.FOREIGN, None
    return (Own.SETTLED if complete and len(settled) == len(found) else Own.PART_SETTLED), event


def twins_before(
    vectors: Sequence[Sequence[npt.NDArray[np.float32]]],
    filters: Sequence[Mapping[str, str]],
    threshold: float,
) -> tuple[frozenset[int], ...]:
    """For each arrival of a batch the earlier ones it is a peer of: best pair of photos, as the searches measure it.

    Args:
        vectors: for each arrival its photos' L2-normalised vectors.
        filters: for each arrival the filter of its searches: those of its attributes that narrow one.
        threshold: the review threshold.
    """
    twins = []
    stacked = [np.stack(list(photos)) for photos in vectors]
    for j in range(len(stacked)):
        before = [
            i
            for i in range(j)
            if _passes(filters[i], filters[j]) and float((stacked[i] @ stacked[j].T).max()) >= threshold - BATCH_TOLERANCE
        ]
        twins.append(frozenset(before))
    return tuple(twins)


def _passes(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether their searches may find one another: what both know is equal. Whoever asks, the answer is the same."""
    return all(other.get(name, value) == value for name, value in one.items())
