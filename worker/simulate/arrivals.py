"""A scenario: catalogue articles and arrivals with known truth, from a seed. Nothing is drawn until it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from worker.errors import Reason
from worker.simulate.arrays import Rng, child_rng
from worker.simulate.photos import Shot, SimulatedPhoto
from worker.simulate.spoiling import RIGHT_REASONS, Spoiling
from worker.simulate.stock import Article, Stock, drawn_stock, folder_stock
from worker.simulate.truth import Kind, Truth

HONEST = (Kind.NEW, Kind.REPHOTOGRAPHED, Kind.COLOURWAY, Kind.BACK, Kind.MULTI)
FAULTY = (Kind.TWIN, Kind.CORRUPT, Kind.MISSING, Kind.REPEAT)
DEFAULT_MIX: dict[Kind, float] = {
    Kind.NEW: 0.42, Kind.REPHOTOGRAPHED: 0.36, Kind.COLOURWAY: 0.1, Kind.BACK: 0.06, Kind.MULTI: 0.06,
}  # fmt: skip
DEFAULT_FAULTS: dict[Kind, float] = {Kind.TWIN: 0.06, Kind.CORRUPT: 0.04, Kind.MISSING: 0.02, Kind.REPEAT: 0.04}
# A repeated event comes at least this many arrivals after the first, as far as there are that many.
_REPEAT_DISTANCE = 5


class ScenarioOptions(BaseModel):
    """What a scenario is made of. The same options give the same scenario, photo for photo.

    Attributes:
        seed: of everything drawn.
        catalogue_size: articles in the catalogue (drawn garments only; a folder has what it has).
        count: arrivals sent, faults and repeats included.
        mix: weights of the honest kinds among what the faults leave.
        faults: shares of `count` for twins (both of a pair are counted), corrupt and missing photos, and repeats.
        burst: share of the arrivals that come in bursts rather than evenly.
        burst_size: arrivals that come at the same moment in a burst.
        rate: arrivals a second, on average.
        shots: weights of the ways phone photos are taken.
        catalogue_backs: share of the catalogue articles that are shown from the back too.
        run: tag in every arrival id, so that two runs on one Kafka do not collide.
        folder: real studio photos instead of drawings.
        backgrounds: real phone photos whose margins garments are laid on, instead of drawn backgrounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    catalogue_size: int = Field(default=200, ge=1)
    count: int = Field(default=100, ge=1)
    mix: Mapping[Kind, float] = Field(default_factory=lambda: dict(DEFAULT_MIX))
    faults: Mapping[Kind, float] = Field(default_factory=dict)
    burst: float = Field(default=0.0, ge=0, le=1)
    burst_size: int = Field(default=10, ge=2)
    rate: float = Field(default=10.0, gt=0)
    shots: Mapping[Shot, float] = Field(default_factory=lambda: {Shot.MILD: 1.0})
    catalogue_backs: float = Field(default=0.3, ge=0, le=1)
    run: str = Field(default="sim", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    folder: Path | None = None
    backgrounds: tuple[str, ...] = ()

    @field_validator("mix", "faults", "shots")
    @classmethod
    def _weights_are_not_negative(cls, value: Mapping[Kind, float]) -> Mapping[Kind, float]:
        if any(weight < 0 for weight in value.values()):
            raise ValueError("shares must not be negative")
        return value

    @model_validator(mode="after")
    def _kinds_are_where_they_belong(self) -> Self:
        if not set(self.mix) <= set(HONEST):
            raise ValueError(f"mix takes {', '.join(HONEST)}; the others are faults")
        if not set(self.faults) <= set(FAULTY):
            raise ValueError(f"faults takes {', '.join(FAULTY)}")
        if sum(self.mix.values()) <= 0:
            raise ValueError("mix must have a weight above zero")
        if sum(self.faults.values()) > 1:
            raise ValueError("faults add up to more than all arrivals")
        if Shot.STUDIO in self.shots or sum(self.shots.values()) <= 0:
            raise ValueError("shots takes mild, harsh and second, one of them above zero")
        return self


@dataclass(frozen=True, slots=True)
class CatalogueArticle:
    """An article to be loaded into the catalogue before the arrivals."""

    article_id: str
    photos: tuple[SimulatedPhoto, ...]
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SimulatedArrival:
    """One event to be sent.

    Attributes:
        arrival_id: of the event.
        photos: to be uploaded and named in the event.
        attributes: of the event.
        due_s: seconds after the start at which it is sent.
        truth: what is true about it.
        uploaded: False: the photos are named, but are not there.
        repeated: True: the event of this id is sent again; there is nothing to upload.
    """

    arrival_id: str
    photos: tuple[SimulatedPhoto, ...]
    attributes: Mapping[str, str]
    due_s: float
    truth: Truth
    uploaded: bool = True
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A catalogue and what arrives, in the order of sending."""

    options: ScenarioOptions
    catalogue: tuple[CatalogueArticle, ...]
    arrivals: tuple[SimulatedArrival, ...]

    @property
    def truths(self) -> list[Truth]:
        """The truth of every arrival, in order."""
        return [arrival.truth for arrival in self.arrivals]


def build_scenario(options: ScenarioOptions) -> Scenario:
    """Decide on every article, arrival and photo.

    With a folder the kinds are bound by what it holds: what cannot be had (no garment left that is new, no colourway, no back
    view) becomes `re-photographed`.

    Raises:
        ValueError: the folder holds no photos, or too few.
    """
    counts = kind_counts(options)
    fresh = counts[Kind.NEW] + counts[Kind.TWIN] // 2
    if options.folder is not None:
        stock = folder_stock(options.folder, options.seed)
    else:
        stock = drawn_stock(options.seed, options.catalogue_size, fresh, counts[Kind.COLOURWAY])
    return _Builder(options, stock).build(counts)


def kind_counts(options: ScenarioOptions) -> dict[Kind, int]:
    """How many arrivals of each kind: shares of the count, rounded so that they add up to it; twins are even."""
    counts = dict.fromkeys(Kind, 0)
    for kind, share in options.faults.items():
        counts[kind] = round(share * options.count)
    counts[Kind.TWIN] -= counts[Kind.TWIN] % 2
    left = max(0, options.count - sum(counts.values()))
    total = sum(options.mix.values())
    exact = {kind: left * weight / total for kind, weight in options.mix.items()}
    for kind, value in exact.items():
        counts[kind] = int(value)
    rest = left - sum(counts[kind] for kind in exact)
    for kind in sorted(exact, key=lambda k: (counts[k] - exact[k], k))[:rest]:
        counts[kind] += 1
    return counts


class _Builder:
    """Holds the generators while a scenario is put together."""

    def __init__(self, options: ScenarioOptions, stock: Stock) -> None:
        self._options = options
        self._stock = stock
        self._rng: Rng = child_rng(options.seed, 3)
        self._number = 0
        self._spoilings = list(Spoiling)
        backs = self._rng.random(len(stock.catalogue)) < options.catalogue_backs
        self._catalogue = tuple(self._shown(article, bool(back)) for article, back in zip(stock.catalogue, backs, strict=True))
        shown_back = {article.article_id for article in self._catalogue if len(article.photos) > 1}
        self._seen_from_behind = [a for a in stock.catalogue if "back" in a.views and a.article_id not in shown_back]

    def build(self, counts: Mapping[Kind, int]) -> Scenario:
        groups: list[list[SimulatedArrival]] = []
        for kind in (*HONEST, Kind.CORRUPT, Kind.MISSING):
            groups += [[self._arrival(kind)] for _ in range(counts[kind])]
        groups += [self._twins() for _ in range(counts[Kind.TWIN] // 2)]
        order = self._rng.permutation(len(groups))
        arrivals = [arrival for i in order for arrival in groups[int(i)]]
        arrivals = self._with_repeats(arrivals, counts[Kind.REPEAT])
        return Scenario(self._options, self._catalogue, tuple(self._timed(arrivals)))

    def _shown(self, article: Article, back: bool) -> CatalogueArticle:
        views = ["front", "back"] if back and "back" in article.views else ["front"]
        photos = tuple(SimulatedPhoto(view, article.views[view], Shot.STUDIO, (self._options.seed, 4)) for view in views)
        return CatalogueArticle(article.article_id, photos, article.attributes)

    def _arrival(self, kind: Kind) -> SimulatedArrival:
        if kind is Kind.NEW and self._stock.fresh:
            return self._of(self._stock.fresh.pop(), ("front",), Kind.NEW)
        if kind is Kind.COLOURWAY and self._stock.colourways:
            return self._of(self._stock.colourways.pop(), ("front",), Kind.COLOURWAY)
        if kind is Kind.BACK and self._seen_from_behind:
            return self._of(self._any(self._seen_from_behind), ("back",), Kind.BACK)
        article = self._any(self._stock.catalogue)
        if kind is Kind.MULTI and len(article.views) > 1:
            other = "back" if "back" in article.views else next(view for view in article.views if view != "front")
            return self._of(article, ("front", other), kind)
        if kind in {Kind.CORRUPT, Kind.MISSING}:
            return self._of(article, ("front",), kind)
        return self._of(article, ("front",), Kind.REPHOTOGRAPHED)

    def _any(self, articles: tuple[Article, ...] | list[Article]) -> Article:
        return articles[int(self._rng.integers(len(articles)))]

    def _of(self, article: Article, views: tuple[str, ...], kind: Kind, twin: str | None = None) -> SimulatedArrival:
        arrival_id = self._next_id()
        spoiling = self._next_spoiling() if kind is Kind.CORRUPT else None
        photos = tuple(self._photo(article, view, spoiling) for view in views)
        if kind in {Kind.CORRUPT, Kind.MISSING}:
            reasons = (Reason.PHOTO_MISSING,) if spoiling is None else RIGHT_REASONS[spoiling]
            truth = Truth(arrival_id=arrival_id, kind=kind, expected="dead-letter", reasons=tuple(r.value for r in reasons))
        elif kind in {Kind.NEW, Kind.COLOURWAY, Kind.TWIN}:
            truth = Truth(arrival_id=arrival_id, kind=kind, expected="new", near=article.near, twin=twin)
        else:
            truth = Truth(arrival_id=arrival_id, kind=kind, expected="found", article_id=article.article_id)
        truth = truth.model_copy(update={"severity": photos[0].shot.value})
        return SimulatedArrival(arrival_id, photos, article.attributes, 0.0, truth, uploaded=kind is not Kind.MISSING)

    def _twins(self) -> list[SimulatedArrival]:
        if not self._stock.fresh:
            return [self._arrival(Kind.REPHOTOGRAPHED), self._arrival(Kind.REPHOTOGRAPHED)]
        article = self._stock.fresh.pop()
        first = self._of(article, ("front",), Kind.TWIN)
        second = self._of(article, ("front",), Kind.TWIN, twin=first.arrival_id)
        return [replace(first, truth=first.truth.model_copy(update={"twin": second.arrival_id})), second]

    def _photo(self, article: Article, view: str, spoiling: Spoiling | None) -> SimulatedPhoto:
        weights = self._options.shots
        total = sum(weights.values())
        shot = list(weights)[int(self._rng.choice(len(weights), p=[w / total for w in weights.values()]))]
        key = (self._options.seed, 5, self._number, int(self._rng.integers(2**31)))
        return SimulatedPhoto(view, article.views[view], shot, key, spoiling, self._options.backgrounds)

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._options.run}-{self._number:06d}"

    def _next_spoiling(self) -> Spoiling:
        # In turn, so that a few corrupt photos already show every way.
        self._spoilings.append(self._spoilings.pop(0))
        return self._spoilings[-1]

    def _with_repeats(self, arrivals: list[SimulatedArrival], count: int) -> list[SimulatedArrival]:
        """Send some events again. Dead letters are of records, not of arrivals: faulty events are not repeated."""
        sound = [i for i, arrival in enumerate(arrivals) if arrival.truth.expected != "dead-letter"]
        for i in sorted((int(i) for i in self._rng.permutation(sound)[:count]), reverse=True):
            original = arrivals[i]
            at = min(len(arrivals), i + _REPEAT_DISTANCE + int(self._rng.integers(max(1, len(arrivals) - i))))
            truth = original.truth.model_copy(update={"kind": Kind.REPEAT})
            if at < len(arrivals) and arrivals[at].truth.twin == arrivals[at - 1].arrival_id:
                at += 1  # never between two twins
            arrivals.insert(at, replace(original, truth=truth, repeated=True))
        return arrivals

    def _timed(self, arrivals: list[SimulatedArrival]) -> list[SimulatedArrival]:
        """Spread over time at the rate; in a burst all come at its first moment, twins always together."""
        options = self._options
        timed: list[SimulatedArrival] = []
        burst_left, burst_at = 0, 0.0
        # Chance that an arrival outside a burst begins one, so that `burst` of all arrivals are in bursts.
        begins = options.burst / (options.burst + options.burst_size * (1 - options.burst))
        for i, arrival in enumerate(arrivals):
            due = i / options.rate
            if burst_left:
                due, burst_left = burst_at, burst_left - 1
            elif self._rng.random() < begins:
                burst_left, burst_at = options.burst_size - 1, due
            previous = timed[-1] if timed else None
            if previous and arrival.truth.twin == previous.arrival_id:
                due = previous.due_s
            timed.append(replace(arrival, due_s=due))
        return timed
