"""What a tagger is judged by. Probabilities are (photos, classes) float32, truths (photos,) class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.lab.tagging.data import IntArray
from worker.vision.types import FloatArray

DoubleArray = npt.NDArray[np.float64]
TOPS = (1, 3, 5)
# Of a curve that people look at: more points than a chart's pixels say nothing more.
CURVE_POINTS = 200
# A tagger is sure from the probability above which this share of its answers was right. A wrong flag costs a person a look.
SURE_SHARE = 0.98
# Fewer answers than this above a probability do not show such a share.
SURE_ANSWERS = 50
_TEMPERATURES = np.geomspace(0.25, 4.0, 81)
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often photos of one class were taken for another."""

    truth: str
    answer: str
    photos: int
    share: float


def ranks(probabilities: FloatArray, truths: IntArray) -> IntArray:
    """Place of the right class, 0 for the first; of equally probable classes the right one stands last."""
    own = probabilities[np.arange(len(truths)), truths]
    return (probabilities >= own[:, None]).sum(1) - 1


def top_shares(probabilities: FloatArray, truths: IntArray, tops: Sequence[int] = TOPS) -> dict[int, float]:
    """Share of photos whose right class is among the first k."""
    places = ranks(probabilities, truths)
    return {k: float((places < k).mean()) if len(places) else float("nan") for k in tops}


def confusion_matrix(answers: IntArray, truths: IntArray, classes: int) -> IntArray:
    """(classes, classes) counts: rows are truths, columns answers."""
    return np.bincount(truths * classes + answers, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def f1_scores(matrix: IntArray) -> DoubleArray:
    """F1 of each class; 0 where nothing of it was found, NaN for a class without photos."""
    right = np.diag(matrix).astype(float)
    both = matrix.sum(0) + matrix.sum(1)
    scores = np.divide(2 * right, both, out=np.zeros(len(matrix)), where=both > 0)
    return np.where(matrix.sum(1) > 0, scores, np.nan)


def hardest(matrix: IntArray, labels: Sequence[str], count: int = 10) -> list[Confusion]:
    """The classes that are most often taken for another."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:count]
    pairs = [(int(at) // len(matrix), int(at) % len(matrix)) for at in order]
    return [
        Confusion(labels[truth], labels[answer], int(wrong[truth, answer]), float(wrong[truth, answer] / matrix[truth].sum()))
        for truth, answer in pairs
        if wrong[truth, answer]
    ]


def precision_recall(scores: FloatArray, positive: npt.NDArray[np.bool_]) -> tuple[list[tuple[float, float]], float]:
    """(recall, precision) at every threshold that something reaches, thinned, and the average precision.

    Photos that score the same come in together: a threshold cannot tell them apart.
    """
    if not positive.any():
        return [], float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    right = np.cumsum(positive[order])[ends]
    recall, precision = right / positive.sum(), right / (ends + 1)
    average = float((np.diff(recall, prepend=0.0) * precision).sum())
    shown = np.arange(len(ends))
    if len(ends) > CURVE_POINTS:
        # Evenly along the photos and along the recall: nearly all of a rare class comes with the first few photos.
        photos = np.linspace(0, len(ends) - 1, CURVE_POINTS // 2).round().astype(int)
        shown = np.union1d(photos, np.searchsorted(recall, np.linspace(recall[0], 1, CURVE_POINTS // 2)))
    return [(float(recall[at]), float(precision[at])) for at in shown], average


def temperature(logits: FloatArray, truths: IntArray) -> float:
    """What logits are divided by so that probabilities are shares of right answers: the smallest negative log-likelihood.

    Guo et al., "On Calibration of Modern Neural Networks" (2017).
    """
    return float(min(_TEMPERATURES, key=lambda t: _likelihood(logits / t, truths)))


def softmax(logits: FloatArray) -> FloatArray:
    """Rows that add up to 1."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)


def sure_from(probabilities: FloatArray, truths: IntArray, share: float = SURE_SHARE) -> float:
    """The lowest probability from which `share` of the answers are right; 1 where none is."""
    best = probabilities.max(1)
    right = probabilities.argmax(1) == truths
    order = np.argsort(-best, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((shares >= share) & (np.arange(1, len(order) + 1) >= SURE_ANSWERS))
    return float(best[order[good[-1]]]) if len(good) else 1.0


def _likelihood(logits: FloatArray, truths: IntArray) -> float:
    return float(-np.log(softmax(logits)[np.arange(len(truths)), truths] + _SMALLEST).mean())
