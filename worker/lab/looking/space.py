"""The space in which maps and clusters are made: Euclid's, so that nearness there is nearness by the method's distance."""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import numpy.typing as npt

from worker.errors import ConfigurationError
from worker.lab.method import Distance, Pca
from worker.lab.reduction import fit_pca
from worker.vision.types import FloatArray

DoubleArray = npt.NDArray[np.float64]
Metric = Literal["euclidean", "manhattan"]
# What van der Maaten and Hinton (2008, section 4.2) reduce to before t-SNE: noise goes, neighbours stay, and it takes seconds.
MOST_COMPONENTS = 50
_ALL_VARIANCE = 0.9999


def space_of(vectors: FloatArray, distance: Distance) -> tuple[DoubleArray, Metric]:
    """Vectors (n, d) float32 without NaN as points (n, e) float64, and what measures them.

    The cosine becomes Euclid's distance between vectors of length 1 (which orders pairs alike); both are turned to their at most
    `MOST_COMPONENTS` strongest principal components. L1 has no such turn: its vectors stay as they are.

    Raises:
        ConfigurationError: all photos have the same vector.
    """
    if distance == "l1":
        return vectors.astype(np.float64), "manhattan"
    points = vectors
    if distance == "cosine":
        points = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    turned = fit_pca(points, Pca(share=_ALL_VARIANCE)).apply(points)
    return np.asarray(turned[:, :MOST_COMPONENTS], np.float64), "euclidean"


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, so that the last digits, which such methods blow up to whole pictures, are the same in every run.

    Raises:
        ConfigurationError: scikit-learn, which brings what this needs, is missing.
    """
    try:
        from threadpoolctl import threadpool_limits  # noqa: PLC0415  comes with scikit-learn
    except ImportError as error:
        raise ConfigurationError("looking at embeddings needs scikit-learn: pip install 'intake-worker[lab]'") from error
    with threadpool_limits(limits=1):
        yield
