"""Photos to vectors by any method: fetched, decoded and cut out as the worker does, each photo once, and never twice.

A photo's bytes are the key of what is kept: a manifest that names a photo under two paths, or a second run, computes nothing again.
A run that is killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

import numpy as np

from worker.errors import DeadLetterError, IntakeError, RetryError
from worker.imaging.decode import PhotoDecoder, make_decoder
from worker.imaging.types import Photo, Pixels
from worker.lab.cache import LabCache
from worker.lab.models import LoadedMethod, key_of
from worker.loading import AnyPhotos
from worker.settings import Settings
from worker.vision.crop import make_crop
from worker.vision.segmenters import mask_of
from worker.vision.types import ByteArray, Crop, FloatArray, Mask

# Photos that are fetched and decoded while the models work on those before: enough for every decoder process, few in memory.
CHUNK = 16
# S3 that does not answer is asked again after these pauses (seconds), beside the client's own tries.
RETRY_PAUSES_S = (1.0, 4.0)

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one photo costs, median milliseconds as measured when it was computed."""

    segment_ms: float
    describe_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Vectors of photos.

    Attributes:
        vectors: (photos, dimension) float32; a row of NaN where a photo cannot be read.
        faults: why, by location.
    """

    vectors: FloatArray
    faults: dict[str, str]
    cost: Cost

    @property
    def read(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which rows hold a vector."""
        return np.asarray(~np.isnan(self.vectors).any(axis=1), np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A photo that was fetched: its pixels, or the vector it had already, or why it has none."""

    location: str
    content: bytes = b""
    pixels: Pixels | None = None
    vector: FloatArray | None = None
    ms: float = 0.0
    fault: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PhotoBench:
    """What reads photos, and the cache. One embedding at a time.

    Attributes:
        categories: of photos, by location: what the worker knows from the event. Segmenters that know classes cut out what they name.
    """

    photos: AnyPhotos
    decoder: PhotoDecoder
    cache: LabCache
    categories: Mapping[str, str] = field(default_factory=dict)

    def embed(self, locations: Sequence[str], loaded: LoadedMethod, progress: Progress) -> Vectors:
        """Vectors of photos, one row for each location, in order; each location is looked at once.

        Raises:
            StopError: a model does not run, or S3 refuses the credentials. What was computed is kept.
        """
        wanted = list(dict.fromkeys(locations))
        places = {location: number for number, location in enumerate(wanted)}
        vectors = np.full((len(wanted), loaded.descriptor.card.dimension), np.nan, np.float32)
        faults: dict[str, str] = {}
        times: list[tuple[float, float]] = []
        for chunk in self._opened(wanted, loaded):
            for opened in chunk:
                if opened.vector is not None:
                    vectors[places[opened.location]] = opened.vector
                    times.append(self._cached_times(opened, loaded))
                elif opened.fault is not None:
                    faults[opened.location] = opened.fault
            fresh = [opened for opened in chunk if opened.pixels is not None]
            for opened, result in self._computed(fresh, loaded):
                if isinstance(result, str):
                    faults[opened.location] = result
                else:
                    vectors[places[opened.location]] = result[0]
                    times.append(result[1])
            progress(len(chunk))
        costs = np.median(np.asarray(times), axis=0) if times else np.zeros(2)
        rows = np.asarray([places[location] for location in locations], np.int64)
        return Vectors(vectors[rows], faults, Cost(float(costs[0]), float(costs[1])))

    def shown(self, location: str) -> ByteArray | None:
        """One photo for showing, (h, w, 3) uint8; None where it cannot be read."""
        [answer] = self.photos.fetch([location])
        if isinstance(answer, IntakeError):
            return None
        [decoded] = self.decoder.decode([answer])
        return decoded.rgb if isinstance(decoded, Pixels) else None

    def _mask(self, content: bytes, pixels: Pixels, loaded: LoadedMethod, location: str) -> tuple[Mask, float]:
        """The garment in a photo and the milliseconds it took, kept by content, segmenter and the class asked for."""
        key = self._key(loaded.segmenter_key, loaded, location)
        kept = self.cache.mask(key, content)
        if kept is not None and kept[0].shape == pixels.rgb.shape[:2]:
            return mask_of(kept[0]), kept[1]
        start = time.perf_counter()
        mask = loaded.segmenter.segment([pixels.rgb], [self.categories.get(location)])[0]
        ms = (time.perf_counter() - start) * 1000
        self.cache.put_mask(key, content, mask.alpha, ms)
        return mask, ms

    def _key(self, key: str, loaded: LoadedMethod, location: str) -> str:
        """`key`, and the class that is asked for where the segmenter knows classes."""
        return key_of(key, self.categories.get(location)) if loaded.knows_classes else key

    def crops(self, locations: Sequence[str], loaded: LoadedMethod, progress: Progress) -> Iterator[tuple[str, Crop | str]]:
        """What the descriptor sees of each photo, or why it sees nothing."""
        wanted = list(dict.fromkeys(locations))
        for start in range(0, len(wanted), CHUNK):
            chunk = self._open(wanted[start : start + CHUNK], None)
            for opened in chunk:
                yield opened.location, opened.fault or self._cut(opened, loaded)[0]
            progress(len(chunk))

    def _opened(self, wanted: list[str], loaded: LoadedMethod) -> Iterator[list[_Opened]]:
        """Chunks in order, the next one being read while the caller works on this one."""
        with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
            chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
            ahead: Future[list[_Opened]] | None = reader.submit(self._open, chunks[0], loaded) if chunks else None
            for number in range(len(chunks)):
                current = ahead
                ahead = reader.submit(self._open, chunks[number + 1], loaded) if number + 1 < len(chunks) else None
                if current is not None:
                    yield current.result()

    def _open(self, locations: list[str], loaded: LoadedMethod | None) -> list[_Opened]:
        opened: list[_Opened] = []
        todo: list[tuple[int, bytes, Photo]] = []
        for location, answer in zip(locations, self._fetched(locations), strict=True):
            if isinstance(answer, DeadLetterError):
                opened.append(_Opened(location, fault=f"{answer.reason}: {answer}"))
                continue
            if isinstance(answer, RetryError):
                opened.append(_Opened(location, fault=str(answer)))
                continue
            if isinstance(answer, IntakeError):
                raise answer
            content = hashlib.sha256(answer.data).digest()
            kept = self.cache.vector(self._key(loaded.vector_key, loaded, location), content) if loaded is not None else None
            if kept is not None:
                opened.append(_Opened(location, content, vector=kept.value, ms=kept.ms))
            else:
                todo.append((len(opened), content, answer))
                opened.append(_Opened(location, content))
        decoded = self.decoder.decode([photo for _, _, photo in todo]) if todo else []
        for (index, content, _), pixels in zip(todo, decoded, strict=True):
            location = opened[index].location
            if isinstance(pixels, Pixels):
                opened[index] = _Opened(location, content, pixels=pixels)
            else:
                opened[index] = _Opened(location, content, fault=f"{pixels.reason}: {pixels}")
        return opened

    def _fetched(self, locations: list[str]) -> list[Photo | IntakeError]:
        answers = self.photos.fetch(locations)
        for pause in RETRY_PAUSES_S:
            late = [index for index, answer in enumerate(answers) if isinstance(answer, RetryError)]
            if not late:
                break
            time.sleep(pause)
            for index, answer in zip(late, self.photos.fetch([locations[index] for index in late]), strict=True):
                answers[index] = answer
        return answers

    def _cut(self, opened: _Opened, loaded: LoadedMethod) -> tuple[Crop | str, float]:
        if opened.pixels is None:
            return "there are no pixels", 0.0
        mask, ms = self._mask(opened.content, opened.pixels, loaded, opened.location)
        try:
            return make_crop(opened.pixels.rgb, mask, loaded.descriptor.card.crop_side), ms
        except DeadLetterError as error:
            return f"{error.reason}: {error}", ms

    def _computed(
        self, fresh: list[_Opened], loaded: LoadedMethod
    ) -> Iterator[tuple[_Opened, str | tuple[FloatArray, tuple[float, float]]]]:
        """The vector and times of each photo, or why it has none."""
        cut: list[tuple[_Opened, Crop, float]] = []
        for opened in fresh:
            crop, ms = self._cut(opened, loaded)
            if isinstance(crop, str):
                yield opened, crop
            else:
                cut.append((opened, crop, ms))
        batch = loaded.descriptor.card.batch
        for start in range(0, len(cut), batch):
            part = cut[start : start + batch]
            begun = time.perf_counter()
            vectors = loaded.descriptor.describe([crop for _, crop, _ in part])
            each = (time.perf_counter() - begun) * 1000 / len(part)
            for (opened, _, segment_ms), vector in zip(part, vectors, strict=True):
                self.cache.put_vector(self._key(loaded.vector_key, loaded, opened.location), opened.content, vector, each)
                yield opened, (vector, (segment_ms, each))

    def _cached_times(self, opened: _Opened, loaded: LoadedMethod) -> tuple[float, float]:
        return self.cache.mask_ms(self._key(loaded.segmenter_key, loaded, opened.location), opened.content) or 0.0, opened.ms


@contextmanager
def open_bench(settings: Settings, cache: LabCache, categories: Mapping[str, str] | None = None) -> Iterator[PhotoBench]:
    """Everything that reads photos, closed again; `categories` as in `PhotoBench`."""
    with ExitStack() as stack:
        stack.enter_context(closing(cache))
        photos = stack.enter_context(closing(AnyPhotos(settings)))
        decoder = stack.enter_context(closing(make_decoder(settings.imaging)))
        yield PhotoBench(photos, decoder, cache, categories or {})
