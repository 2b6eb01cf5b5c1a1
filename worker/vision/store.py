"""The cache of model files: named by their hash, written atomically, safe for many processes at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import ModelError
from worker.settings.vision import VisionSettings
from worker.vision.rows import ModelRow
from worker.vision.sources import CHUNK, fetch, is_remote, local_path


def xdg(variable: str, fallback: str) -> Path:
    """A folder of the XDG base directory specification; relative values are ignored, as it says."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / fallback


def cache_dir(settings: VisionSettings) -> Path:
    """Where pulled models lie."""
    return settings.cache_dir or xdg("XDG_CACHE_HOME", ".cache") / "intake" / "models"


def file_sha256(path: Path) -> str:
    """The hash of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class ModelStore:
    """Gives the verified file of a row, fetching it once if it must and may."""

    def __init__(self, settings: VisionSettings, rows_dir: Path | None = None) -> None:
        """`rows_dir`: what relative ``file:`` sources are relative to."""
        self._cache = cache_dir(settings)
        self._offline = settings.offline
        self._rows_dir = rows_dir

    def path(self, row: ModelRow) -> Path:
        """Where the row's file is, or will be once it is pulled."""
        if row.source is None or row.sha256 is None:
            raise ModelError(f"model {row.id} has no file: it is made of code alone")
        # The hash is the name: a row that changes its file never meets the old one, and equal files are stored once.
        return local_path(row.source, self._rows_dir) or self._cache / f"{row.sha256}.onnx"

    def state(self, row: ModelRow) -> str:
        """`built in`, `present`, `absent` or `corrupt`: for people."""
        if row.kind != "onnx":
            return "built in"
        path = self.path(row)
        if not path.is_file():
            return "absent"
        return "present" if file_sha256(path) == row.sha256 else "corrupt"

    def ensure(self, row: ModelRow) -> Path:
        """The row's file, verified; fetched first if it is not there.

        Raises:
            ModelError: it is not there and cannot or may not be fetched, or it is not the file the row means.
        """
        path = self.path(row)
        if row.source is None or not is_remote(row.source):
            return self._verified_local(row, path)
        if path.is_file() and file_sha256(path) == row.sha256:
            return path
        if self._offline:
            raise ModelError(
                f"model {row.id} is not in {self._cache} and INTAKE_VISION__OFFLINE forbids fetching it: "
                f"run `intake models pull {row.id}` where there is a network, and bring the cache folder along"
            )
        self._cache.mkdir(parents=True, exist_ok=True)
        with self._lock(path):
            # Another process may have fetched it while this one waited.
            if not (path.is_file() and file_sha256(path) == row.sha256):
                self._fetch(row, path)
        return path

    def _fetch(self, row: ModelRow, path: Path) -> None:
        handle, name = tempfile.mkstemp(dir=self._cache, prefix=f".{row.id}-", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            fetch(row.source or "", part)
            found = file_sha256(part)
            if found != row.sha256:
                raise ModelError(
                    f"model {row.id}: the file from {row.source} has sha256 {found}, the row says {row.sha256}. It was thrown "
                    f"away; try again, and if it comes back, do not use that source"
                )
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @staticmethod
    def _verified_local(row: ModelRow, path: Path) -> Path:
        if not path.is_file():
            raise ModelError(f"model {row.id}: {path} is not there; put it back, or add it again with `intake models add`")
        if (found := file_sha256(path)) != row.sha256:
            raise ModelError(
                f"model {row.id}: {path} has sha256 {found}, its row says {row.sha256}; add it again if it was changed"
            )
        return path

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """One fetcher of a file at a time, across processes; the kernel frees the lock when its holder dies."""
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
