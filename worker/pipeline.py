"""The flow, read top to bottom: fetch, decode, segment, embed, search, settle, publish.

Each stage is a method from a sequence of one frozen type (`worker.flow`) to one result for each: the next type, or the error that takes
this arrival out of the batch. The stages know nothing of Kafka; `stream/` runs them as an assembly line and knows nothing of what they do.

====== ======= =============================== ====================================================================
line   stage   from -> to                      what can go wrong
====== ======= =============================== ====================================================================
photos fetch   `Arrival` -> `Fetched`          photo missing, changed, too large (dead letter); S3 away (retry)
photos decode  `Fetched` -> `Decoded`          not a photo, corrupt, outside the limits (dead letter)
models segment `Decoded` -> `Segmented`        shows nothing (dead letter); GPU memory (retry)
models embed   `Segmented` -> `Embedded`       GPU memory (retry); with a tagger, attributes are read off the crops here
index  search  `Embedded` -> `Searched`        index away (retry)
index  settle  `Searched` -> `Settled`         index away, a twin in flight (retry); a replay with another body (dead letter)
index  publish `Settled` -> output records     S3 away while storing pictures (retry)
====== ======= =============================== ====================================================================

An arrival of several photos goes through as one: its photos are flattened into the batch for the models and put together again, and a
photo that is refused refuses its arrival.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from worker.catalogue.protocol import Catalogue, Point, PointState
from worker.embedding import PhotoEmbedder
from worker.errors import DeadLetterError, IntakeError, Reason, RetryError, TwinInFlight
from worker.events import CatalogueInsert, MatchAlert, ModelFingerprint
from worker.events.codec import encode_event
from worker.events.ids import arrival_point_id, new_article_id
from worker.events.trace import Traceparent
from worker.flow import Arrival, Decoded, Embedded, Fetched, Searched, Segmented, Settled
from worker.imaging.storage import PhotoSource
from worker.imaging.types import Photo, Pixels
from worker.matching.decision import Decision
from worker.matching.queries import SearchPlan
from worker.matching.requests import Alert, SettleRequest
from worker.matching.requests import Settled as SettledPoints
from worker.matching.settle import Settler
from worker.ops.observer import PipelineReports
from worker.outcome import ArrivalContext, catalogue_insert, match_alert, timings
from worker.pictures import PictureShelf
from worker.settings.stream import TopicSettings
from worker.stream.types import OutputRecord, Stage
from worker.tagging import AttributeReader, Reading

Refused = DeadLetterError | RetryError
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Publishing:
    """How outcomes go out: topics, the CloudEvents source, and how new articles are called."""

    topics: TopicSettings
    source_uri: str
    article_id_prefix: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages over their parts. One thread runs one line of stages; the parts are thread-safe where lines share them."""

    source: PhotoSource
    embedder: PhotoEmbedder
    catalogue: Catalogue
    settler: Settler
    plan: SearchPlan
    models: ModelFingerprint
    publishing: Publishing
    shelf: PictureShelf | None = None
    reports: PipelineReports | None = None
    reader: AttributeReader | None = None

    # ---- line: photos

    def fetch(self, arrivals: Sequence[Arrival]) -> list[Fetched | Refused]:
        """Read every photo's bytes."""
        flat = self.source.fetch_photos([location for arrival in arrivals for location in arrival.event.photos])
        if self.reports is not None:
            for photo in flat:
                if isinstance(photo, Photo):
                    self.reports.fetched(len(photo.data))
        return [
            photos if isinstance(photos, IntakeError) else Fetched(arrival, photos)
            for arrival, photos in zip(arrivals, regroup(flat, [len(a.event.photos) for a in arrivals]), strict=True)
        ]

    def decode(self, arrivals: Sequence[Fetched]) -> list[Decoded | Refused]:
        """Bytes to upright sRGB pixels."""
        flat = self.embedder.decode([photo for fetched in arrivals for photo in fetched.photos])
        if self.reports is not None:
            for pixels in flat:
                if isinstance(pixels, Pixels):
                    self.reports.decoded(pixels.format, pixels.flags)
                elif pixels.reason is Reason.PHOTO_DECODER_CRASHED:
                    self.reports.decoder_lost()
        return [
            pixels if isinstance(pixels, IntakeError) else Decoded(fetched.arrival, pixels)
            for fetched, pixels in zip(arrivals, regroup(flat, [len(f.photos) for f in arrivals]), strict=True)
        ]

    # ---- line: models

    def segment(self, arrivals: Sequence[Decoded]) -> list[Segmented | Refused]:
        """Cut the garment out of each photo."""
        photos = [pixels for decoded in arrivals for pixels in decoded.pixels]
        categories = [decoded.arrival.event.attributes.category for decoded in arrivals for _ in decoded.pixels]
        flat = self.embedder.cut_out(photos, categories)
        return [
            cuts if isinstance(cuts, IntakeError) else Segmented(decoded.arrival, decoded.pixels, cuts)
            for decoded, cuts in zip(arrivals, regroup(flat, [len(d.pixels) for d in arrivals]), strict=True)
        ]

    def embed(self, arrivals: Sequence[Segmented]) -> list[Embedded | Refused]:
        """One vector for each crop, and what a tagger reads off them."""
        vectors = self.embedder.embed([cut.crop for segmented in arrivals for cut in segmented.cuts])
        rows = iter(vectors)
        return [
            Embedded(one.arrival, one.pixels, one.cuts, np.stack(list(islice(rows, len(one.cuts)))), reading)
            for one, reading in zip(arrivals, self._readings(arrivals), strict=True)
        ]

    # ---- line: index

    def search(self, arrivals: Sequence[Embedded]) -> list[Searched | Refused]:
        """Ask the catalogue about every photo of the batch at once."""
        queries = [self.plan.queries(one.arrival.event.arrival_id, one.vectors, one.arrival.event.attributes) for one in arrivals]
        hits = iter(self.catalogue.search([query for some in queries for query in some]))
        return [
            Searched(one, tuple(tuple(found) for found in islice(hits, len(some))))
            for one, some in zip(arrivals, queries, strict=True)
        ]

    def settle(self, arrivals: Sequence[Searched]) -> list[Settled | Refused]:
        """Decide, safely against rivals, replays and crashes (`worker.matching`)."""
        outcomes = self.settler.settle([self._request(one) for one in arrivals])
        if self.reports is not None:
            for outcome in outcomes:
                if isinstance(outcome, TwinInFlight):
                    self.reports.twin_waited("again")
                elif isinstance(outcome, Alert) and outcome.overdue:
                    self.reports.twin_waited("bound")
        return [
            outcome if isinstance(outcome, DeadLetterError | RetryError) else self._settled(one, outcome)
            for one, outcome in zip(arrivals, outcomes, strict=True)
        ]

    def publish(self, arrivals: Sequence[Settled]) -> list[tuple[OutputRecord, ...] | Refused]:
        """Store the pictures and make the record that goes out."""
        return [self._publish(one) for one in arrivals]

    def abandon(self, arrivals: Sequence[Arrival]) -> None:
        """An arrival becomes a dead letter: what it has pending in the catalogue goes first."""
        self.settler.abandon([arrival.event.arrival_id for arrival in arrivals])

    # ---- the parts of embed, settle and publish

    def _readings(self, arrivals: Sequence[Segmented]) -> Sequence[Reading | None]:
        if self.reader is None:
            return [None] * len(arrivals)
        crops = [[cut.crop for cut in one.cuts] for one in arrivals]
        return self.reader.read(crops, [one.arrival.event.attributes for one in arrivals])

    def _request(self, searched: Searched) -> SettleRequest:
        one, arrival = searched.embedded, searched.arrival
        event = arrival.event
        article_id = new_article_id(self.publishing.article_id_prefix, event.arrival_id)
        written_at = datetime.now(UTC)
        points = tuple(
            Point(
                point_id=arrival_point_id(event.arrival_id, photo),
                vector=vector,
                article_id=article_id,
                view=photo.view,
                location=f"s3://{photo.bucket}/{photo.key}",
                state=PointState.PENDING,
                fingerprint=self.models.pipeline,
                written_at=written_at,
                attributes=event.attributes,
                arrival_id=event.arrival_id,
            )
            for photo, vector in zip(event.photos, one.vectors, strict=True)
        )

        def record(decision: Decision) -> str:
            ids = [point.point_id for point in points]
            context = self._context(searched)
            return catalogue_insert(
                context, decision, article_id, ids, one.vectors.shape[1], timings(event, arrival.stages_ms)
            ).model_dump_json()

        return SettleRequest(
            arrival_id=event.arrival_id,
            body_hash=arrival.parsed.body_hash,
            points=points,
            hits=searched.hits,
            record=record,
            attributes=event.attributes,
            flags=one.flags,
        )

    def _settled(self, searched: Searched, outcome: SettledPoints | Alert) -> Settled:
        if isinstance(outcome, SettledPoints):  # perhaps of an earlier life: the decision recorded then is published again
            return Settled(searched, CatalogueInsert.model_validate_json(outcome.event))
        arrival = searched.arrival
        return Settled(
            searched, match_alert(self._context(searched), outcome.decision, timings(arrival.event, arrival.stages_ms))
        )

    def _context(self, searched: Searched) -> ArrivalContext:
        event = searched.arrival.event
        places = self.shelf.places(event) if self.shelf else ()
        return ArrivalContext(event, self.models, places, searched.embedded.flags, searched.embedded.attributes)

    def _publish(self, one: Settled) -> tuple[OutputRecord, ...] | Refused:
        arrival, photos = one.arrival, one.searched.embedded
        if self.shelf is not None:
            try:
                self.shelf.put(arrival.event, photos.pixels, photos.cuts)
            except (DeadLetterError, RetryError) as error:
                return error
        if self.reports is not None:
            taken = one.outcome.timings.event_to_decision_ms
            best = one.outcome.explanation.best_similarity
            self.reports.decided(one.outcome.decision.value, best, None if taken is None else taken / 1000.0)
        value, headers = encode_event(
            one.outcome,
            event_id=str(one.outcome.event_id),
            source=self.publishing.source_uri,
            time=one.outcome.timings.decided_at,
            traceparent=str(Traceparent.continued(arrival.parsed.traceparent)),
        )
        topics = self.publishing.topics
        topic = topics.match_alert if isinstance(one.outcome, MatchAlert) else topics.catalogue_insert
        return (OutputRecord(topic, arrival.event.arrival_id.encode(), value, tuple(headers)),)

    def stages(self) -> tuple[Stage, ...]:
        """The assembly line: three threads, in this order."""
        order: tuple[tuple[str, str, Callable[[Sequence[Any]], Sequence[Any]]], ...] = (
            ("photos", "fetch", self.fetch),
            ("photos", "decode", self.decode),
            ("models", "segment", self.segment),
            ("models", "embed", self.embed),
            ("index", "search", self.search),
            ("index", "settle", self.settle),
            ("index", "publish", self.publish),
        )
        return tuple(Stage(name, timed(name, run), line) for line, name, run in order)


