"""`intake lab calibrate`: one method on one manifest, from vectors to everything that is reported and stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.calibration import Curve
from worker.lab.calibration.cases import KNOWN, NEW_COLOURWAY, NORMALISATIONS, RAW, UNSEEN, Cases, make_cases
from worker.lab.calibration.curves import Choice, Variant, choose, one_thread, pairs_of_cases
from worker.lab.calibration.plan import CalibrateOptions, Plan, make_plan
from worker.lab.calibration.quality import ReliabilityBin, reliability
from worker.lab.calibration.thresholds import (
    ALL_UNSEEN,
    FITTED,
    HELD_OUT,
    RateRow,
    Thresholds,
    check_counts,
    fit_thresholds,
    rates,
)
from worker.lab.embed import EmbeddedManifest, FitOptions, Starter, embed_manifest, quiet
from worker.lab.embedding import PhotoBench
from worker.lab.manifest import Manifest
from worker.lab.method import Method
from worker.lab.metrics import DoubleArray
from worker.lab.models import OnnxDescriptor, Workbench
from worker.lab.search import BoolArray, search


@dataclass(frozen=True, slots=True)
class NormalisedRates:
    """What a score normalisation brings: thresholds fitted under it, and what they give on the part kept aside.

    Attributes:
        recognised: share of known garments called a duplicate of the right article; looked_at: whose right article comes first and
            that a person sees or that are called duplicates.
        duplicates, reviews: shares of garments not in the catalogue.
    """

    normalisation: str
    thresholds: Thresholds
    recognised: float
    looked_at: float
    duplicates: float
    reviews: float


@dataclass(frozen=True, slots=True)
class Distributions:
    """Best scores for drawing: of the right article, and of the likest wrong one where the garment is not in the catalogue."""

    same: tuple[float, ...]
    different: dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """Everything about one method.

    Attributes:
        counts: cases by population and part.
        cohort: photos in the background set, 0 where there was none; cohort_from: which they are.
        curve: what the worker uses (without normalisation).
        bins: reliability of that curve on the part kept aside.
        rates: of the thresholds, for both parts.
    """

    method: str
    segmenter: str
    descriptor: str
    distance: str
    articles: int
    counts: dict[str, dict[str, int]]
    unreadable: int
    cohort: int
    cohort_from: str
    options: CalibrateOptions
    variants: tuple[Variant, ...]
    chosen: Variant
    chosen_raw: Variant
    curve: Curve | None
    bins: tuple[ReliabilityBin, ...]
    thresholds: Thresholds
    rates: tuple[RateRow, ...]
    normalised: tuple[NormalisedRates, ...]
    distributions: Distributions

    def rate(self, name: str, part: str = HELD_OUT) -> RateRow:
        """The row with this name."""
        return next(row for row in self.rates if (row.name, row.part) == (name, part))

    @property
    def unseen_row(self) -> str:
        """Name of the row over every garment that is not in the catalogue."""
        names = [row.name for row in self.rates]
        return ALL_UNSEEN if ALL_UNSEEN in names else next(name for name in UNSEEN if name in names)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A result and what it came from."""

    result: CalibrationResult
    embedded: EmbeddedManifest
    registered: bool


def calibrate_methods(
    manifest: Manifest,
    background: Manifest | None,
    methods: Sequence[Method],
    workbench: Workbench,
    bench: PhotoBench,
    fit: FitOptions,
    options: CalibrateOptions,
    starter: Starter = quiet,
) -> list[Calibrated]:
    """Embed and calibrate each method. A method that cannot be loaded is found out before any photo is embedded.

    Raises:
        ConfigurationError: a part of a method is unknown, or the manifest holds too little; says what is missing.
        ModelError: a model cannot be had.
    """
    plan = make_plan(manifest, background, options)
    for method in methods:
        workbench.check(method)
    results = []
    for method in methods:
        embedded = embed_manifest(plan.manifest, workbench.load(method), bench, fit, starter)
        # What the worker runs: a model of the registry, its vectors as they come, compared by cosine.
        plain = isinstance(embedded.loaded.descriptor, OnnxDescriptor) and method.reduction is None
        registered = plain and embedded.loaded.distance == "cosine"
        results.append(Calibrated(calibrate(embedded, plan, options), embedded, registered))
    return results


