"""Candidates and the decision made from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.events import Attributes, DecisionKind


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article a search returned, with the pair of photos that matched best.

    Attributes:
        similarity: cosine of the best pair (arrival photo, article photo): symmetric, so that of two arrivals either both or
            neither sees the other as a peer.
        probability: calibrated probability that arrival and article are the same.
        arrival_photo: index of the arrival's photo in the event.
        pending_arrival: id of the arrival behind this article where it is pending (a twin in flight), else None.
    """

    article_id: str
    similarity: float
    probability: float
    arrival_photo: int
    article_view: str
    article_location: str
    attributes: Attributes = field(default_factory=Attributes)
    pending_arrival: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with an arrival, and why.

    Attributes:
        candidates: best first, at most ten.
        reason: one sentence for people.
        flags: such as ``twin-in-flight``.
    """

    kind: DecisionKind
    candidates: tuple[Candidate, ...]
    reason: str
    duplicate_threshold: float
    review_threshold: float
    flags: tuple[str, ...] = ()
