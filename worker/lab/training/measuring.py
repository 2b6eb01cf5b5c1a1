"""What a variant of a model loses against the float32 graph, and what it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.settings.vision import VisionSettings
from worker.vision.rows import ModelRow, OutputSpec
from worker.vision.runtime import threads_of
from worker.vision.segmenters import foreground
from worker.vision.session import Feed, OnnxSession
from worker.vision.types import FloatArray

ROUNDS = 15  # timed runs of one photo; their median counts
# A model whose weights are rounded to halves is the same model where its vectors and masks stay this alike. 1e-4 of cosine is a
# hundredth of what tells the nearest other article from the right one; 0.999 of a mask is a pixel of its edge here and there.
SAME_COSINE, SAME_IOU = 0.9999, 0.999


@dataclass(frozen=True, slots=True)
class Loss:
    """How like a variant's outputs are to the float32 graph's: cosine of vectors or IoU of masks, over `photos`."""

    measure: str
    mean: float
    lowest: float
    photos: int

    @property
    def text(self) -> str:
        """For a card."""
        return f"{self.measure} to float32 {self.mean:.5f} on average, {self.lowest:.5f} at worst, over {self.photos} photos"

    @property
    def none(self) -> bool:
        """Whether it is the same model for every use."""
        return self.lowest >= (SAME_COSINE if self.measure == "cosine" else SAME_IOU)


def outputs(path: Path, row: ModelRow, settings: VisionSettings, photos: Sequence[Feed]) -> list[FloatArray]:
    """What a file gives for each photo, one at a time."""
    session = OnnxSession(path, row, settings)
    return [session.run(photo)[0] for photo in photos]


def loss(row: ModelRow, wanted: Sequence[FloatArray], found: Sequence[FloatArray]) -> Loss:
    """Of `found` against `wanted`, photo by photo."""
    pairs = list(zip(wanted, found, strict=True))
    if row.task in {"embed", "tag"}:
        values, measure = [_cosine(one, other) for one, other in pairs], "cosine"
    else:
        spec = row.output or OutputSpec(name="")
        values, measure = [_iou(foreground(one, spec) >= 0.5, foreground(other, spec) >= 0.5) for one, other in pairs], "mask IoU"
    return Loss(measure, float(np.mean(values)), float(np.min(values)), len(values))


def _cosine(one: FloatArray, other: FloatArray) -> float:
    norms = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    value = float(np.dot(one, other)) / norms if norms > 0 else 0.0
    return value if np.isfinite(value) else 0.0


def _iou(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def milliseconds(path: Path, row: ModelRow, settings: VisionSettings, photo: Feed) -> float:
    """Median of one photo's run, the session being warm."""
    session = OnnxSession(path, row, settings)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        session.run(photo)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def cost_text(path: Path, row: ModelRow, settings: VisionSettings, photo: Feed) -> str:
    """Size and speed, for a card."""
    return f"{path.stat().st_size / 1e6:.2f} MB, {milliseconds(path, row, settings, photo):.1f} ms a photo on {threads_of(settings)} CPU threads"
