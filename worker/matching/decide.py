"""From candidates to a decision that says why."""

from __future__ import annotations

from collections.abc import Sequence

from worker.calibration import Calibration
from worker.events import MAX_CANDIDATES, DecisionKind
from worker.matching.decision import Candidate, Decision

# A candidate that is listed is a twin in flight: an arrival that looks the same and is not decided yet.
TWIN_IN_FLIGHT = "twin-in-flight"
# More than one settled article reaches the duplicate threshold: two colourways, or a duplicate in the catalogue itself.
SEVERAL_DUPLICATES = "several-duplicates"


def decide(
    candidates: Sequence[Candidate],
    calibration: Calibration,
    *,
    views: Sequence[str] = (),
    flags: Sequence[str] = (),
    limit: int = MAX_CANDIDATES,
) -> Decision:
    """What the settled candidates say. Pending ones are listed in an alert but decide nothing: they may yet go away.

    Args:
        candidates: every article the search returned, best first (`fuse`).
        calibration: the thresholds, both inclusive.
        views: of the arrival's photos, for the sentence.
        flags: what is known already, such as ``photo-blurred``; kept in front.
        limit: most candidates in an alert.

    Returns:
        `new` lists settled articles only: its first candidate is the nearest neighbour.
    """
    settled = [candidate for candidate in candidates if candidate.pending_arrival is None]
    kind = _kind(settled, calibration)
    if kind is DecisionKind.NEW:
        return _decision(kind, settled[:limit], _why_new(settled, calibration), calibration, flags)
    more = [*flags]
    if any(_is_peer(candidate, calibration) for candidate in candidates if candidate.pending_arrival is not None):
        more.append(TWIN_IN_FLIGHT)
    if sum(candidate.similarity >= calibration.duplicate_threshold for candidate in settled) > 1:
        more.append(SEVERAL_DUPLICATES)
    listed = list(candidates[:limit])
    if settled[0] not in listed:
        # More than `limit` twins in flight are nearer: the article the decision rests on must still be named.
        listed[-1] = settled[0]
    return _decision(kind, listed, _why_alert(kind, settled, calibration, views), calibration, more)


def decide_overdue(
    candidates: Sequence[Candidate],
    calibration: Calibration,
    *,
    waited_s: float,
    flags: Sequence[str] = (),
    limit: int = MAX_CANDIDATES,
) -> Decision:
    """The alert of an arrival that waited for a pending peer until the bound: a person looks at both.

    Args:
        candidates: as for `decide`, with at least one pending peer among them.
        calibration: the thresholds.
        waited_s: seconds waited.
        flags: what is known already.
        limit: most candidates in the alert.
    """
    twin = next(c for c in candidates if c.pending_arrival is not None and _is_peer(c, calibration))
    reason = (
        f"Arrival {twin.pending_arrival} looks the same (similarity {twin.similarity:.3f}) and was not decided within "
        f"{waited_s:.0f} s: only a person can tell which of the two becomes the article."
    )
    return _decision(DecisionKind.REVIEW, candidates[:limit], reason, calibration, [*flags, TWIN_IN_FLIGHT])


def _is_peer(candidate: Candidate, calibration: Calibration) -> bool:
    return candidate.similarity >= calibration.review_threshold


def _kind(settled: Sequence[Candidate], calibration: Calibration) -> DecisionKind:
    if not settled or not _is_peer(settled[0], calibration):
        return DecisionKind.NEW
    return DecisionKind.DUPLICATE if settled[0].similarity >= calibration.duplicate_threshold else DecisionKind.REVIEW


def _why_new(settled: Sequence[Candidate], calibration: Calibration) -> str:
    if not settled:
        return "No article of the catalogue could be compared with it."
    return (
        f"The nearest article {settled[0].article_id} has similarity {settled[0].similarity:.3f}, "
        f"below the review threshold {calibration.review_threshold:.3f}."
    )


def _why_alert(kind: DecisionKind, settled: Sequence[Candidate], calibration: Calibration, views: Sequence[str]) -> str:
    best = settled[0]
    photo = views[best.arrival_photo] if best.arrival_photo < len(views) else f"photo {best.arrival_photo + 1}"
    where = (
        f"at or above the duplicate threshold {calibration.duplicate_threshold:.3f}"
        if kind is DecisionKind.DUPLICATE
        else f"between the review threshold {calibration.review_threshold:.3f} "
        f"and the duplicate threshold {calibration.duplicate_threshold:.3f}"
    )
    ahead = f"; the next article is {best.similarity - settled[1].similarity:.3f} behind" if len(settled) > 1 else ""
    return (
        f"Its {photo} view and the {best.article_view} view of article {best.article_id} have similarity {best.similarity:.3f} "
        f"(probability {best.probability:.3f}), {where}{ahead}."
    )


def _decision(
    kind: DecisionKind, candidates: Sequence[Candidate], reason: str, calibration: Calibration, flags: Sequence[str]
) -> Decision:
    return Decision(
        kind=kind,
        candidates=tuple(candidates),
        reason=reason,
        duplicate_threshold=calibration.duplicate_threshold,
        review_threshold=calibration.review_threshold,
        flags=tuple(dict.fromkeys(flags)),
    )
