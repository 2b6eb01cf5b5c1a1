"""What is true about a simulated arrival, as it is written beside the events and read back for scoring (JSON lines)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Expected = Literal["found", "new", "dead-letter"]


class Kind(StrEnum):
    """What a simulated arrival is."""

    NEW = "new"  # a garment of a style the catalogue has not
    REPHOTOGRAPHED = "re-photographed"  # a garment of the catalogue
    COLOURWAY = "colourway"  # a style of the catalogue in a colour it has not: a new article
    BACK = "back-view"  # the back of a garment that the catalogue shows from the front alone
    MULTI = "multi-photo"  # a garment of the catalogue, photographed from several sides
    TWIN = "twin"  # one of two photos of the same new garment that arrive at once, as two arrivals
    CORRUPT = "corrupt"  # a photo that cannot be read
    MISSING = "missing"  # an event that names a photo that is not there
    REPEAT = "repeat"  # an earlier event, sent again byte for byte


class Truth(BaseModel):
    """One line of a truth file.

    Attributes:
        arrival_id: the arrival; a repeat has a line of its own with the same id.
        kind: what it is.
        expected: what the worker should make of it.
        article_id: the catalogue article it is; None unless `expected` is found.
        near: the catalogue article whose colourway it is.
        twin: the other arrival of a twin.
        reasons: dead-letter reasons that are right; empty: any.
        severity: how the photos were taken, as in ``mild``.
    """

    model_config = ConfigDict(frozen=True)

    arrival_id: str
    kind: Kind
    expected: Expected
    article_id: str | None = None
    near: str | None = None
    twin: str | None = None
    reasons: tuple[str, ...] = ()
    severity: str = ""


def write_truth(path: Path, truths: Iterable[Truth]) -> int:
    """Write a truth file; returns the number of lines."""
    lines = [truth.model_dump_json() for truth in truths]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def read_truth(path: Path) -> list[Truth]:
    """Read a truth file.

    Raises:
        ValueError: a line is no truth; the message says which.
        OSError: the file cannot be read.
    """
    truths = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            truths.append(Truth.model_validate_json(line))
        except ValidationError as error:
            raise ValueError(f"{path}, line {number}: no truth of a simulated arrival: {error.errors()[0]['msg']}") from error
    return truths
