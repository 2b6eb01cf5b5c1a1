"""What the settle stage takes and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from worker.catalogue.protocol import Hit, Point
from worker.errors import CatalogueUnavailable, EventRefused, TwinInFlight
from worker.events import Attributes
from worker.matching.decision import Decision


@dataclass(frozen=True, slots=True, eq=False)
class SettleRequest:
    """One arrival that is to be decided.

    Attributes:
        arrival_id: of the event; also of every point in `points`.
        body_hash: identifies the event's body. The same id with another body is a conflict.
        points: one for each photo, in the event's order, with vectors; state and record are set here.
        hits: for each photo what the first search returned (`SearchPlan.queries`, a stage before).
        record: makes the `catalogue-insert` event (JSON text) of a `new` decision; called once, just before it is stored.
        attributes: what a search may be narrowed by.
        flags: what is known of the photos, such as ``photo-blurred``; goes into the decision.
    """

    arrival_id: str
    body_hash: str
    points: tuple[Point, ...]
    hits: tuple[tuple[Hit, ...], ...]
    record: Callable[[Decision], str]
    attributes: Attributes = field(default_factory=Attributes)
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """The arrival is a new article: its points are settled. Publish `event`, byte for byte.

    Attributes:
        event: the `catalogue-insert` event as stored with the points.
        replayed: it was settled in an earlier life; this is the decision recorded then.
    """

    event: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """The arrival is, or may be, an article that is there: it has no points in the catalogue.

    `overdue`: it waited for a twin in flight until the bound, and alerts instead.
    """

    decision: Decision
    overdue: bool = False


SettleOutcome = Settled | Alert | TwinInFlight | EventRefused | CatalogueUnavailable