def calibrate(embedded: EmbeddedManifest, plan: Plan, options: CalibrateOptions) -> CalibrationResult:
    """Everything from vectors.

    Raises:
        ConfigurationError: there are too few queries, or similarity says nothing.
    """
    loaded = embedded.loaded
    found = search(plan.manifest, embedded.vectors, loaded.distance)
    cases, cohort = make_cases(plan, embedded.vectors, found, loaded.distance, options)
    fit, check = cases.select(~cases.checked), cases.select(cases.checked)
    check_counts(fit, check, options)
    with one_thread():
        choice = choose(fit, check, options.known, normalised=cohort > 0)
    best = _best(fit, RAW)
    thresholds = fit_thresholds(fit, best[0], options)
    rows = [*rates(check, *_best(check, RAW), thresholds, HELD_OUT), *rates(fit, *best, thresholds, FITTED)]
    pairs = pairs_of_cases(check, RAW, options.known)
    bins = reliability(choice.fitted.probability(pairs.score), pairs.same, pairs.weight)
    return CalibrationResult(
        method=loaded.method.text,
        segmenter=loaded.segmenter.model_id,
        descriptor=loaded.descriptor.card.name,
        distance=loaded.distance,
        articles=len(found.articles),
        counts={part: dict(Counter(some.population.tolist())) for part, some in ((FITTED, fit), (HELD_OUT, check))},
        unreadable=len(embedded.faults),
        cohort=cohort,
        cohort_from=plan.cohort_from if cohort else "",
        options=options,
        variants=choice.variants,
        chosen=choice.chosen,
        chosen_raw=choice.chosen_raw,
        curve=_stored(choice, loaded.distance),
        bins=bins,
        thresholds=thresholds,
        rates=tuple(rows),
        normalised=tuple(_normalised(fit, check, name, options) for name in NORMALISATIONS if name == RAW or cohort),
        distributions=_distributions(cases),
    )


def _stored(choice: Choice, distance: str) -> Curve | None:
    return choice.fitted.stored() if distance == "cosine" else None


def _best(cases: Cases, normalisation: str) -> tuple[DoubleArray, BoolArray]:
    """(n,) the best score under a normalisation, and whether it is the right article's."""
    scores = np.where(np.isfinite(cases.similarity), cases.scores(normalisation), -np.inf).astype(np.float64)
    first = scores.argmax(axis=1)
    number = np.arange(len(cases))
    return scores[number, first], cases.same[number, first]


def _normalised(fit: Cases, check: Cases, name: str, options: CalibrateOptions) -> NormalisedRates:
    thresholds = fit_thresholds(fit, _best(fit, name)[0], options)
    scores, right = _best(check, name)
    known = check.of(KNOWN)
    unseen = [population for population in UNSEEN if check.of(population).any()]

    def over(value: float) -> float:
        return float(np.mean([(scores[check.of(population)] >= value).mean() for population in unseen]))

    return NormalisedRates(
        name,
        thresholds,
        float((right & (scores >= thresholds.duplicate))[known].mean()),
        float((right & (scores >= thresholds.review))[known].mean()),
        over(thresholds.duplicate),
        over(thresholds.review),
    )


def _distributions(cases: Cases) -> Distributions:
    right = cases.same & cases.of(KNOWN)[:, None]
    populations = (*UNSEEN, NEW_COLOURWAY)
    different = {name: tuple(cases.similarity[cases.of(name), 0].tolist()) for name in populations if cases.of(name).any()}
    return Distributions(tuple(cases.similarity[right].tolist()), different)
