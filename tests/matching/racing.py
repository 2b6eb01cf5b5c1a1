"""Garments, arrivals and the verdict of a race; shared by threads and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tests.matching.make import CALIBRATION, FINGERPRINT, Recorder, points_of
from tests.matching.make import PLAN as UNFILTERED
from worker.catalogue.protocol import Catalogue, Point, PointState
from worker.errors import TwinInFlight
from worker.events import Attributes
from worker.matching.record import Record
from worker.matching.requests import Alert, Settled, SettleOutcome, SettleRequest
from worker.matching.settle import Settler
from worker.matching.tools import SettleTools
from worker.settings import MatchingSettings

# Two random directions of so many dimensions have a cosine of 0 with a standard deviation of 1/16: thousands of garments, none alike.
RACE_DIMENSION = 256
# Searches are narrowed by what an arrival knows: those that know and those that do not must still see each other.
PLAN = replace(UNFILTERED, filter_attributes=("category",))
__all__ = ["FINGERPRINT", "RACE_DIMENSION", "Entry", "live", "photos", "verdict"]


Outcomes = Mapping[str, SettleOutcome]


@dataclass(frozen=True)
class Entry:
    """One arrival of a race: `photos` photos, the first of which shows the garment as its twins do.

    `category` is the garment's, where this arrival knows it; twins never know different ones.
    """

    arrival_id: str
    garment: int
    photos: int = 1
    category: str | None = None

    @property
    def attributes(self) -> Attributes:
        """As its event has them."""
        return Attributes(category=self.category)


def photos(entry: Entry) -> list[npt.NDArray[np.float32]]:
    """The garment's own direction with this arrival's noise; further photos show what no other arrival shows."""
    seed = sum(ord(letter) * 31**n for n, letter in enumerate(entry.arrival_id)) % 2**32
    noise = np.random.default_rng((1, seed)).standard_normal((entry.photos, RACE_DIMENSION))
    vectors = noise.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = np.random.default_rng((2, entry.garment)).standard_normal(RACE_DIMENSION).astype(np.float32)
    vectors[0] = own / np.linalg.norm(own) + 0.22 * vectors[0]
    return [np.asarray(vector / np.linalg.norm(vector), dtype=np.float32) for vector in vectors]


def live(
    catalogue: Catalogue, batch: Sequence[Entry], settings: MatchingSettings, tools: SettleTools
) -> dict[str, SettleOutcome]:
    """One life of a worker with one micro-batch: search and settle until nobody waits any more."""
    stage = Settler(catalogue, CALIBRATION, settings, PLAN, tools)
    outcomes: dict[str, SettleOutcome] = {}
    left = list(batch)
    while left:
        vectors = {entry: photos(entry) for entry in left}
        found = iter(catalogue.search([q for e in left for q in PLAN.queries(e.arrival_id, vectors[e], e.attributes)]))
        tools.between("searched", ())
        requests = [
            SettleRequest(
                entry.arrival_id,
                f"body of {entry.arrival_id}",
                points_of(entry.arrival_id, vectors[entry], entry.attributes),
                tuple(tuple(next(found)) for _ in vectors[entry]),
                Recorder(),
                attributes=entry.attributes,
            )
            for entry in left
        ]
        decided = dict(zip(left, stage.settle(requests), strict=True))
        outcomes |= {entry.arrival_id: one for entry, one in decided.items()}
        left = [entry for entry, one in decided.items() if isinstance(one, TwinInFlight)]
    tools.between("decided", ())
    return outcomes


def verdict(catalogue: Catalogue, entries: Sequence[Entry], outcomes: Outcomes, *, bounded: bool) -> str | None:
    """What is wrong with a finished race; None if nothing is. `bounded`: arrivals may have alerted because of the bound."""
    groups = [{entry.arrival_id for entry in entries if entry.garment == one.garment} for one in entries]
    points = catalogue.points_of_arrivals([entry.arrival_id for entry in entries])
    problems = [
        *(_wrong_outcomes(names, outcomes, bounded=bounded) for names in groups),
        *(_wrong_points(entry, points.get(entry.arrival_id, []), outcomes[entry.arrival_id]) for entry in entries),
    ]
    return next((problem for problem in problems if problem), None)


def _wrong_outcomes(names: set[str], outcomes: Outcomes, *, bounded: bool) -> str | None:
    """Of one garment's arrivals one is new; each other one's alert names it, or another twin it met in flight."""
    new = {name for name in names if isinstance(outcomes[name], Settled)}
    if len(new) != 1 and not (bounded and not new):
        return f"{len(new)} articles of one garment: {outcomes}"
    for name in names - new:
        outcome = outcomes[name]
        if not isinstance(outcome, Alert):
            return f"{name} ended as {outcome}"
        overdue = outcome.decision.reason.startswith("Arrival ")
        peers = {one.article_id for one in outcome.decision.candidates if one.similarity >= CALIBRATION.review_threshold}
        wanted = {f"article-{other}" for other in (names - {name} if overdue and bounded else new)}
        if not peers & wanted:
            return f"the alert of {name} names neither article nor twin: {outcome}"
    return None


def _wrong_points(entry: Entry, found: Sequence[Point], outcome: SettleOutcome) -> str | None:
    """Inserts and articles are the same, photo by photo; nothing else is left."""
    if not isinstance(outcome, Settled):
        return f"orphans of {entry.arrival_id}: {found}" if found else None
    events = [Record.from_text(point.record, entry.arrival_id).event for point in found if point.state is PointState.SETTLED]
    whole = len(found) == entry.photos and events == [outcome.event] * entry.photos
    return None if whole else f"an insert of {entry.arrival_id} without its article: {found}"
