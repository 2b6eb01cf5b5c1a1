"""Points and vectors for the tests of the catalogue, the same in every run."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from worker.catalogue.protocol import Point, PointState, Query
from worker.events import Attributes, derived_id

DIMENSION = 8
FINGERPRINT = "0123456789ab"
WHEN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def vector(seed: int, dimension: int = DIMENSION) -> npt.NDArray[np.float32]:
    """A random direction."""
    values = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return np.asarray(values / np.linalg.norm(values), dtype=np.float32)


def near(seed: int, distance: float = 0.05) -> npt.NDArray[np.float32]:
    """A direction close to `vector(seed)`."""
    values = vector(seed) + distance * vector(seed + 1_000_003)
    return np.asarray(values / np.linalg.norm(values), dtype=np.float32)


def article(name: str, seed: int, *, view: str = "front", attributes: Attributes | None = None) -> Point:
    """A settled point as `intake catalogue load` writes it."""
    return Point(
        point_id=derived_id("article", name, view),
        vector=vector(seed),
        article_id=name,
        view=view,
        location=f"s3://studio/{name}/{view}.jpg",
        state=PointState.SETTLED,
        fingerprint=FINGERPRINT,
        written_at=WHEN,
        attributes=attributes or Attributes(),
    )


def pending(arrival_id: str, seed: int, *, view: str = "front") -> Point:
    """A pending point as the race protocol writes it."""
    return Point(
        point_id=derived_id("arrival", arrival_id, view),
        vector=vector(seed),
        article_id=f"article-{arrival_id}",
        view=view,
        location=f"s3://intake-photos/{arrival_id}/{view}.jpg",
        state=PointState.PENDING,
        fingerprint=FINGERPRINT,
        written_at=WHEN,
        arrival_id=arrival_id,
    )


def query(seed: int, limit: int = 10, *, exclude_arrival: str | None = None, **attributes: str) -> Query:
    """A search with exactly the vector of `seed`."""
    return Query(vector(seed), limit, attributes, exclude_arrival)
