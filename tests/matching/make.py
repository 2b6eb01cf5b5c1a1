"""Arrivals, photos and catalogues for the tests of matching: similarities are set, not found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from tests.matching.memory import MemoryCatalogue
from worker.calibration import Calibration, LogisticCurve
from worker.catalogue.protocol import Catalogue, Hit, Point, PointState
from worker.events import Attributes, derived_id
from worker.matching.decision import Decision
from worker.matching.queries import SearchPlan
from worker.matching.requests import SettleOutcome, SettleRequest
from worker.matching.settle import Settler
from worker.matching.tools import SettleTools
from worker.settings import MatchingSettings

DIMENSION = 64
FINGERPRINT = "0123456789ab"
WHEN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CALIBRATION = Calibration(duplicate_threshold=0.85, review_threshold=0.7, curve=LogisticCurve(slope=20.0, intercept=-15.0))
PLAN = SearchPlan(point_limit=40)


def photo_of(garment: int, similarity: float = 1.0, towards: int | None = None) -> npt.NDArray[np.float32]:
    """A vector whose cosine to garment's own direction is `similarity`; the rest points towards another garment or nowhere else."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[garment] = similarity
    vector[towards if towards is not None else DIMENSION - 1 - garment] = math.sqrt(max(0.0, 1.0 - similarity**2))
    return vector


def noisy_photo_of(garment: int, seed: int) -> npt.NDArray[np.float32]:
    """A phone photo: any two of one garment have a cosine of about 0.95, of two garments about 0."""
    noise = np.random.default_rng((garment, seed)).standard_normal(DIMENSION).astype(np.float32)
    noise /= np.linalg.norm(noise)
    vector = photo_of(garment) + 0.22 * noise
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def article(name: str, vector: npt.NDArray[np.float32], view: str = "front", attributes: Attributes | None = None) -> Point:
    """A settled point of a loaded article."""
    return Point(
        point_id=derived_id("article", name, view),
        vector=vector,
        article_id=name,
        view=view,
        location=f"s3://studio/{name}/{view}.jpg",
        state=PointState.SETTLED,
        fingerprint=FINGERPRINT,
        written_at=WHEN,
        attributes=attributes or Attributes(),
    )


def points_of(
    arrival_id: str,
    vectors: Sequence[npt.NDArray[np.float32]],
    attributes: Attributes | None = None,
    written_at: datetime | None = None,
) -> tuple[Point, ...]:
    """What an arrival would write."""
    views = ("front", "back", "label", "detail")
    return tuple(
        Point(
            point_id=derived_id("arrival", arrival_id, str(n)),
            vector=vector,
            article_id=f"article-{arrival_id}",
            view=views[n],
            location=f"s3://intake-photos/{arrival_id}/{views[n]}.jpg",
            state=PointState.PENDING,
            fingerprint=FINGERPRINT,
            written_at=written_at or datetime.now(UTC),
            attributes=attributes or Attributes(),
            arrival_id=arrival_id,
        )
        for n, vector in enumerate(vectors)
    )


def hit(
    article_id: str, similarity: float, *, pending: str | None = None, view: str = "front", arrival: str | None = None
) -> Hit:
    """A hit of a loaded article, a settled arrival's (`arrival`) or a pending one's (`pending`)."""
    return Hit(
        point_id=derived_id("hit", article_id, view),
        similarity=similarity,
        article_id=article_id,
        view=view,
        location=f"s3://studio/{article_id}/{view}.jpg",
        state=PointState.PENDING if pending else PointState.SETTLED,
        attributes=Attributes(),
        arrival_id=pending or arrival,
    )


@dataclass
class Recorder:
    """Counts how often an arrival's event was made, and makes each one different, as timings do."""

    made: list[Decision] = field(default_factory=list)

    def __call__(self, decision: Decision) -> str:
        self.made.append(decision)
        return json.dumps({"made": len(self.made), "id": id(self), "kind": decision.kind, "reason": decision.reason})


def request(
    catalogue: Catalogue,
    arrival_id: str,
    *vectors: npt.NDArray[np.float32],
    body: str | None = None,
    attributes: Attributes | None = None,
    plan: SearchPlan = PLAN,
    record: Callable[[Decision], str] | None = None,
    flags: tuple[str, ...] = (),
    written_at: datetime | None = None,
) -> SettleRequest:
    """An arrival after its first search."""
    known = attributes or Attributes()
    hits = catalogue.search(plan.queries(arrival_id, vectors, known))
    return SettleRequest(
        arrival_id=arrival_id,
        body_hash=body or f"body of {arrival_id}",
        points=points_of(arrival_id, vectors, known, written_at),
        hits=tuple(tuple(found) for found in hits),
        record=record or Recorder(),
        attributes=known,
        flags=flags,
    )


def settler(catalogue: Catalogue, tools: SettleTools | None = None, plan: SearchPlan = PLAN, **settings: float) -> Settler:
    """A settle stage on `catalogue`."""
    return Settler(catalogue, CALIBRATION, MatchingSettings.model_validate(settings), plan, tools)


def settle_one(
    catalogue: Catalogue, arrival_id: str, *vectors: npt.NDArray[np.float32], body: str | None = None
) -> SettleOutcome:
    """One arrival in a batch of its own, in a new worker."""
    [outcome] = settler(catalogue).settle([request(catalogue, arrival_id, *vectors, body=body)])
    return outcome


def memory() -> MemoryCatalogue:
    """An empty catalogue."""
    return MemoryCatalogue("catalogue-test", DIMENSION)


def states(catalogue: Catalogue) -> Mapping[str, set[PointState]]:
    """For each arrival with points, their states."""
    found: dict[str, set[PointState]] = {}
    for batch in catalogue.scroll():
        for point in batch:
            if point.arrival_id is not None:
                found.setdefault(point.arrival_id, set()).add(point.state)
    return found
