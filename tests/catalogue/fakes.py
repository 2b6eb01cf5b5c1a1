"""Models that need no file: what they compute depends on the photo alone, and on which model they play."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worker.embedding import PhotoEmbedder
from worker.imaging.decode import make_decoder
from worker.settings import ImagingSettings, Settings
from worker.vision.types import ByteArray, Crop, FloatArray, Mask

SIDE = 4


class WholePhoto:
    """A segmenter that takes the whole photo for the garment."""

    model_id = "whole-photo"

    def segment(self, photos: Sequence[ByteArray], categories: Sequence[str | None] | None = None) -> list[Mask]:
        return [Mask(np.full(photo.shape[:2], 255, np.uint8), 1.0) for photo in photos]


@dataclass(frozen=True)
class Thumbnail:
    """An embedder: the crop shrunk to SIDE x SIDE colours, centred, L2-normalised. `turn` makes it another model."""

    turn: int = 0
    model_id: str = "thumbnail"

    @property
    def dimension(self) -> int:
        return SIDE * SIDE * 3 + self.turn

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        rows = [cv2.resize(crop.rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel().astype(np.float32) for crop in crops]
        padded = np.stack([np.concatenate([np.roll(row, self.turn) - 127.0, np.ones(self.turn, np.float32)]) for row in rows])
        return np.asarray(padded / np.linalg.norm(padded, axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class FakeModels:
    embedder: Thumbnail
    fingerprint: str


def photo_embedder(embedder: Thumbnail | None = None) -> PhotoEmbedder:
    """The real decoder and crop around the models above."""
    decoder = make_decoder(ImagingSettings(isolation="none", target_side=64))
    return PhotoEmbedder(decoder, WholePhoto(), embedder or Thumbnail(), 64)


def opener(embedder: Thumbnail, fingerprint: str) -> Any:
    """Stands in for `worker.assembly.open_embedder`."""

    @contextmanager
    def open_embedder(settings: Settings) -> Iterator[tuple[FakeModels, PhotoEmbedder]]:
        with closing(make_decoder(settings.imaging)) as decoder:
            yield FakeModels(embedder, fingerprint), PhotoEmbedder(decoder, WholePhoto(), embedder, 64)

    return open_embedder


def draw(path: Path, seed: int) -> Path:
    """A photo of coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = cv2.resize(blocks, (96, 96), interpolation=cv2.INTER_NEAREST)
    if not cv2.imwrite(str(path), picture):
        raise RuntimeError(path)
    return path
