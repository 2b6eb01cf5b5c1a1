"""What a similarity means: thresholds of the decision, and the probability behind a number.

Measured for one pair of models on photos kept aside (`intake lab calibrate`), stored beside the models, read by the worker. The one
description of it, for every room. A curve is one of two kinds: logistic (Platt 1999, "Probabilistic outputs for support vector
machines", section 2) where few pairs were labelled, or isotonic (Zadrozny and Elkan 2002, "Transforming classifier scores into accurate
multiclass probability estimates", section 3) where many were.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from operator import itemgetter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from worker.errors import ConfigurationError
from worker.settings import MatchingSettings

# No finite set of labelled pairs shows that a probability is 0 or 1; a thousand pairs would not tell 0.999 from 1.
DEFAULT_FLOOR = 0.001

# exp() of more than about 709 overflows a double; the curve is flat long before.
_LARGEST_EXPONENT = 700.0

Similarity = Annotated[float, Field(ge=-1.0, le=1.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LogisticCurve(_Frozen):
    """``1 / (1 + exp(-(slope * similarity + intercept)))``; `slope` is positive, so that the curve rises."""

    kind: Literal["logistic"] = "logistic"
    slope: float = Field(gt=0)
    intercept: float

    def at(self, similarity: float) -> float:
        """The probability at `similarity`, unclamped."""
        exponent = -(self.slope * similarity + self.intercept)
        return 1.0 / (1.0 + math.exp(max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, exponent))))


class PointsCurve(_Frozen):
    """Straight lines between (similarity, probability) points, as an isotonic regression gives them; flat beyond the ends."""

    kind: Literal["points"] = "points"
    points: tuple[tuple[Similarity, Probability], ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(self.points)):
            raise ValueError("points must rise in similarity and never fall in probability")
        return self

    def at(self, similarity: float) -> float:
        """The probability at `similarity`, unclamped."""
        right = bisect_right(self.points, similarity, key=itemgetter(0))
        if right == 0:
            return self.points[0][1]
        if right == len(self.points):
            return self.points[-1][1]
        (x0, y0), (x1, y1) = self.points[right - 1], self.points[right]
        # Rounding may carry the sum past y1; the curve must stay monotone.
        return min(y1, y0 + (y1 - y0) * ((similarity - x0) / (x1 - x0)))


Curve = Annotated[LogisticCurve | PointsCurve, Field(discriminator="kind")]


class Calibration(_Frozen):
    """Thresholds and curve of one pair of models.

    Attributes:
        duplicate_threshold: similarity (cosine, -1..1) from which an arrival is a duplicate.
        review_threshold: similarity from which a person should look; also what makes two arrivals peers in the race protocol.
        curve: similarity to probability.
        floor: probabilities are clamped to ``floor .. 1 - floor``.
    """

    duplicate_threshold: Similarity = Field(description="Similarity from which an arrival is a duplicate.")
    review_threshold: Similarity = Field(description="Similarity from which a person should look.")
    curve: Curve
    floor: float = Field(default=DEFAULT_FLOOR, ge=0.0, lt=0.5)

    @model_validator(mode="after")
    def _review_is_below_duplicate(self) -> Self:
        if self.review_threshold > self.duplicate_threshold:
            raise ValueError("review_threshold must not be above duplicate_threshold")
        return self

    def overridden(self, settings: MatchingSettings) -> Self:
        """This calibration with the thresholds that `settings` set.

        Raises:
            ConfigurationError: a threshold that is set contradicts the measured one that is not.
        """
        duplicate = self.duplicate_threshold if settings.duplicate_threshold is None else settings.duplicate_threshold
        review = self.review_threshold if settings.review_threshold is None else settings.review_threshold
        if review > duplicate:
            raise ConfigurationError(
                f"the review threshold {review} is above the duplicate threshold {duplicate}: set both "
                "INTAKE_MATCHING__REVIEW_THRESHOLD and INTAKE_MATCHING__DUPLICATE_THRESHOLD"
            )
        return self.model_copy(update={"duplicate_threshold": duplicate, "review_threshold": review})

    def probability(self, similarity: float) -> float:
        """Probability that a pair of this similarity shows one article: ``floor .. 1 - floor``, never falling.

        Raises:
            ValueError: `similarity` is not a number.
        """
        if math.isnan(similarity):
            raise ValueError("similarity is not a number")
        return min(1.0 - self.floor, max(self.floor, self.curve.at(similarity)))
