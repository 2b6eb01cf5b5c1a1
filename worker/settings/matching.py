"""Settings of the decision."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from worker.settings.base import Group


class MatchingSettings(Group):
    """Thresholds are measured and stored with the models; these override them."""

    duplicate_threshold: float | None = Field(
        default=None, ge=-1, le=1, description="Similarity from which an arrival is a duplicate."
    )
    review_threshold: float | None = Field(default=None, ge=-1, le=1, description="Similarity from which a person should look.")
    candidates: int = Field(default=10, ge=1, le=10)
    twin_wait_s: float = Field(
        default=30.0, gt=0, description="Bound on waiting for a pending peer; then the arrival alerts as review, naming the twin."
    )
    settle_wait_s: float = Field(
        default=1.0,
        ge=0,
        description="Part of twin_wait_s that is waited inside the settle stage; then the arrival's partition waits instead.",
    )
    orphan_after_s: float = Field(
        default=900.0,
        gt=0,
        description="Pending points older than this belong to no living worker: whoever meets them at twin_wait_s withdraws them.",
    )
    article_id_prefix: str = Field(default="article-", description="New articles are called prefix + arrival_id.")

    @model_validator(mode="after")
    def _orphans_outlive_waits(self) -> Self:
        if self.orphan_after_s < 2 * self.twin_wait_s:
            raise ValueError("orphan_after_s must be at least twice twin_wait_s")
        return self

    @model_validator(mode="after")
    def _review_is_below_duplicate(self) -> Self:
        if (
            self.duplicate_threshold is not None
            and self.review_threshold is not None
            and self.review_threshold > self.duplicate_threshold
        ):
            raise ValueError("review_threshold must not be above duplicate_threshold")
        return self
