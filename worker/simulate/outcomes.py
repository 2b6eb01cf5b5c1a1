"""Outcomes as the score reads them: match alerts, catalogue inserts and dead letters, out of their JSON."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Got = Literal["duplicate", "review", "new", "dead-letter"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one arrival.

    Attributes:
        arrival_id: whose it is; empty where a dead letter could not be read so far.
        event_id: the outcome's own id: a replay publishes the same.
        got: the decision, or dead-letter.
        articles: candidates of an alert, best first.
        similarity: of the best candidate, or of the nearest article of an insert.
        article_id: the article an insert creates.
        reason: of a dead letter.
    """

    arrival_id: str
    event_id: str
    got: Got
    articles: tuple[str, ...] = ()
    similarity: float | None = None
    article_id: str | None = None
    reason: str | None = None


def read_outcome(event: dict[str, Any]) -> Outcome | None:
    """An output event's JSON as an outcome; None if it is no output event of the worker.

    Takes the event itself, or an object that holds it as `data` or `event` (a CloudEvent in structured mode, a logged record).
    """
    for wrapper in ("data", "event", "value"):
        inner = event.get(wrapper)
        if isinstance(inner, dict) and "event_id" in inner:
            event = inner
            break
    event_id = event.get("event_id")
    if not isinstance(event_id, str):
        return None
    if "original_value_base64" in event:
        return Outcome(_refused_arrival(event), event_id, "dead-letter", reason=event.get("reason"))
    arrival_id = str(event.get("arrival_id"))
    decision = event.get("decision")
    if decision == "new":
        nearest = event.get("nearest") or {}
        return Outcome(arrival_id, event_id, "new", similarity=nearest.get("similarity"), article_id=event.get("article_id"))
    if decision in {"duplicate", "review"} and isinstance(event.get("candidates"), list):
        candidates = event["candidates"]
        return Outcome(
            arrival_id,
            event_id,
            "duplicate" if decision == "duplicate" else "review",
            articles=tuple(str(candidate.get("article_id")) for candidate in candidates),
            similarity=candidates[0].get("similarity") if candidates else None,
        )
    return None


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """Outcomes of a file of JSON lines; lines that are none are passed over.

    Raises:
        ValueError: a line is not JSON; the message says which.
        OSError: the file cannot be read.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not JSON: {error.msg}") from error
            outcome = read_outcome(event) if isinstance(event, dict) else None
            if outcome is not None:
                yield outcome


def _refused_arrival(event: dict[str, Any]) -> str:
    """The arrival of a dead letter: as it says, or else the key of the refused record."""
    arrival_id = event.get("arrival_id")
    if isinstance(arrival_id, str):
        return arrival_id
    try:
        return base64.b64decode(event.get("original_key_base64") or "", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError, TypeError):
        return ""
