"""Segmenters: an ONNX model, GrabCut, and none. Each gives one mask a photo, of the photo's own size."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from worker.errors import ModelError
from worker.vision.choosing import garment_in_question, united
from worker.vision.garment_classes import CLASSES
from worker.vision.preprocess import from_output, resize, to_input
from worker.vision.rows import ModelRow, OutputSpec
from worker.vision.session import OnnxSession
from worker.vision.types import ByteArray, FloatArray, Mask

HALF = 128

# GrabCut (Rother et al. 2004), run without a user as paper 1 (Yam 2018, GrabCut run automatically) does: a frame around the photo
# is background, what lies inside may be garment, its middle probably is.
GRABCUT_SIDE = 256  # longer side it works at: its cost grows with the pixels, its colour models do not need them
GRABCUT_FRAME = 0.04  # width of the frame, share of each side
GRABCUT_CENTRE = 0.5  # side of the middle part, share of each side
GRABCUT_ROUNDS = 4
GRABCUT_SEED = 7  # of OpenCV's random numbers (k-means starts the colour models): the same photo gives the same mask


class OnnxSegmenter:
    """A segmentation model of the registry."""

    def __init__(self, row: ModelRow, session: OnnxSession, threads: int) -> None:
        """`threads` prepare and finish the photos of a batch side by side."""
        if row.input is None or row.output is None:
            raise ModelError(f"model {row.id} has no graph to run")
        self._row = row
        self._input = row.input
        self._output: OutputSpec = row.output
        self._session = session
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="segment")

    @property
    def model_id(self) -> str:
        """Registry id."""
        return self._row.id

    @property
    def classes(self) -> tuple[str, ...] | None:
        """What each channel is; None where the model knows no classes."""
        return self._output.classes

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        """As `Segmenter.segment`. A model without classes gives the same whatever `categories`."""
        if not photos:
            return []
        wanted = categories if categories is not None else [None] * len(photos)
        return list(self._pool.map(self._mask, self._run(photos), photos, wanted))

    def label(self, photos: Sequence[ByteArray]) -> list[ByteArray]:
        """One (h, w) uint8 a photo: the number of each pixel's class; without classes 255 for garment and 0 for the rest."""
        if not photos:
            return []
        return list(self._pool.map(self._labels, self._run(photos), photos))

    def _run(self, photos: Sequence[ByteArray]) -> FloatArray:
        batch = np.stack(list(self._pool.map(lambda photo: to_input(photo, self._input), photos)))
        return self._session.run({self._input.image: batch})

    def _mask(self, output: FloatArray, photo: ByteArray, category: str | None) -> Mask:
        if self._output.classes is None:
            plane = foreground(output, self._output)
        else:
            plane = garment_in_question(self._shares(output, photo), category)
        return mask_of(from_output(plane, photo.shape[0], photo.shape[1], self._input))

    def _shares(self, output: FloatArray, photo: ByteArray) -> FloatArray:
        # Beside what the network saw, margins included: colours and shares lie at the same places.
        return united(shares_of(output, self._output), resize(photo, self._input))

    def _labels(self, output: FloatArray, photo: ByteArray) -> ByteArray:
        height, width = photo.shape[:2]
        if self._output.classes is None:
            alpha = from_output(foreground(output, self._output), height, width, self._input)
            return np.where(alpha >= HALF, 255, 0).astype(np.uint8)
        planes = [from_output(plane, height, width, self._input) for plane in self._shares(output, photo)]
        return np.asarray(np.stack(planes).argmax(axis=0), np.uint8)


class GrabCutSegmenter:
    """OpenCV's GrabCut without a user. Needs no model file; finds what differs in colour from the photo's frame."""

    def __init__(self, row: ModelRow, threads: int) -> None:
        """`threads` photos are cut side by side."""
        self._row = row
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="grabcut")

    @property
    def model_id(self) -> str:
        """Registry id."""
        return self._row.id

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        """As `Segmenter.segment`. This one knows no classes: `categories` changes nothing."""
        del categories
        return list(self._pool.map(_grabcut, photos))


class NoSegmenter:
    """Takes the whole photo for the garment: for photos that are cut out already, and to measure what cutting out brings."""

    def __init__(self, row: ModelRow) -> None:
        """Needs nothing but its name."""
        self._row = row

    @property
    def model_id(self) -> str:
        """Registry id."""
        return self._row.id

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        """A full mask for each photo."""
        del categories
        return [Mask(alpha=np.full(photo.shape[:2], 255, np.uint8), coverage=1.0) for photo in photos]


def mask_of(alpha: ByteArray) -> Mask:
    """A mask with its coverage."""
    return Mask(alpha=alpha, coverage=float(np.count_nonzero(alpha >= HALF)) / alpha.size)


def foreground(output: FloatArray, spec: OutputSpec) -> FloatArray:
    """One photo's output, (channels, h, w) or (h, w), as one plane of garment, 0..1."""
    planes = _activated(output, spec)
    if max(spec.channels) >= len(planes):
        raise ModelError(f"the segmenter gives {len(planes)} channels, its row names channel {max(spec.channels)}")
    garment: FloatArray = np.sum(planes[list(spec.channels)], axis=0, dtype=np.float32)
    return garment


def shares_of(output: FloatArray, spec: OutputSpec) -> FloatArray:
    """One photo's output, (classes, h, w), as the share of each class, 0..1."""
    if output.ndim != 3 or len(output) != len(CLASSES):
        raise ModelError(f"the segmenter gives {output.shape}, its row names {len(CLASSES)} classes")
    return _activated(output, spec)


def _activated(output: FloatArray, spec: OutputSpec) -> FloatArray:
    planes = output[None] if output.ndim == 2 else output
    if spec.activation == "softmax":
        powers = np.exp(planes - planes.max(axis=0))
        planes = np.divide(powers, powers.sum(axis=0), dtype=np.float32)
    elif spec.activation == "sigmoid":
        planes = np.divide(1.0, 1.0 + np.exp(-np.clip(planes, -60, 60)), dtype=np.float32)
    return planes


def _grabcut(photo: ByteArray) -> Mask:
    height, width = photo.shape[:2]
    scale = min(1.0, GRABCUT_SIDE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.cvtColor(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    labels = np.full((size[1], size[0]), cv2.GC_PR_BGD, np.uint8)
    x, y = max(1, round(size[0] * GRABCUT_FRAME)), max(1, round(size[1] * GRABCUT_FRAME))
    labels[:y] = labels[-y:] = cv2.GC_BGD
    labels[:, :x] = labels[:, -x:] = cv2.GC_BGD
    inner_x, inner_y = round(size[0] * (1 - GRABCUT_CENTRE) / 2), round(size[1] * (1 - GRABCUT_CENTRE) / 2)
    labels[inner_y : size[1] - inner_y, inner_x : size[0] - inner_x] = cv2.GC_PR_FGD
    background, garment = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(GRABCUT_SEED)
    try:
        cv2.grabCut(small, labels, (0, 0, 0, 0), background, garment, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        # One even colour has no two colour models: nothing stands out, so nothing is cut out.
        return mask_of(np.zeros((height, width), np.uint8))
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    return mask_of(np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8))
