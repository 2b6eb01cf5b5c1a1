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

from worker.calibration import Curve, LogisticCurve, PointsCurve
from worker.lab.pair_photos import GROUNDS, Embedded, Sample, embed_samples, shop_samples, style, unseen_samples
from worker.settings import load_settings
from worker.vision.calibration import PairCalibration
from worker.vision.load import load_models
from worker.vision.registry import PAIRS, package_dir
from worker.vision.types import FloatArray

# What counts as a garment that is not in the catalogue is half real phone photos of other people's clothes, which look like nothing in a
# shop, and half the hardest case: phone shots of the shop's own articles searched as if their whole style were new. Measured on the
# first half alone the thresholds would call nearly every new style of a known range a duplicate.
#
# At most this share of them may be called duplicates: each would be booked as stock of another article until someone counts.
FALSE_DUPLICATES = 0.01
# About this share of them may cost a person a look. A look costs seconds, a duplicate that is missed is a second article for good: with the
# default models 15 % would miss one known article in six, 30 % one in ten.
FALSE_REVIEWS = 0.3
UNSEEN = 700
CANDIDATES = 10  # a query's candidates that the curve is fitted on: those a person sees
ISOTONIC_POINTS = 33
FEWEST = 20  # queries of a kind below which a rate says nothing


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


def thresholds(strangers: FloatArray, new_styles: FloatArray) -> tuple[float, float]:
    """(duplicate, review): what `FALSE_DUPLICATES` and `FALSE_REVIEWS` of garments that are not in the catalogue reach.

    The arguments are their best similarities, of both kinds; either kind has half of the weight.
    """
    values = np.concatenate([strangers, new_styles])
    weights = np.concatenate([np.full(len(part), 0.5 / len(part)) for part in (strangers, new_styles)])
    order = np.argsort(-values)
    reached = np.cumsum(weights[order])  # share of garments at or above each value, from the highest down
    duplicate, review = (float(values[order][np.searchsorted(reached, share)]) for share in (FALSE_DUPLICATES, FALSE_REVIEWS))
    return float(np.nextafter(duplicate, 2)), float(np.nextafter(review, 2))


def candidate_pairs(found: Search, *, new_style: bool = False) -> tuple[FloatArray, FloatArray]:
    """(similarity, 1.0 if the same article) of each query's best candidates, with `new_style` as if its style were new."""
    similarity = np.where(found.same | found.sibling, -1.0, found.similarity) if new_style else found.similarity
    order = np.argsort(-similarity, axis=1)[:, :CANDIDATES]
    x = np.take_along_axis(similarity, order, axis=1).astype(np.float32)
    y = np.take_along_axis(found.same & (similarity > -1), order, axis=1)
    return x.ravel(), y.ravel().astype(np.float32)


def fit(x: FloatArray, y: FloatArray, weight: FloatArray, kind: str) -> Curve:
    """A curve through labelled pairs: `logistic`, or `points` (isotonic regression)."""
    if kind == "logistic":
        model = LogisticRegression(C=1e6).fit(x[:, None], y, sample_weight=weight)
        return LogisticCurve(slope=round(float(model.coef_[0, 0]), 4), intercept=round(float(model.intercept_[0]), 4))
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y, sample_weight=weight)
    grid = np.round(np.linspace(float(x.min()), float(x.max()), ISOTONIC_POINTS), 4)
    return PointsCurve(points=tuple((float(at), round(float(p), 4)) for at, p in zip(grid, isotonic.predict(grid), strict=True)))


def fit_best(x: FloatArray, y: FloatArray, weight: FloatArray, groups: np.ndarray[Any, np.dtype[np.int64]]) -> Curve:
    """The kind of curve with the lower log loss on the other half of the groups (styles), fitted on everything."""
    losses = {}
    for kind in ("logistic", "points"):
        total = 0.0
        for half in (0, 1):
            train, test = groups % 2 != half, groups % 2 == half
            curve = fit(x[train], y[train], weight[train], kind)
            probability = np.clip([curve.at(float(s)) for s in x[test]], 1e-3, 1 - 1e-3)
            total += float(log_loss(y[test], probability, sample_weight=weight[test]))
        losses[kind] = total
    return fit(x, y, weight, min(losses, key=losses.__getitem__))


def calibrate(embedded: Embedded, segmenter: str, embedder: str, data: str) -> PairCalibration:
    """Thresholds, curve and the rates they give on these photos."""
    catalogue, kinds = embedded.select("catalogue"), sorted({sample.kind for sample in embedded.samples} - {"catalogue"})
    found = {kind: search(embedded.select(kind), catalogue) for kind in kinds}
    phone = found["phone-mild"]
    duplicate, review = thresholds(best(found["unseen"].similarity), best(phone.similarity, without=phone.same | phone.sibling))
    rates: dict[str, float] = {}
    for kind in kinds:
        one = found[kind]
        if len(one.similarity) < FEWEST:
            continue
        top = best(one.similarity)
        right = one.same[np.arange(len(top)), one.similarity.argmax(axis=1)]
        if kind != "unseen":
            rates[f"{kind}: found first"] = float(right.mean())
            rates[f"{kind}: right and duplicate"] = float((right & (top >= duplicate)).mean())
        rates[f"{kind}: duplicate"] = float((top >= duplicate).mean())
        rates[f"{kind}: review or duplicate"] = float((top >= review).mean())
    # The same phone shots as if their article, or its whole style, were new to the catalogue.
    for name, without in (("new colourway", phone.same), ("new style", phone.same | phone.sibling)):
        top = best(phone.similarity, without=without)
        rates[f"{name}: duplicate"] = float((top >= duplicate).mean())
        rates[f"{name}: review or duplicate"] = float((top >= review).mean())
    return PairCalibration(
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
    """From candidates of garments that are in the catalogue and of garments that are not, half of the weight each."""
    xs, ys, weights, groups = [], [], [], []
    for kind, new_style, share in (
        ("phone-mild", False, 0.35),
        ("phone-harsh", False, 0.15),
        ("phone-mild", True, 0.25),
        ("unseen", False, 0.25),
    ):
        x, y = candidate_pairs(found[kind], new_style=new_style)
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
    path.write_text(pair.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    print(f"{path}\n{pair.model_dump_json(indent=2, exclude_none=True)}")  # noqa: T201


if __name__ == "__main__":
    main()
