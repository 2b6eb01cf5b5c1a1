"""What is calibrated on: which lines of a manifest, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass, replace

from worker.errors import ConfigurationError
from worker.lab.manifest import Manifest, ManifestLine
from worker.lab.splits import PARTS, fold_of, part_of_style, style_of

STYLE_RULES = ("hyphen", "article")
ALL = "all"
BACKGROUND = "(background)"

# One group in three (a style with all its colours, or the photo of a garment that no article is) is kept for the check.
CHECKED_OF = 3
FOLDS = 5
# Without a background set, one unseen garment in four serves as one, and for nothing else.
COHORT_OF = 4
# Mean and spread of fewer similarities say little: the spread of 30 is known to within 13 %.
FEWEST_IN_COHORT = 30
# A style that holds more than this share of the articles is none: the names were split in the wrong place.
LARGEST_STYLE = 0.5
FEWEST_FOR_STYLES = 10


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What is asked for.

    Attributes:
        wanted_duplicates: at most this share of garments that are not in the catalogue may be called duplicates: each would be booked
            as stock of another article until someone counts.
        wanted_reviews: at most this share of them may be called review or duplicate. A look costs seconds; a duplicate that is missed
            is a second article for good.
        known: share of arrivals that are in the catalogue; the probabilities hold for it.
        kinds: kinds of queries whose articles are known that stand for arrivals; empty: all.
        queries: most queries, drawn evenly from every kind by their paths; None: all.
        part: `all`, or the part of the styles (see `splits`) that known queries come from: those the models were not trained on.
        style: `hyphen`: articles are colours of a style, ``style-colour``; `article`: names tell no style.
    """

    wanted_duplicates: float = 0.01
    wanted_reviews: float = 0.3
    known: float = 0.5
    kinds: tuple[str, ...] = ()
    queries: int | None = None
    part: str = ALL
    style: str = "hyphen"

    def __post_init__(self) -> None:
        if not 0 < self.wanted_duplicates <= self.wanted_reviews < 1:
            raise ConfigurationError(
                "wanted rates are shares above 0 and below 1, and reviews (duplicates among them) not fewer than duplicates"
            )
        if not 0 < self.known < 1:
            raise ConfigurationError("the share of arrivals that are in the catalogue is above 0 and below 1")
        if self.part not in {ALL, *PARTS}:
            raise ConfigurationError(f"there is no part {self.part!r}; there are {', '.join((ALL, *PARTS))}")
        if self.style not in STYLE_RULES:
            raise ConfigurationError(f"there is no style rule {self.style!r}; there are {', '.join(STYLE_RULES)}")

    def style_of(self, article: str) -> str:
        """Style of an article."""
        return style_of(article) if self.style == "hyphen" else article


@dataclass(frozen=True, slots=True)
class Plan:
    """A manifest whose last `cohort` lines are the background set (queries of the kind `BACKGROUND`)."""

    manifest: Manifest
    cohort: int
    cohort_from: str


def make_plan(manifest: Manifest, background: Manifest | None, options: CalibrateOptions) -> Plan:
    """Choose the lines.

    Raises:
        ConfigurationError: a kind is not there, or nothing is left.
    """
    _check(manifest, options)
    kept = [line for line in manifest.lines if line.role == "catalogue" or _wanted(manifest, line, options)]
    if options.queries is not None:
        kept = _drawn(kept, options.queries)
    if background is not None:
        cohort = [ManifestLine(location, "", "query", BACKGROUND) for location in dict.fromkeys(background.locations)]
        return Plan(replace(manifest, lines=(*kept, *cohort)), len(cohort), "the background set")
    spare = [
        line for line in kept if manifest.unseen(line) and fold_of(group_of(manifest, line, options), COHORT_OF, "cohort") == 0
    ]
    if len(spare) < FEWEST_IN_COHORT:
        return Plan(replace(manifest, lines=tuple(kept)), 0, "")
    rest = [line for line in kept if line not in spare]
    cohort = [replace(line, kind=BACKGROUND) for line in spare]
    return Plan(
        replace(manifest, lines=(*rest, *cohort)), len(cohort), "one in four of the unseen garments, which serve for nothing else"
    )


def group_of(manifest: Manifest, line: ManifestLine, options: CalibrateOptions) -> str:
    """What is never divided: the style of an article, or the photo of a garment that has none."""
    return options.style_of(line.item_id) if line.item_id else manifest.location(line)


def _wanted(manifest: Manifest, line: ManifestLine, options: CalibrateOptions) -> bool:
    if manifest.unseen(line):
        return True
    if options.kinds and line.kind not in options.kinds:
        return False
    return options.part == ALL or part_of_style(options.style_of(line.item_id)) == options.part


def _drawn(lines: list[ManifestLine], most: int) -> list[ManifestLine]:
    """The same share of each kind of queries, by a draw that is the same every time."""
    queries = [line for line in lines if line.role == "query"]
    if len(queries) <= most:
        return lines
    kinds: dict[str, list[ManifestLine]] = {}
    for line in sorted(queries, key=lambda line: (fold_of(line.path, 2**32, "draw"), line.path)):
        kinds.setdefault(line.kind, []).append(line)
    chosen = {line for kind in kinds.values() for line in kind[: max(1, round(len(kind) * most / len(queries)))]}
    return [line for line in lines if line.role == "catalogue" or line in chosen]


def _check(manifest: Manifest, options: CalibrateOptions) -> None:
    there = sorted({line.kind for line in manifest.lines if line.role == "query" and not manifest.unseen(line)})
    missing = [kind for kind in options.kinds if kind not in there]
    if missing:
        raise ConfigurationError(f"no query of a known article has the kind {', '.join(missing)}; there are {', '.join(there)}")
    styles: dict[str, int] = {}
    for article in manifest.articles:
        styles[options.style_of(article)] = styles.get(options.style_of(article), 0) + 1
    largest = max(styles, key=lambda name: styles[name], default="")
    if len(manifest.articles) >= FEWEST_FOR_STYLES and styles[largest] > LARGEST_STYLE * len(manifest.articles):
        raise ConfigurationError(
            f"{styles[largest]} of {len(manifest.articles)} articles would be of the style {largest!r}: their names do not tell styles; "
            "give --style article"
        )
