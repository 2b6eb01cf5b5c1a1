"""What the service says, as pydantic models: the answers are made of them, and the OpenAPI document is written from them."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from worker.errors import Reason
from worker.events import MAX_CANDIDATES, Attributes, DecisionKind, ModelFingerprint


class Answer(BaseModel):
    """Base of every answer: immutable, no number that JSON cannot hold."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True, use_enum_values=False
    )


class Thresholds(Answer):
    """The similarities a decision turns at, both inclusive."""

    duplicate: float = Field(ge=-1, le=1, description="From here on the garment is taken for the article.")
    review: float = Field(ge=-1, le=1, description="From here on a person should look.")


class CandidatePhoto(Answer):
    """The pair of photos a candidate's similarity rests on."""

    asked: int = Field(ge=0, description="Which of the photos that were sent, from 0.")
    point_id: UUID = Field(description="Of the article's photo; GET /photo/{point_id} shows it.")
    view: str = Field(description="View of the article's photo.")
    location: str = Field(description="Where the article's photo lies, as s3://bucket/key or a local path.")


class SearchCandidate(Answer):
    """An article the garment may be."""

    rank: int = Field(ge=1, le=MAX_CANDIDATES, description="1 is the best.")
    article_id: str = Field(description="The article of the catalogue.")
    similarity: float = Field(ge=-1, le=1, description="Cosine similarity of the best pair of photos.")
    probability: float = Field(ge=0, le=1, description="Calibrated probability that the garment is this article.")
    margin: float | None = Field(ge=0, le=2, description="Similarity minus that of the next candidate; null for the last.")
    photo: CandidatePhoto = Field(description="The pair of photos.")
    attributes: Attributes = Field(description="Of the article.")
    pending: bool = Field(description="True if this arrival is not settled in the catalogue yet.")


class AskedPhoto(Answer):
    """A photo that was sent, as it was understood."""

    format: str = Field(description="By its content: jpeg, png, webp, heif or avif.")
    width: int = Field(ge=1, description="Pixels, upright, as sent.")
    height: int = Field(ge=1, description="Pixels, upright, as sent.")
    coverage: float = Field(ge=0, le=1, description="Share of the photo that is garment, by the mask.")
    flags: tuple[str, ...] = Field(description="What a person should know: photo-blurred, garment-not-found, ...")
    crop: str | None = Field(description="What the embedder saw, as a data URI (JPEG); null unless asked for with pictures=true.")
    overlay: str | None = Field(description="The photo with the mask on it, as a data URI (JPEG); null unless asked for.")


class SearchAnswer(Answer):
    """The answer to POST /search. Nothing of it is kept: the same photo asked again is decided anew."""

    decision: DecisionKind = Field(
        description="duplicate: it is the first candidate; review: a person should look; new: neither."
    )
    reason: str = Field(description="Why, in one sentence.")
    flags: tuple[str, ...] = Field(description="What a person should know of the photos and the decision.")
    thresholds: Thresholds = Field(description="What was decided by.")
    candidates: tuple[SearchCandidate, ...] = Field(max_length=MAX_CANDIDATES, description="Best first.")
    photos: tuple[AskedPhoto, ...] = Field(min_length=1, description="The photos that were sent, in order.")
    narrowed_by: dict[str, str] = Field(
        description="Attributes that narrowed the search: those given that the settings let narrow."
    )
    models: ModelFingerprint = Field(description="Which models and which index answered.")
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by step: decode, segment, embed, search, decide, pictures, total."
    )


class Problem(Answer):
    """Why there is no answer (RFC 9457, application/problem+json)."""

    type: str = Field(description="Always about:blank: `reason` tells problems apart.")
    title: str = Field(description="The HTTP status in words.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What happened and what to do, for people.")
    reason: str = Field(description="For programs: a reason of dead letters (photo-corrupt, ...), or one of the service's own.")


class ProbeAnswer(BaseModel):
    """What /livez and /readyz say: whether, and by part why."""

    model_config = ConfigDict(frozen=True, extra="allow")

    ok: bool = Field(description="Whether the probe passed.")


# Reasons of the service's own, beside `worker.errors.Reason`.
OWN_REASONS = (
    "body-too-large",
    "body-slow",
    "busy",
    "cross-site",
    "failed",
    "host-unknown",
    "media-type",
    "method",
    "multipart",
    "not-found",
    "parameter",
    "photos-missing",
    "photos-too-many",
    "time-limit",
    "unavailable",
)
REASONS = (*(str(reason) for reason in Reason), *OWN_REASONS)
