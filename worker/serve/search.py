"""Photos of one garment to an answer: decode, segment, embed, search, decide, as the pipeline does, but nothing is written anywhere."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from worker.calibration import Calibration
from worker.catalogue.protocol import Catalogue, Hit
from worker.embedding import CutOut, PhotoEmbedder
from worker.errors import IntakeError
from worker.events import Attributes, ModelFingerprint, PhotoLocation
from worker.imaging.decode import encode_jpeg
from worker.imaging.types import Photo, Pixels
from worker.matching.decide import decide
from worker.matching.decision import Candidate, Decision
from worker.matching.fuse import fuse, margins
from worker.matching.queries import SearchPlan
from worker.ops.deadline import Deadline
from worker.pictures import CONTENT_TYPE, JPEG_QUALITY, overlay
from worker.serve.answers import AskedPhoto, CandidatePhoto, SearchAnswer, SearchCandidate, Thresholds
from worker.serve.problems import time_is_up
from worker.settings.imaging import LOCAL_BUCKET
from worker.vision.types import ByteArray, FloatArray

# How the sentence of a decision calls the photos. `ServeSettings.max_photos` has no more than these.
VIEWS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
         "thirteenth", "fourteenth", "fifteenth", "sixteenth")  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class SearchRequest:
    """One question.

    Attributes:
        photos: undecoded bytes; all of one garment.
        attributes: what is known of the garment.
        pictures: whether crop and overlay are wanted.
    """

    photos: tuple[bytes, ...]
    attributes: Attributes = field(default_factory=Attributes)
    pictures: bool = False


@dataclass(slots=True)
class Stopwatch:
    """Milliseconds by step, and the end of one's patience: looked at before each step."""

    deadline: Deadline
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step; raises the refusal `time-limit` if the time is up already."""
        if self.deadline.passed:
            raise time_is_up()
        began = time.perf_counter()
        yield
        self.steps[name] = round((time.perf_counter() - began) * 1000.0, 3)


@dataclass(frozen=True, slots=True)
class PhotoSearch:
    """Answers questions. Thread-safe: several may decode and search at once, the models run for one after another."""

    embedder: PhotoEmbedder
    catalogue: Catalogue
    plan: SearchPlan
    calibration: Calibration
    models: ModelFingerprint
    most_candidates: int
    _models_lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: SearchRequest, deadline: Deadline) -> SearchAnswer:
        """The answer.

        Raises:
            PhotoRefused: a photo is none, or outside the limits; the first one that is.
            CatalogueUnavailable, InferenceUnavailable, StopError: as the rooms raise them.
            Refusal: the deadline passed between two steps.
        """
        watch = Stopwatch(deadline)
        began = time.perf_counter()
        with watch.step("decode"):
            pixels = _all(self.embedder.decode([_photo(index, data) for index, data in enumerate(request.photos)]))
        with self._models(deadline):
            with watch.step("segment"):
                cuts = _all(self.embedder.cut_out(pixels, [request.attributes.category] * len(pixels)))
            with watch.step("embed"):
                vectors = self.embedder.embed([cut.crop for cut in cuts])
        with watch.step("search"):
            hits = self._search(vectors, request.attributes)
        with watch.step("decide"):
            flags = tuple(flag for one, cut in zip(pixels, cuts, strict=True) for flag in (*one.flags, *cut.crop.flags))
            decision = decide(
                fuse(hits, self.calibration), self.calibration, views=VIEWS, flags=flags, limit=self.most_candidates
            )
        with watch.step("pictures"):
            photos = tuple(_asked(one, cut, pictures=request.pictures) for one, cut in zip(pixels, cuts, strict=True))
        watch.steps["total"] = round((time.perf_counter() - began) * 1000.0, 3)
        return SearchAnswer(
            decision=decision.kind,
            reason=decision.reason,
            flags=decision.flags,
            thresholds=Thresholds(duplicate=decision.duplicate_threshold, review=decision.review_threshold),
            candidates=_candidates(decision, hits),
            photos=photos,
            narrowed_by=self.plan.narrowed(request.attributes),
            models=self.models,
            timings_ms=watch.steps,
        )

    def _search(self, vectors: FloatArray, attributes: Attributes) -> list[list[Hit]]:
        return self.catalogue.search(self.plan.queries(None, vectors, attributes))

    @contextmanager
    def _models(self, deadline: Deadline) -> Iterator[None]:
        if not self._models_lock.acquire(timeout=deadline.remaining()):
            raise time_is_up()
        try:
            yield
        finally:
            self._models_lock.release()


def _photo(index: int, data: bytes) -> Photo:
    """A photo that lies nowhere. Its name is the service's own: what a client calls its file reaches no message and no log."""
    name = f"photo {index + 1}"
    return Photo(PhotoLocation.model_construct(bucket=LOCAL_BUCKET, key=name, version_id=None, etag=None, view="front"), data)


def _all(results: Sequence[T | IntakeError]) -> list[T]:
    for result in results:
        if isinstance(result, IntakeError):
            raise result
    return [result for result in results if not isinstance(result, IntakeError)]


def _asked(pixels: Pixels, cut: CutOut, *, pictures: bool) -> AskedPhoto:
    width, height = pixels.original_size
    return AskedPhoto(
        format=pixels.format,
        width=width,
        height=height,
        coverage=min(1.0, max(0.0, cut.mask.coverage)),
        flags=(*pixels.flags, *cut.crop.flags),
        crop=_data_uri(cut.crop.rgb) if pictures else None,
        overlay=_data_uri(overlay(pixels.rgb, cut.mask)) if pictures else None,
    )


def _data_uri(rgb: ByteArray) -> str:
    return f"data:{CONTENT_TYPE};base64,{base64.b64encode(encode_jpeg(rgb, JPEG_QUALITY)).decode('ascii')}"


def _candidates(decision: Decision, hits: Sequence[Sequence[Hit]]) -> tuple[SearchCandidate, ...]:
    points: Mapping[tuple[int, str, str], UUID] = {
        (photo, hit.article_id, hit.location): hit.point_id for photo, found in enumerate(hits) for hit in reversed(found)
    }
    shown = decision.candidates
    return tuple(
        _candidate(rank, candidate, margin, points[candidate.arrival_photo, candidate.article_id, candidate.article_location])
        for rank, (candidate, margin) in enumerate(zip(shown, margins(shown), strict=True), start=1)
    )


def _candidate(rank: int, candidate: Candidate, margin: float | None, point_id: UUID) -> SearchCandidate:
    return SearchCandidate(
        rank=rank,
        article_id=candidate.article_id,
        similarity=candidate.similarity,
        probability=candidate.probability,
        margin=margin,
        photo=CandidatePhoto(
            asked=candidate.arrival_photo, point_id=point_id, view=candidate.article_view, location=candidate.article_location
        ),
        attributes=candidate.attributes,
        pending=candidate.pending_arrival is not None,
    )
