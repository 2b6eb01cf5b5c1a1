"""Articles a scenario draws from: those of the catalogue, new ones, and new colourways of catalogue styles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.simulate.arrays import child_rng
from worker.simulate.garments import MAX_COLOURWAYS, garment
from worker.simulate.photos import Drawn, RealPhoto, Source

# How many colourways of one style a drawn catalogue holds, with their shares.
_COLOURWAYS = {1: 0.6, 2: 0.25, 3: 0.15}
# Style seeds of one scenario; the next scenario seed begins beyond them.
_SEEDS = 1_000_000
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
# File names of studio photos end with what they show; these are fronts.
FRONT_VIEWS = ("front", "main")
VIEWS = (*FRONT_VIEWS, "back", "alt", "alt1", "alt2", "side", "detail", "label")


@dataclass(frozen=True, slots=True)
class Article:
    """An article, with a picture source for each view it can be seen from; ``front`` is always there."""

    article_id: str
    views: Mapping[str, Source]
    attributes: Mapping[str, str] = field(default_factory=dict)
    near: str | None = None


@dataclass(slots=True)
class Stock:
    """What a scenario may use. `fresh` and `colourways` are used up: the same garment is new only once."""

    catalogue: tuple[Article, ...]
    fresh: list[Article]
    colourways: list[Article]


def drawn_article(seed: int, colourway: int, near: str | None = None) -> Article:
    """A drawn garment as an article."""
    drawn = garment(seed, colourway)
    return Article(
        article_id=_drawn_id(seed, colourway),
        views={"front": Drawn(seed, colourway, "front"), "back": Drawn(seed, colourway, "back")},
        attributes={"category": drawn.category.value, "colour": drawn.colour},
        near=near,
    )


def _drawn_id(seed: int, colourway: int) -> str:
    return f"drawn-{seed:07d}-{colourway}"


def drawn_stock(seed: int, catalogue_size: int, fresh: int, colourways: int) -> Stock:
    """A stock of drawn garments.

    Args:
        seed: of the scenario.
        catalogue_size: articles in the catalogue, some of them colourways of one style.
        fresh: new articles, each of a style of its own.
        colourways: new articles that are colourways of catalogue styles; no more than the styles have colours left.
    """
    rng = child_rng(seed, 1)
    next_seed = seed * _SEEDS
    catalogue: list[Article] = []
    left: list[tuple[int, int]] = []
    while len(catalogue) < catalogue_size:
        count = int(rng.choice(list(_COLOURWAYS), p=list(_COLOURWAYS.values())))
        count = min(count, catalogue_size - len(catalogue))
        catalogue += [drawn_article(next_seed, colourway) for colourway in range(count)]
        left += [(next_seed, colourway) for colourway in range(count, MAX_COLOURWAYS)]
        next_seed += 1
    # First one more colour of each style, then the second more: spread over the catalogue.
    order = sorted(range(len(left)), key=lambda i: (left[i][1], int(rng.integers(2**31))))
    chosen = [left[i] for i in order[:colourways]]
    return Stock(
        catalogue=tuple(catalogue),
        fresh=[drawn_article(next_seed + i, 0) for i in range(fresh)],
        colourways=[drawn_article(style, colourway, near=_drawn_id(style, 0)) for style, colourway in chosen],
    )


def read_articles(folder: Path) -> list[Article]:
    """Articles of a folder of real studio photos.

    A sub-folder is one article, its files are views named after what they show. A file is one article, unless its name ends with
    a view (``shirt-blue_back.jpg``): then files that share the rest are one article.

    Raises:
        ValueError: the folder holds no photo.
    """
    views: dict[str, dict[str, Source]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        inside = path.relative_to(folder)
        if len(inside.parts) > 1:
            article, view = inside.parts[0], path.stem.lower()
        else:
            stem, underscore, last = path.stem.rpartition("_")
            article, view = (stem, last.lower()) if underscore and last.lower() in VIEWS else (path.stem, "front")
        views[article]["front" if view in FRONT_VIEWS else view] = RealPhoto(str(path))
    articles = []
    for name, seen in views.items():
        if "front" not in seen:
            first = next(iter(seen))
            seen["front"] = seen[first]
        articles.append(Article(article_id=_plain_id(name), views=dict(seen)))
    if not articles:
        raise ValueError(f"{folder}: no photo ({', '.join(sorted(SUFFIXES))}) to simulate from")
    return articles


def _plain_id(name: str) -> str:
    """A name as an identifier of the events: visible ASCII without separators."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._:@+=-") else "-" for c in name).lstrip("._:@+=-")
    return plain[:128] or "article"


def folder_stock(folder: Path, seed: int, kept_out: float = 0.4) -> Stock:
    """A stock of real studio photos: styles are kept out of the catalogue as new, and single colours of the rest.

    Two articles are colourways of one style if their names differ only after the last hyphen (``ms01-black``, ``ms01-blue``).

    Args:
        folder: see `read_articles`.
        seed: decides what is kept out.
        kept_out: share of the styles that are kept out whole; of the others with several colours, the same share loses one.
    """
    styles: dict[str, list[Article]] = defaultdict(list)
    for article in read_articles(folder):
        styles[article.article_id.rpartition("-")[0] or article.article_id].append(article)
    rng = child_rng(seed, 2)
    names = [str(name) for name in rng.permutation(sorted(styles))]
    out = round(len(names) * kept_out)
    # One article of a style kept out is new; its colourways would be near it, so that only one of a style is used.
    fresh = [styles[name][0] for name in names[:out]]
    catalogue: list[Article] = []
    colourways: list[Article] = []
    for name in names[out:]:
        colours = styles[name]
        if len(colours) > 1 and rng.random() < kept_out:
            spare = colours[int(rng.integers(len(colours)))]
            colours = [article for article in colours if article is not spare]
            colourways.append(Article(spare.article_id, spare.views, spare.attributes, near=colours[0].article_id))
        catalogue += colours
    if not catalogue:
        raise ValueError(f"{folder}: too few articles for a catalogue; give at least two of different styles")
    return Stock(tuple(catalogue), fresh, colourways)
