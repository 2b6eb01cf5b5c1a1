"""Measure what a similarity means for a pair of models, and store it: thresholds and a curve, as a file the registry reads.

``python -m worker.lab.calibrate_pair --shop FOLDER [--shop FOLDER ...] --phone FOLDER --table images.csv``: shops hold studio photos
``<style>-<colour>_<view>.jpg``, the phone folder real phone photos of garments that no shop has (``<image>.jpg``; columns image,
sender_id in the table). Similarity is the cosine of the best pair of photos, as the worker decides by.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from tqdm import tqdm

from worker.lab.pair_photos import GROUNDS, Embedded, Sample, embed_samples, shop_samples, style, unseen_samples
from worker.settings import load_settings
from worker.vision.calibration import Calibration, Curve
from worker.vision.load import load_models
from worker.vision.registry import PAIRS, package_dir
from worker.vision.types import FloatArray

# Of garments that are not in the catalogue, at most this share may be called duplicates: each would be lost as stock of another
# article until someone counts.
FALSE_DUPLICATES = 0.01
# And about this share may cost a person a look.
FALSE_REVIEWS = 0.08
UNSEEN = 700
CANDIDATES = 10  # a query's candidates that the curve is fitted on: those a person sees
ISOTONIC_POINTS = 24


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """A kind of query searched in the catalogue: similarity of each query to each article, best pair of photos.

    Attributes:
        similarity: (queries, articles) float32.
        same: (queries, articles) bool.
        sibling: (queries, articles) bool, of the same style but another article.
    """

    similarity: FloatArray
    same: np.ndarray[Any, np.dtype[np.bool_]]
    sibling: np.ndarray[Any, np.dtype[np.bool_]]


def search(queries: Embedded, catalogue: Embedded) -> Search:
    """Search every query in the whole catalogue (every shop's)."""
    similarity = queries.vectors @ catalogue.vectors.T
    articles = [(sample.shop, sample.article) for sample in catalogue.samples]
    same = np.array([[(q.shop, q.article) == article for article in articles] for q in queries.samples], bool)
    sibling = np.array(
        [[q.shop == shop and style(q.article) == style(article) for shop, article in articles] for q in queries.samples], bool
    )
    return Search(similarity, same, sibling & ~same)


def best(similarity: FloatArray, *, without: np.ndarray[Any, np.dtype[np.bool_]] | None = None) -> FloatArray:
    """Each query's best similarity, leaving out what `without` marks."""
    kept = similarity if without is None else np.where(without, -1.0, similarity).astype(np.float32)
    return np.asarray(kept.max(axis=1), np.float32)


def thresholds(unseen: FloatArray) -> tuple[float, float]:
    """(duplicate, review): what `FALSE_DUPLICATES` and `FALSE_REVIEWS` of the best similarities of unseen garments reach."""
    duplicate, review = np.quantile(unseen, [1 - FALSE_DUPLICATES, 1 - FALSE_REVIEWS], method="higher")
    return float(np.nextafter(duplicate, 2, dtype=np.float64)), float(review)


def candidate_pairs(found: Search) -> tuple[FloatArray, FloatArray]:
    """(similarity, 1.0 if the same article) of each query's best candidates."""
    order = np.argsort(-found.similarity, axis=1)[:, :CANDIDATES]
    x = np.take_along_axis(found.similarity, order, axis=1)
    y = np.take_along_axis(found.same, order, axis=1)
    return x.ravel(), y.ravel().astype(np.float32)


def fit(x: FloatArray, y: FloatArray, weight: FloatArray, kind: str) -> Curve:
    """A curve through labelled pairs: `logistic`, or `points` (isotonic regression)."""
    if kind == "logistic":
        model = LogisticRegression(C=1e6).fit(x[:, None], y, sample_weight=weight)
        return Curve(kind="logistic", slope=round(float(model.coef_[0, 0]), 4), intercept=round(float(model.intercept_[0]), 4))
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y, sample_weight=weight)
    grid = np.quantile(x, np.linspace(0, 1, ISOTONIC_POINTS))
    grid = np.unique(np.round(grid, 4))
    return Curve(
        kind="points", points=tuple((float(at), float(round(p, 4))) for at, p in zip(grid, isotonic.predict(grid), strict=True))
    )


def fit_best(x: FloatArray, y: FloatArray, weight: FloatArray, groups: np.ndarray[Any, np.dtype[np.int64]]) -> Curve:
    """The kind of curve with the lower log loss on the other half of the groups (styles), fitted on everything."""
    losses = {}
    for kind in ("logistic", "points"):
        total = 0.0
        for half in (0, 1):
            train, test = groups % 2 != half, groups % 2 == half
            curve = fit(x[train], y[train], weight[train], kind)
            probability = np.clip([curve.probability(float(s)) for s in x[test]], 1e-3, 1 - 1e-3)
            total += float(log_loss(y[test], probability, sample_weight=weight[test]))
        losses[kind] = total
    return fit(x, y, weight, min(losses, key=losses.__getitem__))


