"""From pixels to a model's input, as the row says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from worker.vision.rows import InputSpec
from worker.vision.types import ByteArray, FloatArray

WHITE = 255


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the photo lies in the model's input: (left, top) and (width, height), in the input's pixels."""

    left: int
    top: int
    width: int
    height: int


def place(height: int, width: int, spec: InputSpec) -> Placement:
    """Where a photo of this size goes."""
    if spec.resize == "stretch":
        return Placement(0, 0, spec.width, spec.height)
    scale = min(spec.width / width, spec.height / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Placement((spec.width - inner[0]) // 2, (spec.height - inner[1]) // 2, *inner)


def resize(rgb: ByteArray, spec: InputSpec) -> ByteArray:
    """(spec.height, spec.width, 3) uint8; letterboxed on white where the row says so."""
    at = place(rgb.shape[0], rgb.shape[1], spec)
    # INTER_AREA averages along a side that shrinks (anything else aliases a fabric's weave into a pattern) and interpolates along one
    # that grows.
    inner = cv2.resize(rgb, (at.width, at.height), interpolation=cv2.INTER_AREA)
    if (at.width, at.height) == (spec.width, spec.height):
        return np.asarray(inner, np.uint8)
    canvas = np.full((spec.height, spec.width, 3), WHITE, np.uint8)
    canvas[at.top : at.top + at.height, at.left : at.left + at.width] = inner
    return canvas


def to_input(rgb: ByteArray, spec: InputSpec) -> npt.NDArray[Any]:
    """One photo as one element of the input batch."""
    pixels = resize(rgb, spec)
    if spec.dtype == "uint8":
        return pixels if spec.layout == "nhwc" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    scale = {"unit": 1 / 255, "photo-max": 1 / max(1, int(pixels.max())), "byte": 1.0}[spec.range]
    # One multiply and one add a pixel: (x * scale - mean) / std.
    std = np.asarray(spec.std, np.float32)
    values: FloatArray = pixels * (np.float32(scale) / std) - np.asarray(spec.mean, np.float32) / std
    return values if spec.layout == "nhwc" else np.ascontiguousarray(values.transpose(2, 0, 1))


def from_output(plane: FloatArray, height: int, width: int, spec: InputSpec) -> ByteArray:
    """A segmenter's plane (any size, 0..1) as alpha of a photo of this size."""
    alpha = (np.clip(plane, 0.0, 1.0) * WHITE + 0.5).astype(np.uint8)
    at = place(height, width, spec)
    if (at.width, at.height) != (spec.width, spec.height):
        y, x = alpha.shape[0] / spec.height, alpha.shape[1] / spec.width
        alpha = alpha[
            round(at.top * y) : max(round(at.top * y) + 1, round((at.top + at.height) * y)),
            round(at.left * x) : max(round(at.left * x) + 1, round((at.left + at.width) * x)),
        ]
    return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
