"""What was computed once: masks and vectors by content and method, in one SQLite file that several processes may use."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from worker.errors import ConfigurationError
from worker.vision.store import xdg
from worker.vision.types import ByteArray, FloatArray

FILE = "lab.sqlite"
BUSY_S = 60.0  # how long one process waits for another's write
_TABLES = """
create table if not exists vectors (method text, content blob, vector blob, ms real, primary key (method, content)) without rowid;
create table if not exists masks (segmenter text, content blob, png blob, ms real, primary key (segmenter, content)) without rowid;
create table if not exists memory (method text primary key, loaded_mb real, peak_mb real) without rowid;
"""


def cache_folder() -> Path:
    """Where the lab keeps what it computed: ``intake/lab`` in the user's cache folder (XDG_CACHE_HOME)."""
    return xdg("XDG_CACHE_HOME", ".cache") / "intake" / "lab"


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """An array and the milliseconds it took when it was computed."""

    value: FloatArray
    ms: float


class LabCache:
    """Thread-safe. What is put stays, also if the process is killed after it."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None: kept in memory, gone with the process.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        self._lock = threading.Lock()
        self._where = str(folder / FILE) if folder is not None else ":memory:"
        with self._guarded():
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self._where,
                timeout=BUSY_S,
                check_same_thread=False,
                # Each write is a transaction of its own: one that stays open while models run would keep other processes waiting.
                isolation_level=None,
            )
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.executescript(_TABLES)

    def vector(self, method: str, content: bytes) -> Timed | None:
        """The vector of a photo, float32."""
        row = self._one("select vector, ms from vectors where method = ? and content = ?", (method, content))
        return None if row is None else Timed(np.frombuffer(cast("bytes", row[0]), np.float32), float(cast("float", row[1])))

    def put_vector(self, method: str, content: bytes, vector: FloatArray, ms: float) -> None:
        """Keep a vector."""
        data = np.ascontiguousarray(vector, np.float32).tobytes()
        self._run("insert or replace into vectors values (?, ?, ?, ?)", (method, content, data, ms))

    def mask(self, segmenter: str, content: bytes) -> tuple[ByteArray, float] | None:
        """The alpha of a photo's mask, (h, w) uint8, and its milliseconds."""
        row = self._one("select png, ms from masks where segmenter = ? and content = ?", (segmenter, content))
        if row is None:
            return None
        alpha = cv2.imdecode(np.frombuffer(cast("bytes", row[0]), np.uint8), cv2.IMREAD_GRAYSCALE)
        return None if alpha is None else (np.asarray(alpha, np.uint8), float(cast("float", row[1])))

    def mask_ms(self, segmenter: str, content: bytes) -> float | None:
        """What `mask` says of the time, without decoding it."""
        row = self._one("select ms from masks where segmenter = ? and content = ?", (segmenter, content))
        return None if row is None else float(cast("float", row[0]))

    def put_mask(self, segmenter: str, content: bytes, alpha: ByteArray, ms: float) -> None:
        """Keep a mask, without loss."""
        done, png = cv2.imencode(".png", alpha)
        if done:
            self._run("insert or replace into masks values (?, ?, ?, ?)", (segmenter, content, png.tobytes(), ms))

    def memory(self, method: str) -> tuple[float, float] | None:
        """Megabytes that a method took: loaded, and at its peak."""
        row = self._one("select loaded_mb, peak_mb from memory where method = ?", (method,))
        return None if row is None else (float(cast("float", row[0])), float(cast("float", row[1])))

    def put_memory(self, method: str, loaded_mb: float, peak_mb: float) -> None:
        """Keep what `memory` gives."""
        self._run("insert or replace into memory values (?, ?, ?)", (method, loaded_mb, peak_mb))

    def close(self) -> None:
        """Close the file."""
        with self._guarded():
            self._db.close()

    def _one(self, query: str, values: tuple[object, ...]) -> tuple[object, ...] | None:
        with self._guarded():
            return cast("tuple[object, ...] | None", self._db.execute(query, values).fetchone())

    def _run(self, query: str, values: tuple[object, ...]) -> None:
        with self._guarded():
            self._db.execute(query, values)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"the lab's cache {self._where} cannot be used: {error}; delete it, set XDG_CACHE_HOME to a folder that can be written, "
                "or give --no-cache"
            ) from error
