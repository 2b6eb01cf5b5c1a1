"""The tagger: an ONNX model from crops to probabilities of labels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from worker.errors import ModelError
from worker.vision.preprocess import to_input
from worker.vision.rows import HeadSpec, ModelRow
from worker.vision.session import OnnxSession
from worker.vision.types import ByteArray, FloatArray

# How far a head's probabilities may add up to something else than 1: half precision rounds by up to a thousandth.
TOLERANCE = 0.01


class OnnxTagger:
    """A tagging model of the registry."""

    def __init__(self, row: ModelRow, session: OnnxSession, threads: int) -> None:
        """`threads` prepare the photos of a batch side by side."""
        if row.task != "tag" or row.input is None:
            raise ModelError(f"model {row.id} is no tagger")
        self._row, self._input, self._session = row, row.input, session
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="tag")
        self._ends = np.cumsum([len(head.labels) for head in row.heads])

    @property
    def model_id(self) -> str:
        """Registry id."""
        return self._row.id

    @property
    def heads(self) -> tuple[HeadSpec, ...]:
        """As `Tagger.heads`."""
        return self._row.heads

    def tag(self, photos: Sequence[ByteArray]) -> FloatArray:
        """As `Tagger.tag`."""
        width = int(self._ends[-1])
        if not photos:
            return np.zeros((0, width), np.float32)
        feed = {self._input.image: np.stack(list(self._pool.map(lambda rgb: to_input(rgb, self._input), photos)))}
        found = self._session.run(feed)
        if found.shape != (len(photos), width):
            raise ModelError(f"model {self._row.id} gave {found.shape}, its row means {(len(photos), width)}")
        sums = np.stack([part.sum(1) for part in np.split(found, self._ends[:-1], axis=1)])
        # Written so that NaN fails, too.
        if not (found.min() >= 0 and np.abs(sums - 1).max() <= TOLERANCE):
            raise ModelError(f"model {self._row.id} gave no probabilities: those of each head must add up to 1")
        return found
