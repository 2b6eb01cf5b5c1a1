"""The embedder: an ONNX model from crops to L2-normalised vectors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from worker.errors import ModelError
from worker.vision.preprocess import to_input
from worker.vision.rows import ModelRow
from worker.vision.session import Feed, OnnxSession
from worker.vision.types import ByteArray, Crop, FloatArray

# A vector shorter than this has no direction; dividing by it would give NaN, which an index stores and never finds.
SMALLEST_NORM = 1e-12


class OnnxEmbedder:
    """An embedding model of the registry."""

    def __init__(self, row: ModelRow, session: OnnxSession, threads: int) -> None:
        """`threads` prepare the crops of a batch side by side."""
        if row.input is None or row.output is None or row.output.dimension is None:
            raise ModelError(f"model {row.id} has no graph to run")
        self._row = row
        self._input = row.input
        self._dimension = row.output.dimension
        self._session = session
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="embed")

    @property
    def model_id(self) -> str:
        """Registry id."""
        return self._row.id

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        """As `Embedder.embed`."""
        if not crops:
            return np.zeros((0, self._dimension), np.float32)
        feed: Feed = {self._input.image: np.stack(list(self._pool.map(lambda crop: to_input(crop.rgb, self._input), crops)))}
        if self._input.mask:
            feed = {**feed, self._input.mask: np.stack([self._mask(crop.mask) for crop in crops])}
        vectors = self._session.run(feed)
        if vectors.shape != (len(crops), self._dimension):
            raise ModelError(f"model {self._row.id} gave {vectors.shape}, its row means {(len(crops), self._dimension)}")
        if not np.isfinite(vectors).all():
            raise ModelError(f"model {self._row.id} gave numbers that are not finite; half precision may not suit it")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: FloatArray = np.divide(vectors, np.maximum(norms, SMALLEST_NORM), dtype=np.float32)
        return unit

    def _mask(self, mask: ByteArray) -> ByteArray:
        size = (self._input.width, self._input.height)
        return mask if mask.shape == size[::-1] else np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
