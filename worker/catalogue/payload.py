"""What lies beside a vector: a point's payload, the same in both engines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from worker.catalogue.protocol import Hit, Point, PointState
from worker.errors import ConfigurationError
from worker.events import Attributes

ARTICLE = "article_id"
ARRIVAL = "arrival_id"
STATE = "state"
RECORD = "record"
ATTRIBUTES = "attributes"

# Searches leave the record out: it is the largest field and no hit carries it.
NOT_IN_HITS = (RECORD,)

# Fields every collection has an index on. Attributes get one each where they narrow a search (`filter_attributes`).
INDEXED = (ARTICLE, ARRIVAL, STATE)


def attribute_field(name: str) -> str:
    """Path of an attribute in the payload."""
    return f"{ATTRIBUTES}.{name}"


def to_payload(point: Point) -> dict[str, Any]:
    """The payload of a point. Fields that are not set are absent, so that a filter never meets a null."""
    payload: dict[str, Any] = {
        ARTICLE: point.article_id,
        "view": point.view,
        "location": point.location,
        STATE: point.state.value,
        "fingerprint": point.fingerprint,
        "written_at": point.written_at.astimezone(UTC).isoformat(),
        ATTRIBUTES: point.attributes.present(),
    }
    if point.arrival_id is not None:
        payload[ARRIVAL] = point.arrival_id
    if point.record is not None:
        payload[RECORD] = point.record
    return payload


def to_point(point_id: object, payload: Mapping[str, Any] | None, vector: object) -> Point:
    """A point as it was written; `vector` may be None. Raises `ConfigurationError` if the payload is not ours."""
    try:
        fields = dict(payload or {})
        return Point(
            point_id=_uuid(point_id),
            vector=None if vector is None else as_vector(vector),
            article_id=fields[ARTICLE],
            view=fields["view"],
            location=fields["location"],
            state=PointState(fields[STATE]),
            fingerprint=fields["fingerprint"],
            written_at=datetime.fromisoformat(fields["written_at"]),
            attributes=Attributes(**fields.get(ATTRIBUTES, {})),
            arrival_id=fields.get(ARRIVAL),
            record=fields.get(RECORD),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(point_id) from error


def to_hit(point_id: object, score: float, payload: Mapping[str, Any] | None) -> Hit:
    """A search's hit. Raises `ConfigurationError` if the payload is not ours."""
    try:
        fields = dict(payload or {})
        return Hit(
            point_id=_uuid(point_id),
            similarity=max(-1.0, min(1.0, float(score))),  # rounding lets the cosine of equal vectors exceed 1
            article_id=fields[ARTICLE],
            view=fields["view"],
            location=fields["location"],
            state=PointState(fields[STATE]),
            attributes=Attributes(**fields.get(ATTRIBUTES, {})),
            arrival_id=fields.get(ARRIVAL),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(point_id) from error


def as_vector(values: object) -> npt.NDArray[np.float32]:
    """(dimension,) float32."""
    vector = np.asarray(values, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError(f"a vector has one axis, this has {vector.ndim}")
    return vector


def checked_vector(vector: npt.NDArray[np.float32] | None, dimension: int, collection: str) -> list[float]:
    """The vector as the engines take it. Raises `ConfigurationError` if it does not fit the collection."""
    if vector is None:
        raise ConfigurationError(f"a point without a vector cannot be written to {collection!r}")
    if vector.shape != (dimension,):
        raise ConfigurationError(
            f"a vector of shape {vector.shape} does not fit collection {collection!r} of dimension {dimension}: the models are "
            "not those the collection was built with; run `intake catalogue reindex`"
        )
    if not np.isfinite(vector).all():
        raise ConfigurationError(f"a vector for {collection!r} is not finite: the embedder is broken; run `intake models verify`")
    values: list[float] = vector.astype(np.float32, copy=False).tolist()
    return values


def _uuid(point_id: object) -> UUID:
    return point_id if isinstance(point_id, UUID) else UUID(str(point_id))


def _foreign(point_id: object) -> ConfigurationError:
    return ConfigurationError(
        f"point {point_id} was not written by this program: give the catalogue a collection of its own (INTAKE_CATALOGUE__ALIAS)"
    )
