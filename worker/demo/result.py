"""What a demo leaves behind: `outcomes.jsonl`, every output event as published, and `index.html`, the page to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.demo.page import PageCandidate, PageRow, PageSummary, render_page, thumbnail
from worker.demo.plan import PlannedArrival
from worker.demo.traffic import Published
from worker.embedded.s3 import S3Endpoint
from worker.simulate.score import ScoreReport
from worker.simulate.truth import Truth

PAGE = "index.html"
OUTCOMES = "outcomes.jsonl"
# The stages whose time is the models', not the queues'.
MODEL_STAGES = ("segment", "embed")


def write_outcomes(folder: Path, published: Sequence[Published]) -> Path:
    """One line an output event, byte for byte as it was published (the values are JSON on one line)."""
    path = folder / OUTCOMES
    path.write_bytes(b"".join(one.value + b"\n" for one in published))
    return path


def write_page(
    folder: Path,
    arrivals: Sequence[PlannedArrival],
    published: Sequence[Published],
    report: ScoreReport | None,
    facts: Sequence[tuple[str, str]],
    s3: S3Endpoint,
) -> Path:
    """The page. Pictures of arrivals come from S3, where the worker stored them; articles' from where the catalogue says."""
    shelf = _Pictures(s3)
    planned = {arrival.arrival_id: arrival for arrival in reversed(arrivals)}  # of a repeat, the first
    wrong = {miss.arrival_id for miss in report.misses} if report else set()
    rows = [_row(one, planned.get(one.outcome.arrival_id), wrong, shelf) for one in published]
    score: tuple[tuple[str, str], ...] = ()
    if report is not None:
        score = (
            *((f"{line.kind}: right", f"{line.right} of {line.count}") for line in report.kinds),
            ("all: right", f"{report.right} of {report.count}"),
        )
    path = folder / PAGE
    path.write_text(
        render_page(PageSummary("Garment intake: what arrived, and what it was", tuple(facts), score), rows), encoding="utf-8"
    )
    return path


def _row(published: Published, arrival: PlannedArrival | None, wrong: set[str], shelf: _Pictures) -> PageRow:
    event, outcome = published.event, published.outcome
    truth = arrival.truth if arrival else None
    stored: Mapping[str, Any] = (event.get("pictures") or [{}])[0]
    stages: Mapping[str, float] = (event.get("timings") or {}).get("stages_ms", {})
    explanation: Mapping[str, Any] = event.get("explanation") or {}
    return PageRow(
        arrival_id=outcome.arrival_id or "unreadable event",
        decision=outcome.got,
        reason=str(explanation.get("reason") or f"{event.get('reason')}: {event.get('message')}"),
        photo=thumbnail(_local(arrival)),
        crop=shelf.show(stored.get("crop")),
        overlay=shelf.show(stored.get("overlay")),
        candidates=tuple(_candidates(event, truth, shelf)),
        expected=truth.expected if truth else None,
        correct=None if truth is None else outcome.arrival_id not in wrong,
        kind=str(truth.kind) if truth else None,
        milliseconds=sum(stages[name] for name in MODEL_STAGES) if all(name in stages for name in MODEL_STAGES) else None,
        flags=tuple(explanation.get("flags") or ()),
    )


def _candidates(event: Mapping[str, Any], truth: Truth | None, shelf: _Pictures) -> list[PageCandidate]:
    return [
        PageCandidate(
            article_id=candidate["article_id"],
            similarity=candidate["similarity"],
            probability=candidate["probability"],
            picture=shelf.show(candidate["matched_photo"]["article_location"]),
            correct=truth is not None and candidate["article_id"] == truth.article_id,
        )
        for candidate in event.get("candidates") or ()
    ]


def _local(arrival: PlannedArrival | None) -> bytes | None:
    if arrival is None:
        return None
    path = arrival.photos[0][1]
    return path.read_bytes() if path.exists() else None


class _Pictures:
    """Thumbnails by location, each read once."""

    def __init__(self, s3: S3Endpoint) -> None:
        self._client = s3.client()
        self._shown: dict[str, str | None] = {}

    def show(self, location: str | None) -> str | None:
        if location is None:
            return None
        if location not in self._shown:
            self._shown[location] = thumbnail(self._read(location))
        return self._shown[location]

    def _read(self, location: str) -> bytes | None:
        if not location.startswith("s3://"):
            path = Path(location)
            return path.read_bytes() if path.is_file() else None
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except self._client.exceptions.NoSuchKey:
            return None
