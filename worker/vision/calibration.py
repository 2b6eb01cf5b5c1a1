"""What a similarity means for one pair of models: thresholds, and a curve from similarity to probability. Data, not code.

A pair file is written by the lab's calibration and read by the worker; its numbers hold for the pair of segmenter and embedder
it names, and for no other.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from worker.vision.rows import ModelId, RowPart

Cosine = Annotated[float, Field(ge=-1.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Curve(RowPart):
    """Probability that two photos show the same article, by their similarity.

    `logistic`: 1 / (1 + exp(-(slope * similarity + intercept))). `points`: straight lines between (similarity, probability)
    points, as an isotonic regression gives them; constant beyond the ends.
    """

    kind: Literal["logistic", "points"]
    slope: float | None = None
    intercept: float | None = None
    points: tuple[tuple[Cosine, Share], ...] = ()

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.kind == "logistic":
            if self.slope is None or self.intercept is None or self.slope <= 0:
                raise ValueError("a logistic curve needs intercept and a slope above 0")
        elif len(self.points) < 2:
            raise ValueError("a curve of points needs two of them")
        else:
            pairs = list(zip(self.points, self.points[1:], strict=False))
            if any(b[0] <= a[0] or b[1] < a[1] for a, b in pairs):
                raise ValueError("points must rise in similarity and never fall in probability")
        return self

    def probability(self, similarity: float) -> float:
        """0..1, never falling as `similarity` rises."""
        if self.kind == "logistic":
            z = (self.slope or 0.0) * similarity + (self.intercept or 0.0)
            return float(1.0 / (1.0 + np.exp(-np.clip(z, -60.0, 60.0))))
        x, y = zip(*self.points, strict=True)
        return float(np.interp(similarity, x, y))


class Calibration(RowPart):
    """Thresholds and curve of a pair of models, and what they rest on."""

    segmenter: ModelId
    embedder: ModelId
    measured: date | None = Field(default=None, description="When; none for the guess that stands for an uncalibrated pair.")
    duplicate_threshold: Cosine = Field(description="Similarity from which an arrival is a duplicate.")
    review_threshold: Cosine = Field(description="Similarity from which a person should look.")
    curve: Curve
    data: str = Field(default="", description="Photos the figures come from.")
    counts: dict[str, int] = Field(default_factory=dict, description="How many queries of each kind.")
    rates: dict[str, Share] = Field(default_factory=dict, description="What the thresholds gave on those photos.")

    @model_validator(mode="after")
    def _review_is_below_duplicate(self) -> Self:
        if self.review_threshold > self.duplicate_threshold:
            raise ValueError("review_threshold must not be above duplicate_threshold")
        return self

    @property
    def calibrated(self) -> bool:
        """Whether these are measured figures."""
        return self.measured is not None

    def probability(self, similarity: float) -> float:
        """Calibrated probability (0..1) that two photos of this similarity show the same article."""
        return self.curve.probability(similarity)


def uncalibrated(segmenter: str, embedder: str) -> Calibration:
    """Cautious stand-in for a pair nobody measured: only near-identical photos are duplicates, everything alike goes to a person.

    `intake doctor` and the log name it; measure the pair and store its file before deciding anything by it.
    """
    return Calibration(
        segmenter=segmenter,
        embedder=embedder,
        duplicate_threshold=0.95,
        review_threshold=0.75,
        curve=Curve(kind="logistic", slope=15.0, intercept=-13.5),
        data="none: a guess",
    )
