"""Fewer numbers from many: principal components, and scores of attribute classifiers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from worker.errors import ConfigurationError
from worker.lab.method import Pca, Reduction
from worker.vision.types import FloatArray

DoubleArray = npt.NDArray[np.float64]
# A direction with less than this share of the largest variance is rounding.
NUMERIC_RANK = 1e-12
SVM_SEED = 0
SVM_ROUNDS = 10_000
# Yam 2018 put a photo into a class by hand; a value that fewer articles have teaches nothing.
SVM_LEAST = 5

Attributes = Mapping[str, Mapping[str, str]]
"""Attribute values (attribute to value) by item_id."""


class Reducer(Protocol):
    """A fitted reduction."""

    @property
    def dimension(self) -> int:
        """Numbers it leaves."""

    def apply(self, vectors: FloatArray) -> FloatArray:
        """(n, d) to (n, dimension) float32; a row of NaN stays one."""


@dataclass(frozen=True, slots=True, eq=False)
class PrincipalComponents:
    """Mean (d,), axes (d, k) of unit length, strongest first, and the share of the variance each keeps, all float64."""

    mean: DoubleArray
    axes: DoubleArray
    shares: DoubleArray

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return int(self.axes.shape[1])

    def apply(self, vectors: FloatArray) -> FloatArray:
        """As `Reducer.apply`."""
        return np.asarray((vectors.astype(np.float64) - self.mean) @ self.axes, np.float32)


def fit_pca(vectors: FloatArray, wanted: Pca) -> PrincipalComponents:
    """Principal components of (n, d) vectors: the fewest that keep the share, or the count that is asked for.

    Raises:
        ConfigurationError: there are too few vectors to have that many components.
    """
    if len(vectors) < 2:
        raise ConfigurationError(f"principal components are fitted on two photos or more; there are {len(vectors)}")
    x = vectors.astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    # Of the two products the smaller one has all the variances.
    wide = x.shape[1] > len(x)
    values, directions = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    values, directions = values[::-1], directions[:, ::-1]
    rank = int((values > NUMERIC_RANK * max(float(values[0]), 1e-300)).sum())
    if rank == 0:
        raise ConfigurationError("principal components cannot be fitted: all photos have the same vector")
    kept = np.maximum(values[:rank], 0)
    shares = kept / kept.sum()
    if wanted.count is not None:
        if wanted.count > rank:
            raise ConfigurationError(
                f"pca{wanted.count}d: {len(vectors)} photos have only {rank} components; ask for fewer, or fit on more (--fit MANIFEST)"
            )
        count = wanted.count
    else:
        share = wanted.share or 1.0
        count = min(rank, int(np.searchsorted(np.cumsum(shares), share - 1e-12)) + 1)
    axes = directions[:, :count]
    if wide:
        axes = (x.T @ axes) / np.sqrt(kept[:count])
    # An eigenvector's sign is arbitrary and differs between LAPACKs: its largest entry is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return PrincipalComponents(mean, np.ascontiguousarray(axes), shares[:count])


@dataclass(frozen=True, slots=True, eq=False)
class AttributeScores:
    """Linear classifiers' distances from their planes: weights (d, k), offsets (k,), over standardised features; one column a value."""

    mean: DoubleArray
    spread: DoubleArray
    weights: DoubleArray
    offsets: DoubleArray
    names: tuple[str, ...]

    @property
    def dimension(self) -> int:
        """Number of values that were learned."""
        return len(self.names)

    def apply(self, vectors: FloatArray) -> FloatArray:
        """As `Reducer.apply`."""
        return np.asarray(((vectors - self.mean) / self.spread) @ self.weights + self.offsets, np.float32)


def fit_svm(vectors: FloatArray, items: Sequence[str], attributes: Attributes) -> AttributeScores:
    """A linear SVM for each value of each attribute against the other values, on photos whose item has the attribute.

    Raises:
        ConfigurationError: scikit-learn is missing, or no attribute has two values with enough photos.
    """
    try:
        from sklearn.svm import LinearSVC  # noqa: PLC0415  part of the lab's extra
    except ImportError as error:
        raise ConfigurationError("svm needs scikit-learn: pip install 'intake-worker[lab]'") from error
    mean, spread = vectors.mean(axis=0, dtype=np.float64), np.maximum(vectors.std(axis=0, dtype=np.float64), 1e-9)
    standard = (vectors - mean) / spread
    names, weights, offsets = [], [], []
    for attribute in sorted({name for values in attributes.values() for name in values}):
        have = [number for number, item in enumerate(items) if attributes.get(item, {}).get(attribute)]
        values = np.array([attributes[items[number]][attribute] for number in have])
        for value in sorted(set(values.tolist())):
            right = values == value
            if min(int(right.sum()), int((~right).sum())) < SVM_LEAST:
                continue
            model: Any = LinearSVC(C=0.01, class_weight="balanced", random_state=SVM_SEED, max_iter=SVM_ROUNDS)
            model.fit(standard[have], right)
            names.append(f"{attribute}={value}")
            weights.append(model.coef_[0])
            offsets.append(float(model.intercept_[0]))
    if not names:
        raise ConfigurationError(
            f"svm: no attribute has two values with {SVM_LEAST} photos each; give --attributes a CSV with a column item_id and a column for each attribute"
        )
    return AttributeScores(mean, spread, np.stack(weights, axis=1), np.asarray(offsets), tuple(names))


def read_attributes(path: Path) -> dict[str, dict[str, str]]:
    """A CSV with a column item_id, each other column being an attribute; empty cells are unknown.

    Raises:
        ConfigurationError: it cannot be read or has no such column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if "item_id" not in (reader.fieldnames or ()):
                raise ConfigurationError(f"{path} has no column item_id")
            return {
                row["item_id"]: {name: value for name, value in row.items() if name != "item_id" and name and value}
                for row in reader
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"cannot read attributes from {path}: {error}") from error


def fit_reducer(wanted: Reduction, vectors: FloatArray, items: Sequence[str], attributes: Attributes) -> Reducer:
    """Fit what a method names, on rows that hold a vector."""
    if isinstance(wanted, Pca):
        return fit_pca(vectors, wanted)
    return fit_svm(vectors, items, attributes)