def regroup(flat: Sequence[T | IntakeError], sizes: Sequence[int]) -> list[tuple[T, ...] | Refused]:
    """Put the photos of each arrival together again: all of them, or the error that refuses the arrival.

    Args:
        flat: one result for each photo of the batch, arrival after arrival.
        sizes: how many photos each arrival has.

    Raises:
        IntakeError: a result is a StopError; it concerns the worker, not the arrival.
    """
    rest = iter(flat)
    return [_whole(list(islice(rest, size))) for size in sizes]


def _whole(results: Sequence[T | IntakeError]) -> tuple[T, ...] | Refused:
    errors = [result for result in results if isinstance(result, IntakeError)]
    for error in errors:
        if not isinstance(error, DeadLetterError | RetryError):
            raise error
    # A photo that can never be read decides, whatever a retry would do for the others.
    refused = next((error for error in errors if isinstance(error, DeadLetterError)), None)
    waiting = next((error for error in errors if isinstance(error, RetryError)), None)
    if refused is not None or waiting is not None:
        return refused or waiting  # type: ignore[return-value]
    return tuple(result for result in results if not isinstance(result, IntakeError))


def timed(name: str, run: Callable[[Sequence[Any]], Sequence[Any]]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """`run`, noting in each result's arrival how many milliseconds its batch took. Errors and output records carry no arrival."""

    def stage(values: Sequence[Any]) -> Sequence[Any]:
        began = time.perf_counter()
        results = run(values)
        taken = (time.perf_counter() - began) * 1000.0
        return [_stamped(result, name, taken) for result in results]

    return stage


def _stamped(result: Any, name: str, milliseconds: float) -> Any:
    if not isinstance(result, Fetched | Decoded | Segmented | Embedded):
        return result  # later stages hold the arrival deeper down, and their times come too late for the event
    arrival = result.arrival
    return replace(result, arrival=replace(arrival, stages_ms={**arrival.stages_ms, name: milliseconds}))
