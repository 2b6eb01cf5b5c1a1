"""Filling a catalogue with many photos: resumable, and with fetching and decoding ahead of the models.

While the models work on one batch the next ones are fetched and decoded in threads, a bounded number ahead. What cannot be loaded is
collected with its reason and does not stop the rest; what fails for the moment (storage, index) is tried again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol, TypeVar

from worker.catalogue.entries import CatalogueEntry
from worker.catalogue.protocol import Catalogue, Point, PointState
from worker.errors import DeadLetterError, IntakeError, RetryError
from worker.imaging.types import Photo, Pixels
from worker.vision.types import Crop, FloatArray

T = TypeVar("T")

# Photos in a batch: what the models take at once on a CPU without keeping the progress bar waiting.
BATCH = 16
# Batches fetched and decoded ahead: decoding is uneven (a 12-megapixel HEIC takes a second), two would run dry.
AHEAD = 4
# Ids asked for at once when looking what is there already.
LOOK_UP = 256
# Tries of what may pass, and the pause before the second one; it doubles. Three minutes in all.
TRIES = 8
FIRST_PAUSE_S = 1.5


class PhotoFetcher(Protocol):
    """Reads photos by the location text points carry (an absolute path or ``s3://bucket/key``)."""

    def fetch(self, locations: Sequence[str]) -> list[Photo | IntakeError]:
        """One answer for each location, in order."""


class Cut(Protocol):
    """What `PhotoSteps.cut_out` gives: a garment cut out."""

    @property
    def crop(self) -> Crop:
        """What the embedder sees."""


class PhotoSteps(Protocol):
    """The one way from photo to vector (`worker.embedding.PhotoEmbedder`), step by step; each is called by one thread at a time."""

    def decode(self, photos: Sequence[Photo]) -> Sequence[Pixels | DeadLetterError]:
        """Bytes to pixels."""

    def cut_out(
        self, photos: Sequence[Pixels], categories: Sequence[str | None] | None = None
    ) -> Sequence[Cut | DeadLetterError]:
        """Pixels to crops."""

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        """Crops to (len(crops), dimension) float32, L2-normalised."""


@dataclass(frozen=True, slots=True)
class Task:
    """One point to be made: all of it but the vector."""

    point: Point

    @classmethod
    def of_entry(cls, entry: CatalogueEntry, fingerprint: str, now: datetime) -> Task:
        """A settled point for a photo of the source."""
        point = Point(
            point_id=entry.point_id,
            vector=None,
            article_id=entry.article_id,
            view=entry.view,
            location=entry.location,
            state=PointState.SETTLED,
            fingerprint=fingerprint,
            written_at=now,
            attributes=entry.attributes,
        )
        return cls(point)


@dataclass(frozen=True, slots=True)
class RefusedPhoto:
    """A photo that is not in the catalogue, and why."""

    article_id: str
    location: str
    why: str


@dataclass(slots=True)
class LoadReport:
    """What a load did. `skipped` were there already."""

    loaded: int = 0
    skipped: int = 0
    refused: list[RefusedPhoto] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Loader:
    """Fetches, decodes, embeds and writes. `progress` is called with how many more photos are done.

    Raises (from `load`):
        RetryError: storage or index stayed away for minutes; what was written stays, and the next run goes on from there.
        StopError: credentials, settings or models are wrong.
    """

    catalogue: Catalogue
    fetcher: PhotoFetcher
    steps: PhotoSteps
    progress: Callable[[int], None] = lambda _: None
    first_pause_s: float = FIRST_PAUSE_S
    _given_up: threading.Event = field(default_factory=threading.Event)

    def load(self, tasks: Iterable[Task], *, again: bool = False) -> LoadReport:
        """Make the points that are not there yet (`again`: all of them)."""
        report, started = LoadReport(), time.monotonic()
        with ThreadPoolExecutor(AHEAD, "load-fetch") as fetching, ThreadPoolExecutor(1, "load-decode") as decoding:
            ahead: deque[Future[_Batch]] = deque()
            try:
                for tasks_now in _batched(self._missing(tasks, report, again=again), BATCH):
                    fetched = fetching.submit(self._fetch, tasks_now)
                    ahead.append(decoding.submit(self._decode, tasks_now, fetched))
                    if len(ahead) > AHEAD:
                        self._finish(ahead.popleft().result(), report)
                while ahead:
                    self._finish(ahead.popleft().result(), report)
            except BaseException:  # Ctrl-C too: leave nobody waiting in a pause
                self._given_up.set()
                for future in ahead:
                    future.cancel()
                raise
        report.seconds = time.monotonic() - started
        return report

    def _missing(self, tasks: Iterable[Task], report: LoadReport, *, again: bool) -> Iterator[Task]:
        """The tasks whose point is not there, each once."""
        seen: set[object] = set()
        for part in _batched(tasks, LOOK_UP):
            ids = [task.point.point_id for task in part]
            there = set() if again else self._patiently(lambda ids=ids: self.catalogue.existing(ids))  # type: ignore[misc]
            for task in part:
                if task.point.point_id in there or task.point.point_id in seen:
                    report.skipped += 1
                    self.progress(1)
                    continue
                seen.add(task.point.point_id)
                yield task

    def _fetch(self, tasks: Sequence[Task]) -> list[Photo | IntakeError]:
        def attempt() -> list[Photo | IntakeError]:
            answers = self.fetcher.fetch([task.point.location for task in tasks])
            for answer in answers:
                if isinstance(answer, IntakeError) and not isinstance(answer, DeadLetterError):
                    raise answer
            return answers

        return self._patiently(attempt)

    def _decode(self, tasks: Sequence[Task], fetched: Future[list[Photo | IntakeError]]) -> _Batch:
        batch = _Batch()
        photos: list[tuple[Task, Photo]] = []
        for task, answer in zip(tasks, fetched.result(), strict=True):
            if isinstance(answer, IntakeError):
                batch.refuse(task, answer)
            else:
                photos.append((task, answer))
        for (task, _), pixels in zip(photos, self.steps.decode([photo for _, photo in photos]), strict=True):
            if isinstance(pixels, IntakeError):
                batch.refuse(task, pixels)
            else:
                batch.decoded.append((task, pixels))
        return batch

    def _finish(self, batch: _Batch, report: LoadReport) -> None:
        categories = [task.point.attributes.category for task, _ in batch.decoded]
        cuts = self.steps.cut_out([pixels for _, pixels in batch.decoded], categories)
        kept: list[tuple[Task, Crop]] = []
        for (task, _), cut in zip(batch.decoded, cuts, strict=True):
            if isinstance(cut, IntakeError):
                batch.refuse(task, cut)
            else:
                kept.append((task, cut.crop))
        if kept:
            vectors = self.steps.embed([crop for _, crop in kept])
            points = [replace(task.point, vector=vector) for (task, _), vector in zip(kept, vectors, strict=True)]
            self._patiently(lambda: self.catalogue.upsert(points))
        report.loaded += len(kept)
        report.refused += batch.refused
        self.progress(len(kept) + len(batch.refused))

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Try again what may pass, with pauses; the last error is raised."""
        pause = self.first_pause_s
        for _ in range(TRIES - 1):
            try:
                return attempt()
            except RetryError:
                if self._given_up.wait(pause):
                    raise
                pause *= 2
        return attempt()


@dataclass(slots=True)
class _Batch:
    decoded: list[tuple[Task, Pixels]] = field(default_factory=list)
    refused: list[RefusedPhoto] = field(default_factory=list)

    def refuse(self, task: Task, error: Any) -> None:
        self.refused.append(RefusedPhoto(task.point.article_id, task.point.location, str(error)))


def tasks_of(entries: Iterable[CatalogueEntry], fingerprint: str) -> Iterator[Task]:
    """Tasks for the photos of a source."""
    now = datetime.now(UTC)
    return (Task.of_entry(entry, fingerprint, now) for entry in entries)


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
