"""The calibration of one pair of segmenter and embedder, as the registry keeps it in a file: data, not code.

A pair file is written by the lab's calibration and read by the worker; its numbers hold for the pair it names, and for no other.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from worker.calibration import Calibration, LogisticCurve
from worker.vision.rows import ModelId

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class PairCalibration(Calibration):
    """Thresholds and curve of a pair of models, and what they rest on."""

    segmenter: ModelId
    embedder: ModelId
    measured: date | None = Field(default=None, description="When; none for the guess that stands for an uncalibrated pair.")
    data: str = Field(default="", description="Photos the figures come from.")
    counts: dict[str, int] = Field(default_factory=dict, description="How many queries of each kind.")
    rates: dict[str, Share] = Field(default_factory=dict, description="What the thresholds gave on those photos.")

    @property
    def calibrated(self) -> bool:
        """Whether these are measured figures."""
        return self.measured is not None


def uncalibrated(segmenter: str, embedder: str) -> PairCalibration:
    """Cautious stand-in for a pair nobody measured: only near-identical photos are duplicates, everything alike goes to a person.

    `intake doctor` and the log name it; measure the pair and store its file before deciding anything by it.
    """
    return PairCalibration(
        segmenter=segmenter,
        embedder=embedder,
        duplicate_threshold=0.95,
        review_threshold=0.75,
        curve=LogisticCurve(slope=15.0, intercept=-13.5),
        data="none: a guess",
    )
