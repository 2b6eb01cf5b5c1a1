"""One method on one manifest: everything that is reported, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from worker.lab.embed import EmbeddedManifest
from worker.lab.metrics import (
    SEED,
    TOPS,
    Curves,
    Resampler,
    alert_threshold,
    chance_average_precision,
    chance_within,
    curves,
    pairs_of,
    within,
)
from worker.lab.search import BoolArray, Found, search

ALL = "all"
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """Part of a kind, by the manifest's category."""

    category: str
    queries: int
    top1: float
    top10: float


@dataclass(frozen=True, slots=True)
class KindResult:
    """Queries of one kind whose article is in the catalogue. Shares are 0..1.

    Attributes:
        top: share whose article is among the first k, by k; `top_interval` its 95 % bootstrap interval for k = 1.
        chance: the same if articles were in random order.
        mean_average_precision: over the photos of the right article, among all photos.
        found_at_1_percent: share whose article is first and at or above the similarity that 1 % of unseen garments reach; None
            where the manifest has no unseen garments.
        found_at_threshold: the same at the chosen threshold; None where none was chosen.
    """

    kind: str
    queries: int
    top: dict[int, float]
    top_interval: Interval
    chance: dict[int, float]
    mean_average_precision: float
    map_interval: Interval
    map_chance: float
    found_at_1_percent: float | None
    found_interval: Interval | None
    found_at_threshold: float | None
    curves: Curves | None
    categories: tuple[CategoryRow, ...]


@dataclass(frozen=True, slots=True)
class UnseenResult:
    """Queries of one kind whose garment is not in the catalogue: the share that would be alerted all the same."""

    kind: str
    queries: int
    median_best: float
    alerts_at_1_percent: float
    alerts_at_threshold: float | None


@dataclass(frozen=True, slots=True)
class CostResult:
    """What a photo costs.

    Attributes:
        segment_ms, describe_ms: median milliseconds, on the machine that embedded it.
        vector_mb: megabytes of its vector.
        model_mb: megabytes of the models' weights.
        dimension: length of the vector.
        memory_mb: the most resident memory while a photo goes through, above an idle process (see `worker.lab.memory`); None where it
            was not measured.
        loaded_mb: of it, what is there before the first photo.
    """

    segment_ms: float
    describe_ms: float
    vector_mb: float
    model_mb: float
    dimension: int
    memory_mb: float | None = None
    loaded_mb: float | None = None


