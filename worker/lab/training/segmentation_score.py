"""Held-out figures of a segmenter that gives a share of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from worker.lab.training.segmentation_data import Kind, Sample
from worker.lab.training.segmentation_metrics import boundary_f, class_ious, confusion, garment_mask, iou
from worker.vision.garment_classes import CLASSES, GARMENTS
from worker.vision.preprocess import resize
from worker.vision.rows import InputSpec
from worker.vision.types import ByteArray, FloatArray

HALF = 0.5
KINDS: tuple[Kind, ...] = ("street", "flat", "phone")  # of photos that are judged
# (spec.height, spec.width, 3) uint8 to (classes, any h, any w) shares.
Labeller = Callable[[ByteArray], FloatArray]


def judge(labeller: Labeller, samples: Sequence[Sample], spec: InputSpec) -> dict[str, float]:
    """IoU of each class and their mean (street photos, all pixels together), foreground IoU and boundary F (means over photos).

    `score` is what training keeps the best of: the mean of `miou`, `flat_iou` and, where studio photos on floors are judged, `phone_iou`.
    """
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    rest: dict[str, list[float]] = {f"{kind}_{what}": [] for kind in KINDS for what in ("iou", "boundary_f")}
    for sample in samples:
        shares = at_size(labeller(resize(sample.rgb, spec)), sample.rgb.shape[0], sample.rgb.shape[1])
        garment = shares[list(GARMENTS)].sum(0) > HALF
        truth = sample.alpha > 255 * HALF
        if sample.kind == "street":
            found = shares.argmax(0).astype(np.uint8)
            counts += confusion(sample.label, found)
            truth = garment_mask(sample.label)
        rest[f"{sample.kind}_iou"].append(iou(truth, garment))
        rest[f"{sample.kind}_boundary_f"].append(boundary_f(truth, garment))
    ious = class_ious(counts)
    figures = {name: float(np.mean(values)) for name, values in rest.items() if values}
    figures |= {f"iou_{name}": value for name, value in ious.items()}
    if ious:
        figures["miou"] = float(np.mean(list(ious.values())))
    figures["score"] = float(np.mean([figures[name] for name in ("miou", "flat_iou", "phone_iou") if name in figures]))
    return figures


def at_size(shares: FloatArray, height: int, width: int) -> FloatArray:
    """(classes, h, w) shares at another size."""
    planes = cv2.resize(np.ascontiguousarray(shares.transpose(1, 2, 0)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.asarray(planes, np.float32).transpose(2, 0, 1))
