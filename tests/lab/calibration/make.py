"""Worlds whose truth is known: cases with scores, and manifests with vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.lab.test_evaluation import loaded
from worker.lab.calibration.cases import KNOWN, NEW_STYLE, STRANGER, Cases
from worker.lab.calibration.measure import CalibrationResult, calibrate
from worker.lab.calibration.plan import FOLDS, CalibrateOptions, Plan, make_plan
from worker.lab.embed import EmbeddedManifest
from worker.lab.embedding import Cost
from worker.lab.manifest import Manifest, ManifestLine
from worker.lab.metrics import DoubleArray

DIMENSION = 24


def cases_where(
    truth: Callable[[DoubleArray], DoubleArray], count: int, seed: int, z_norm: DoubleArray | None = None, population: str = KNOWN
) -> Cases:
    """One candidate a case, of a similarity between -0.2 and 1; the same article with the probability that `truth` gives."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.2, 1.0, count)
    same = rng.random(count) < truth(x)
    z = x if z_norm is None else z_norm
    return Cases(
        population=np.full(count, population, dtype="<U16"),
        kind=np.full(count, "phone"),
        group=np.array([f"g{n}" for n in range(count)]),
        checked=np.zeros(count, np.bool_),
        fold=np.arange(count, dtype=np.int64) % FOLDS,
        similarity=x.astype(np.float32)[:, None],
        z_norm=z.astype(np.float32)[:, None],
        s_norm=z.astype(np.float32)[:, None],
        same=same[:, None],
    )


def unseen_cases(strangers: DoubleArray, new_styles: DoubleArray) -> Cases:
    """Garments that are not in the catalogue, by their best similarity."""
    best = np.concatenate([strangers, new_styles]).astype(np.float32)[:, None]
    count = len(best)
    return Cases(
        population=np.array([STRANGER] * len(strangers) + [NEW_STYLE] * len(new_styles), dtype="<U16"),
        kind=np.full(count, "phone"),
        group=np.array([f"g{n}" for n in range(count)]),
        checked=np.zeros(count, np.bool_),
        fold=np.arange(count, dtype=np.int64) % FOLDS,
        similarity=best,
        z_norm=best,
        s_norm=best,
        same=np.zeros((count, 1), np.bool_),
    )


def shop(styles: int = 60, unseen: int = 240, seed: int = 0, base: float = 0.0, noise: float = 0.5) -> EmbeddedManifest:
    """Two colours a style, two queries each, and unseen garments.

    Args:
        base: how much queries (and the catalogue) share of one direction, each query another amount: their similarities to everything
            then differ from query to query, which says nothing about what they show.
    """
    rng = np.random.default_rng(seed)
    shared = np.zeros(DIMENSION)
    shared[0] = 1.0
    lines, rows = [], []

    def add(name: str, item: str, role: str, kind: str, vector: DoubleArray, *, query: bool) -> None:
        lines.append(ManifestLine(name, item, "query" if query else "catalogue", kind))
        amount = base * (rng.exponential(2.0) if query else 2.0)
        rows.append(vector + shared * amount * np.sqrt(DIMENSION))

    for style in range(styles):
        direction = rng.normal(size=DIMENSION)
        for colour in ("blue", "red"):
            vector = direction + rng.normal(size=DIMENSION) * 0.7
            item = f"shop-s{style:02d}-{colour}"
            add(f"studio/{item}.jpg", item, "catalogue", "studio", vector, query=False)
            for kind, factor in (("phone", 1.0), ("harsh phone", 2.0)):
                add(f"{kind}/{item}.jpg", item, "query", kind, vector + rng.normal(size=DIMENSION) * noise * factor, query=True)
    for number in range(unseen):
        add(f"unseen/{number}.jpg", "", "query", "other shop", rng.normal(size=DIMENSION), query=True)
    manifest = Manifest(tuple(lines), Path("/photos"))
    return EmbeddedManifest(manifest, loaded("none+gist:cosine"), np.array(rows, np.float32), {}, Cost(1.0, 1.0))


def planned(item: EmbeddedManifest, options: CalibrateOptions) -> tuple[EmbeddedManifest, Plan]:
    """The lines that a plan keeps, with their vectors."""
    plan = make_plan(item.manifest, None, options)
    place = {line.path: number for number, line in enumerate(item.manifest.lines)}
    vectors = item.vectors[[place[line.path] for line in plan.manifest.lines]]
    return EmbeddedManifest(plan.manifest, item.loaded, vectors, item.faults, item.cost), plan


def calibrated(item: EmbeddedManifest, options: CalibrateOptions | None = None) -> CalibrationResult:
    """Everything about a shop."""
    wanted = options or CalibrateOptions()
    return calibrate(*planned(item, wanted), wanted)
