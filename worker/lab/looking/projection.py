"""Vectors on a plane: t-SNE (van der Maaten and Hinton 2008) and UMAP (McInnes, Healy and Melville 2018)."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from worker.errors import ConfigurationError
from worker.lab.looking.space import DoubleArray, Metric, one_thread, space_of
from worker.lab.method import Distance
from worker.vision.types import FloatArray

Projection = Literal["tsne", "umap"]
TITLES: dict[Projection, str] = {"tsne": "t-SNE", "umap": "UMAP"}
SEED = 0
# Fewer photos have no neighbourhoods that a plane could show.
LEAST = 5
# The usual ones; of few photos a third, so that a photo's neighbours are not everybody.
PERPLEXITY, NEIGHBOURS = 30.0, 15
# Size of the plane that t-SNE and UMAP begin on, as their authors have it.
TSNE_SPREAD, UMAP_SPREAD = 1e-4, 10.0


def projections(text: str) -> tuple[Projection, ...]:
    """The projections that `tsne`, `umap` or `both` names, each of them installed.

    Raises:
        ConfigurationError: there is none of this name, or a library is missing.
    """
    wanted: dict[str, tuple[Projection, ...]] = {"tsne": ("tsne",), "umap": ("umap",), "both": ("tsne", "umap")}
    if text not in wanted:
        raise ConfigurationError(f"there is no projection {text!r}; there are {', '.join(wanted)}")
    if find_spec("sklearn") is None:
        raise ConfigurationError("looking at embeddings needs scikit-learn: pip install 'intake-worker[lab]'")
    if "umap" in wanted[text] and find_spec("umap") is None:
        raise ConfigurationError(
            "the projection umap needs umap-learn (BSD-3-Clause), which is not installed: pip install 'umap-learn>=0.5.7,<0.6'; "
            "--projection tsne goes without it"
        )
    return wanted[text]


def project(vectors: FloatArray, distance: Distance, how: Projection) -> DoubleArray:
    """(n, 2) places on a plane, the longer side of which is 0..1; the same in every run.

    Both begin from the two strongest principal components instead of by chance, which keeps what is far apart far apart
    (Kobak and Berens 2019).

    Args:
        vectors: (n, d) float32 without NaN.
        distance: what compares them.
        how: which projection.

    Raises:
        ConfigurationError: there are fewer than `LEAST` photos, or all have the same vector.
    """
    if len(vectors) < LEAST:
        raise ConfigurationError(f"a map needs {LEAST} photos or more that can be read; there are {len(vectors)}")
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few photos both warn that there are few
        points, metric = space_of(vectors, distance)
        begin = _begin(points)
        placed = _tsne(points, metric, begin) if how == "tsne" else _umap(points, metric, begin)
    return centred(placed)


def centred(placed: DoubleArray) -> DoubleArray:
    """(n, 2) places moved and scaled so that the longer side is 0..1, and the middle 0.5."""
    low, high = placed.min(axis=0), placed.max(axis=0)
    return np.asarray((placed - (low + high) / 2) / max(float((high - low).max()), 1e-12) + 0.5, np.float64)


def _begin(points: DoubleArray) -> DoubleArray:
    """The first two principal components, of spread 1."""
    _, strength, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    flat = (points - points.mean(axis=0)) @ axes.T
    if flat.shape[1] < 2:
        flat = np.column_stack([flat[:, 0], np.zeros(len(flat))])
    return np.asarray(flat / max(float(strength[0]) / np.sqrt(len(points)), 1e-12), np.float64)


def _tsne(points: DoubleArray, metric: Metric, begin: DoubleArray) -> DoubleArray:
    from sklearn.manifold import TSNE  # noqa: PLC0415  part of the lab's extra

    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    model: Any = TSNE(
        perplexity=perplexity, metric=metric, init=(begin * TSNE_SPREAD).astype(np.float32), random_state=SEED, n_jobs=1
    )
    return np.asarray(model.fit_transform(points.astype(np.float32)), np.float64)


def _umap(points: DoubleArray, metric: Metric, begin: DoubleArray) -> DoubleArray:
    from umap import UMAP  # noqa: PLC0415  optional

    model: Any = UMAP(
        n_neighbors=min(NEIGHBOURS, len(points) - 1),
        metric=metric,
        init=(begin * UMAP_SPREAD / max(float(np.abs(begin).max()), 1e-12)).astype(np.float32),
        random_state=SEED,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(points.astype(np.float32)), np.float64)