def calibrate(embedded: Embedded, segmenter: str, embedder: str, data: str) -> Calibration:
    """Thresholds, curve and the rates they give on these photos."""
    catalogue, kinds = embedded.select("catalogue"), sorted({sample.kind for sample in embedded.samples} - {"catalogue"})
    found = {kind: search(embedded.select(kind), catalogue) for kind in kinds}
    duplicate, review = thresholds(best(found["unseen"].similarity))
    rates: dict[str, float] = {}
    for kind in kinds:
        one = found[kind]
        top = best(one.similarity)
        right = one.same[np.arange(len(top)), one.similarity.argmax(axis=1)]
        if kind != "unseen":
            rates[f"{kind}: found first"] = float(right.mean())
            rates[f"{kind}: right and duplicate"] = float((right & (top >= duplicate)).mean())
        rates[f"{kind}: duplicate"] = float((top >= duplicate).mean())
        rates[f"{kind}: review or duplicate"] = float((top >= review).mean())
    # The same phone shots as if their article, or its whole style, were new to the catalogue.
    phone = found["phone-mild"]
    for name, without in (("new colourway", phone.same), ("new style", phone.same | phone.sibling)):
        top = best(phone.similarity, without=without)
        rates[f"{name}: duplicate"] = float((top >= duplicate).mean())
        rates[f"{name}: review or duplicate"] = float((top >= review).mean())
    return Calibration(
        segmenter=segmenter,
        embedder=embedder,
        measured=datetime.now(UTC).date(),
        duplicate_threshold=round(duplicate, 4),
        review_threshold=round(review, 4),
        curve=_curve(embedded, found),
        data=data,
        counts={kind: len(embedded.select(kind).samples) for kind in ("catalogue", *kinds)},
        rates={name: round(value, 4) for name, value in rates.items()},
    )


def _curve(embedded: Embedded, found: dict[str, Search]) -> Curve:
    """From candidates of simulated phone shots and of unseen garments, half of the weight each: a warehouse's guess of the mix."""
    xs, ys, weights, groups = [], [], [], []
    for kind, share in (("phone-mild", 0.25), ("phone-harsh", 0.25), ("unseen", 0.5)):
        x, y = candidate_pairs(found[kind])
        samples = embedded.select(kind).samples
        names = [style(sample.article) or sample.path.name for sample in samples]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        xs.append(x)
        ys.append(y)
        weights.append(np.full(len(x), share / len(x), np.float32))
        groups.append(np.repeat([numbers[name] for name in names], len(x) // len(samples)))
    weight = np.concatenate(weights)
    return fit_best(np.concatenate(xs), np.concatenate(ys), weight * len(weight), np.concatenate(groups))


def collect(options: Any) -> tuple[Embedded, str, str]:
    """Embed everything the options name with the models the settings name."""
    models = load_models(load_settings().vision)
    samples: list[Sample] = [sample for shop in options.shop for sample in shop_samples(shop)]
    samples += unseen_samples(options.phone, options.table, options.unseen)
    unseen = {sample.path for sample in samples if sample.kind == "unseen"}
    grounds = [path for path in sorted(options.phone.glob("*.jpg")) if path not in unseen][:GROUNDS]
    pairs = list(tqdm(embed_samples(samples, models, grounds), total=len(samples), mininterval=20))
    return Embedded(tuple(s for s, _ in pairs), np.stack([v for _, v in pairs])), models.segmenter_id, models.embedder_id


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, action="append", required=True)
    parser.add_argument("--phone", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--unseen", type=int, default=UNSEEN, help="how many phone photos of unseen garments")
    parser.add_argument("--output", type=Path, default=package_dir() / PAIRS, help="folder that gets the pair's file")
    options = parser.parse_args(arguments)
    embedded, segmenter, embedder = collect(options)
    data = (
        f"studio photos of {', '.join(shop.name for shop in options.shop)}; phone photos of {options.phone.name}; simulated shots"
    )
    pair = calibrate(embedded, segmenter, embedder, data)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{segmenter}+{embedder}.json"
    path.write_text(pair.model_dump_json(indent=2, exclude_none=True, exclude_defaults=True) + "\n", encoding="utf-8")
    print(f"{path}\n{pair.model_dump_json(indent=2, exclude_none=True)}")  # noqa: T201


if __name__ == "__main__":
    main()
