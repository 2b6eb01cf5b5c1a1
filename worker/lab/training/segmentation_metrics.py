"""How well masks fit: IoU per class, foreground IoU, boundary F-score."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from worker.lab.training.segmentation_labels import GARMENT, IGNORE
from worker.vision.garment_classes import CLASSES, GARMENTS
from worker.vision.types import ByteArray

# Of the boundary F-score (Csurka et al., "What is a good evaluation measure for semantic segmentation?", 2013): how far apart two
# outlines may lie, as a share of the photo's diagonal.
BOUNDARY_TOLERANCE = 0.0075
BoolArray = npt.NDArray[np.bool_]
CountArray = npt.NDArray[np.int64]


def confusion(truth: ByteArray, found: ByteArray) -> CountArray:
    """(classes, classes) pixels by true and found class; pixels of no one true class are left out."""
    known = (truth != IGNORE) & (truth != GARMENT)
    count = len(CLASSES)
    pairs = truth[known].astype(np.int64) * count + found[known]
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def class_ious(counts: CountArray) -> dict[str, float]:
    """Intersection over union of each class that occurs, over all pixels counted."""
    hit = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    return {name: float(hit[i] / union[i]) for i, name in enumerate(CLASSES) if counts[i].sum()}


def iou(truth: BoolArray, found: BoolArray) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = int(np.count_nonzero(truth | found))
    return float(np.count_nonzero(truth & found)) / union if union else 1.0


def boundary_f(truth: BoolArray, found: BoolArray) -> float:
    """F-score of the outlines, 0..1: how much of each lies within the tolerance of the other."""
    reach = max(1, round(BOUNDARY_TOLERANCE * float(np.hypot(*truth.shape))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    one, two = _outline(truth), _outline(found)
    if not one.any() or not two.any():
        return float(one.any() == two.any())
    precision = float(np.mean(cv2.dilate(one, kernel)[two > 0]))
    recall = float(np.mean(cv2.dilate(two, kernel)[one > 0]))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def garment_mask(label: ByteArray) -> BoolArray:
    """Where any garment is."""
    return np.asarray(np.isin(label, (*GARMENTS, GARMENT)), np.bool_)


def _outline(mask: BoolArray) -> ByteArray:
    solid = mask.astype(np.uint8)
    return np.asarray(solid - cv2.erode(solid, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE), np.uint8)
