"""From a decision to the event that is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from worker.events import (
    MAX_CANDIDATES,
    AlertCandidate,
    Attributes,
    CatalogueInsert,
    DecisionKind,
    EmbeddingReference,
    Explanation,
    ItemPhotographed,
    MatchAlert,
    MatchedPhoto,
    ModelFingerprint,
    NearestNeighbour,
    PhotoLocation,
    StoredPicture,
    Timings,
)
from worker.events.ids import catalogue_insert_id, match_alert_id
from worker.matching.decision import Candidate, Decision

Outcome = MatchAlert | CatalogueInsert


@dataclass(frozen=True, slots=True)
class ArrivalContext:
    """What every outcome of one arrival carries, whatever was decided. `attributes`: the event's, and what was read off its photos."""

    event: ItemPhotographed
    models: ModelFingerprint
    pictures: tuple[StoredPicture, ...]
    flags: tuple[str, ...]
    attributes: Attributes


def match_alert(context: ArrivalContext, decision: Decision, timings: Timings) -> MatchAlert:
    """The alert of a decision that is `duplicate` or `review`."""
    if decision.kind is DecisionKind.NEW:
        raise ValueError("a new arrival has no match alert")
    event = context.event
    return MatchAlert(
        event_id=match_alert_id(event.arrival_id),
        arrival_id=event.arrival_id,
        decision=decision.kind,
        photographed_at=event.photographed_at,
        photos=event.photos,
        attributes=context.attributes,
        candidates=tuple(alert_candidates(decision.candidates, event.photos)),
        explanation=explanation(decision, context.flags),
        pictures=context.pictures,
        models=context.models,
        timings=timings,
    )


def catalogue_insert(
    context: ArrivalContext, decision: Decision, article_id: str, point_ids: Sequence[UUID], dimension: int, timings: Timings
) -> CatalogueInsert:
    """The insert of a decision that is `new`."""
    event = context.event
    nearest = decision.candidates[0] if decision.candidates else None
    return CatalogueInsert(
        event_id=catalogue_insert_id(event.arrival_id),
        arrival_id=event.arrival_id,
        article_id=article_id,
        photographed_at=event.photographed_at,
        photos=event.photos,
        attributes=context.attributes,
        embedding=EmbeddingReference(point_ids=tuple(point_ids), dimension=dimension),
        nearest=NearestNeighbour(article_id=nearest.article_id, similarity=nearest.similarity) if nearest else None,
        explanation=explanation(decision, context.flags),
        pictures=context.pictures,
        models=context.models,
        timings=timings,
    )


def alert_candidates(candidates: Sequence[Candidate], photos: Sequence[PhotoLocation]) -> list[AlertCandidate]:
    """Candidates as the alert shows them: ranked, each with its margin to the next."""
    shown = candidates[:MAX_CANDIDATES]
    following = [candidate.similarity for candidate in shown[1:]] + [None]
    return [
        AlertCandidate(
            rank=rank,
            article_id=candidate.article_id,
            similarity=candidate.similarity,
            probability=candidate.probability,
            margin=candidate.similarity - below if below is not None else None,
            matched_photo=MatchedPhoto(
                arrival_view=photos[candidate.arrival_photo].view,
                arrival_key=photos[candidate.arrival_photo].key,
                article_view=candidate.article_view,
                article_location=candidate.article_location,
            ),
            attributes=candidate.attributes,
            pending=candidate.pending_arrival is not None,
        )
        for rank, (candidate, below) in enumerate(zip(shown, following, strict=True), start=1)
    ]


def explanation(decision: Decision, photo_flags: Sequence[str]) -> Explanation:
    """Why, in a sentence and in numbers."""
    return Explanation(
        reason=decision.reason,
        duplicate_threshold=decision.duplicate_threshold,
        review_threshold=decision.review_threshold,
        best_similarity=decision.candidates[0].similarity if decision.candidates else None,
        flags=tuple(dict.fromkeys((*decision.flags, *photo_flags))),
    )


def timings(event: ItemPhotographed, stages_ms: Mapping[str, float]) -> Timings:
    """Timings as of now."""
    now = datetime.now(UTC)
    # A phone's clock may run ahead; a negative age would only confuse.
    age_ms = max(0.0, (now - event.photographed_at).total_seconds() * 1000.0)
    return Timings(
        stages_ms={name: round(value, 3) for name, value in stages_ms.items()},
        event_to_decision_ms=round(age_ms, 3),
        decided_at=now,
    )