@dataclass(frozen=True, slots=True)
class MethodResult:
    """A row of the table."""

    method: str
    segmenter: str
    descriptor: str
    distance: str
    weights: str
    random_weights: bool
    articles: int
    photos: int
    unreadable: int
    cost: CostResult
    threshold_at_1_percent: float | None
    threshold: float | None
    kinds: tuple[KindResult, ...]
    unseen: tuple[UnseenResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A result and what it was computed from, for reports."""

    result: MethodResult
    embedded: EmbeddedManifest
    found: Found


def evaluate(embedded: EmbeddedManifest, threshold: float | None = None) -> Evaluated:
    """Search and measure.

    Args:
        embedded: as `embed_manifest` gives it.
        threshold: similarity from which a candidate is called a duplicate; None: the calibrated one, where the method has one.

    Raises:
        ConfigurationError: the manifest has no queries or no catalogue.
    """
    manifest, loaded = embedded.manifest, embedded.loaded
    found = search(manifest, embedded.vectors, loaded.distance)
    chosen = loaded.threshold if threshold is None else threshold
    unseen = ~found.seen
    limit = alert_threshold(found.best[unseen])
    kinds = [manifest.lines[row].kind for row in found.rows]
    judge = _Judge(embedded, found, limit, chosen)
    names = list(dict.fromkeys(kind for kind, seen in zip(kinds, found.seen, strict=True) if seen))
    masks = {name: found.seen & np.array([kind == name for kind in kinds]) for name in names}
    if len(names) > 1:
        masks[ALL if ALL not in masks else f"({ALL})"] = found.seen
    card = loaded.descriptor.card
    result = MethodResult(
        method=loaded.method.text,
        segmenter=loaded.segmenter.model_id,
        descriptor=card.name,
        distance=loaded.distance,
        weights=card.weights,
        random_weights=card.random,
        articles=len(found.articles),
        photos=len(set(manifest.locations)),
        unreadable=len(embedded.faults),
        cost=CostResult(
            embedded.cost.segment_ms,
            embedded.cost.describe_ms,
            embedded.dimension * 4 / 1e6,
            (loaded.segmenter_bytes + card.model_bytes) / 1e6,
            embedded.dimension,
        ),
        threshold_at_1_percent=None if np.isnan(limit) else limit,
        threshold=chosen,
        kinds=tuple(judge.kind(name, mask) for name, mask in masks.items()),
        unseen=tuple(judge.unseen(name, unseen & np.array([k == name for k in kinds])) for name in _unseen_kinds(kinds, unseen)),
    )
    return Evaluated(result, embedded, found)


def _unseen_kinds(kinds: list[str], unseen: BoolArray) -> Iterable[str]:
    return dict.fromkeys(kind for kind, new in zip(kinds, unseen, strict=True) if new)


class _Judge:
    """The parts that kinds share."""

    def __init__(self, embedded: EmbeddedManifest, found: Found, limit: float, chosen: float | None) -> None:
        self._lines = [embedded.manifest.lines[row] for row in found.rows]
        self._found = found
        self._limit, self._chosen = limit, chosen
        self._best, self._rank = found.best, found.rank
        new = ~found.seen
        # Unseen garments are resampled too: the threshold is as uncertain as they are few.
        self._limits = (
            Resampler([""] * int(new.sum()), seed=SEED + 1).thresholds(self._best[new]) if new.any() else np.zeros(0, np.float64)
        )

    def kind(self, name: str, mask: BoolArray) -> KindResult:
        found, rank, best = self._found, self._rank[mask], self._best[mask]
        articles = len(found.articles)
        lines = [line for line, inside in zip(self._lines, mask, strict=True) if inside]
        resampler = Resampler([line.item_id for line in lines])
        first = within(rank, 1)
        precision = np.nan_to_num(found.average_precision[mask])
        at_limit = None if np.isnan(self._limit) else float((first & (best >= self._limit)).mean())
        at_chosen = None if self._chosen is None else float((first & (best >= self._chosen)).mean())
        interval = (
            resampler.interval_of((first & (best[None] >= self._limits[:, None])).astype(np.float64))
            if at_limit is not None
            else None
        )
        return KindResult(
            kind=name,
            queries=int(mask.sum()),
            top={k: float(within(rank, k).mean()) for k in TOPS},
            top_interval=resampler.interval(first),
            chance={k: chance_within(articles, k) for k in TOPS},
            mean_average_precision=float(precision.mean()),
            map_interval=resampler.interval(precision),
            map_chance=chance_average_precision(found.relevant[mask], found.candidates[mask]),
            found_at_1_percent=at_limit,
            found_interval=interval,
            found_at_threshold=at_chosen,
            curves=curves(pairs_of(found.similarity[mask], found.right[mask])),
            categories=self._categories([line.category for line in lines], mask),
        )

    def _categories(self, names: list[str], mask: BoolArray) -> tuple[CategoryRow, ...]:
        rank = self._rank[mask]
        rows = []
        for name in sorted({name for name in names if name}):
            own = rank[np.array([other == name for other in names])]
            rows.append(CategoryRow(name, len(own), float(within(own, 1).mean()), float(within(own, 10).mean())))
        return tuple(rows)

    def unseen(self, name: str, mask: BoolArray) -> UnseenResult:
        best = self._best[mask]
        readable = best[np.isfinite(best)]
        return UnseenResult(
            kind=name,
            queries=len(best),
            median_best=float(np.median(readable)) if len(readable) else float("nan"),
            alerts_at_1_percent=float((best >= self._limit).mean()),
            alerts_at_threshold=None if self._chosen is None else float((best >= self._chosen).mean()),
        )
