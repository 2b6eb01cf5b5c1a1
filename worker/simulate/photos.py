"""A simulated photo: described first, drawn when it is needed, in as many processes as are given."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, Rng, child_rng
from worker.simulate.backgrounds import background_from_photo
from worker.simulate.categories import Category
from worker.simulate.garments import garment, studio_photo
from worker.simulate.layers import View
from worker.simulate.phone import PHONE_SIZE, phone_shot
from worker.simulate.phone_harsh import phone_shot_harsh
from worker.simulate.spoiling import Spoiling, spoiled
from worker.simulate.studio import cut_out_studio

STUDIO_SIDE = 640
STUDIO_QUALITY = 92
PHONE_QUALITY = 90
# A studio cut-out that covers more than this is none: the photo has no plain ground.
_MOST_COVERED = 0.9


class Shot(StrEnum):
    """How a photo is taken."""

    STUDIO = "studio"
    MILD = "mild"
    HARSH = "harsh"
    SECOND = "second"  # the second simulator, `phone_harsh`


@dataclass(frozen=True, slots=True)
class Drawn:
    """A side of a drawn garment."""

    seed: int
    colourway: int
    view: View
    category: Category | None = None


@dataclass(frozen=True, slots=True)
class RealPhoto:
    """A real studio photo, on a plain ground."""

    path: str


Source = Drawn | RealPhoto


@dataclass(frozen=True, slots=True)
class SimulatedPhoto:
    """Everything a photo is drawn from; the same description gives the same bytes.

    Attributes:
        view: what it shows, as the event says: front, back.
        source: the garment.
        shot: how it is taken.
        key: seeds the shot.
        spoiling: how the file is made unreadable, or None.
        backgrounds: real phone photos whose margins the garment is laid on; empty: drawn backgrounds.
    """

    view: str
    source: Source
    shot: Shot
    key: tuple[int, ...]
    spoiling: Spoiling | None = None
    backgrounds: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        """Of the file's name. A real studio photo keeps its own."""
        if self.shot is Shot.STUDIO and isinstance(self.source, RealPhoto):
            return Path(self.source.path).suffix.lower()
        return ".jpg"


def draw_photo(photo: SimulatedPhoto) -> bytes:
    """The photo's file.

    Raises:
        ValueError: a real photo cannot be read, or has no plain ground to cut its garment from.
    """
    if photo.shot is Shot.STUDIO and isinstance(photo.source, RealPhoto):
        return Path(photo.source.path).read_bytes()
    rng = child_rng(*photo.key)
    if photo.shot is Shot.STUDIO:
        rgb, _ = _studio(photo.source)
        data = _encoded(rgb, STUDIO_QUALITY)
    else:
        data = _encoded(draw_shot(photo)[0], PHONE_QUALITY)
    return spoiled(data, photo.spoiling, rng) if photo.spoiling else data


def draw_shot(photo: SimulatedPhoto) -> tuple[ByteArray, ByteArray]:
    """The picture and its true mask, before it is encoded (and spoiled); raises as `draw_photo`."""
    rgb, mask = _studio(photo.source)
    if photo.shot is Shot.STUDIO:
        return rgb, mask
    rng = child_rng(*photo.key)
    background = _background(photo.backgrounds, rng)
    if photo.shot is Shot.SECOND:
        return phone_shot_harsh(rgb, mask, background, rng)
    severity: Literal["mild", "harsh"] = "mild" if photo.shot is Shot.MILD else "harsh"
    return phone_shot(rgb, mask, background, rng, severity)


def draw_photos(photos: Iterable[SimulatedPhoto], processes: int) -> Iterator[bytes]:
    """The photos' files, in order, drawn ahead in `processes` processes (0: in this one, when asked for).

    Only a few photos are held at a time, however many there are.
    """
    if processes < 1:
        yield from map(draw_photo, photos)
        return
    # Spawned, not forked: the caller may run threads of Kafka and S3 clients.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_one_thread) as pool:
        ahead: deque[Future[bytes]] = deque()
        try:
            for photo in photos:
                ahead.append(pool.submit(draw_photo, photo))
                if len(ahead) > 4 * processes:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # Cancelled one by one and waited for (a photo takes a tenth of a second): a pool that is left without waiting
            # sometimes writes to its closed pipe at exit.
            for future in ahead:
                future.cancel()


def _one_thread() -> None:
    cv2.setNumThreads(1)  # the processes are the parallelism


def _studio(source: Source) -> tuple[ByteArray, ByteArray]:
    if isinstance(source, Drawn):
        drawn = studio_photo(garment(source.seed, source.colourway, source.category), source.view, STUDIO_SIDE)
        return drawn.rgb, drawn.mask
    rgb = read_rgb(source.path)
    mask = cut_out_studio(rgb)
    covered = float((mask > 127).mean())
    if not 0 < covered < _MOST_COVERED:
        raise ValueError(
            f"{source.path}: no garment on a plain light ground can be cut out; phone shots are simulated from studio photos"
        )
    return rgb, mask


def read_rgb(path: str) -> ByteArray:
    """A photo's pixels, (h, w, 3) uint8 sRGB, upright.

    Raises:
        ValueError: OpenCV cannot read it.
    """
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if bgr is None:
        raise ValueError(f"{path}: no picture that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _background(paths: tuple[str, ...], rng: Rng) -> ByteArray | None:
    if not paths:
        return None
    return background_from_photo(read_rgb(paths[int(rng.integers(len(paths)))]), PHONE_SIZE, rng)


def _encoded(rgb: ByteArray, quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV could not encode the picture as JPEG")
    return data.tobytes()
