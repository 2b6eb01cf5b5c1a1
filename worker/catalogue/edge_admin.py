"""Embedded collections in a folder, held by one process.

The folder::

    lock                          held (flock) by the process that has the folder open
    alias.json                    {"catalogue": "catalogue-1a2b3c"}, replaced atomically
    collections/<name>/shape.json {"dimension": 512, "distance": "cosine"}
    collections/<name>/shard/     Qdrant Edge's own files
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from pathlib import Path

import qdrant_edge as edge

from worker.catalogue import payload
from worker.catalogue.edge import MEGABYTE, EdgeCatalogue, EdgeShardHandle
from worker.catalogue.naming import checked_name
from worker.errors import CatalogueUnavailable, ConfigurationError
from worker.settings.catalogue import CatalogueSettings

# Segments up to this many KB of vectors are scanned even where a graph could be built (Qdrant's own default).
FULL_SCAN_THRESHOLD_KB = 10_000
# A name no collection can have (`checked_name` wants a letter or digit first): half-made and half-dropped ones.
UNFINISHED = ".unfinished-"


class EdgeAdmin:
    """`worker.catalogue.protocol.CatalogueAdmin` on a folder. Thread-safe; a second one on the same folder is refused."""

    def __init__(self, settings: CatalogueSettings) -> None:
        self._settings = settings
        self._root = settings.path.expanduser().absolute()
        self._collections = self._root / "collections"
        self._lock = threading.RLock()
        self._handles: dict[str, EdgeShardHandle] = {}
        try:
            self._collections.mkdir(parents=True, exist_ok=True)
            self._holding = _hold(self._root / "lock")
            for leftover in self._collections.glob(f"{UNFINISHED}*"):
                shutil.rmtree(leftover)
        except OSError as error:
            raise CatalogueUnavailable(f"the embedded index {self._root} cannot be opened: {error.strerror}") from error

    @property
    def alias(self) -> str:
        """Name of the alias."""
        return self._settings.alias

    def ensure_collection(self, name: str, dimension: int) -> bool:
        """Create the collection unless it is there; True if it was created."""
        with self._lock:
            created = not self._folder(name).exists()
            if created:
                self._create(name, dimension)
            handle = self._open(name)
            if handle.dimension != dimension:
                raise ConfigurationError(
                    f"collection {name!r} has dimension {handle.dimension}, the models give {dimension}: run `intake catalogue reindex`"
                )
            self._index_fields(handle)
            return created

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return sorted(folder.name for folder in self._collections.iterdir() if not folder.name.startswith("."))

    def alias_target(self) -> str | None:
        """The collection the alias names now."""
        target = self._aliases().get(self._settings.alias)
        return target if target is not None and self._folder(target).exists() else None

    def switch_alias(self, collection: str) -> None:
        """Point the alias at `collection`: readers see the old or the new file, never none."""
        with self._lock:
            if not self._folder(collection).exists():
                raise ConfigurationError(f"there is no collection {collection!r} for the alias {self._settings.alias!r}")
            _write_atomically(self._root / "alias.json", {**self._aliases(), self._settings.alias: collection})

    def open(self, collection: str) -> EdgeCatalogue:
        """A catalogue on this collection; catalogues on one collection share its shard."""
        with self._lock:
            if not self._folder(collection).exists():
                raise ConfigurationError(f"there is no collection {collection!r} in {self._root}")
            return EdgeCatalogue(self._open(collection), self._settings.alias, self._settings.hnsw.ef_search)

    def drop_collection(self, name: str) -> None:
        """Delete a collection; refuses the one the alias names. Nothing happens if it is not there."""
        with self._lock:
            folder = self._folder(name)
            if name == self.alias_target():
                raise ConfigurationError(
                    f"{name!r} is live (the alias {self._settings.alias!r} names it): switch the alias first"
                )
            if not folder.exists():
                return
            self._shut(name)
            doomed = self._collections / f"{UNFINISHED}{name}"
            folder.rename(doomed)
            shutil.rmtree(doomed)

    def close(self) -> None:
        """Flush and close every shard and release the folder, also for opened catalogues. Idempotent."""
        with self._lock:
            for name in list(self._handles):
                self._shut(name)
            self._holding.close()

    def _folder(self, name: str) -> Path:
        return self._collections / checked_name(name)

    def _aliases(self) -> dict[str, str]:
        try:
            return dict(json.loads((self._root / "alias.json").read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CatalogueUnavailable(f"{self._root / 'alias.json'} cannot be read: {error}") from error

    def _create(self, name: str, dimension: int) -> None:
        """Make the collection aside and rename it, so that a crash leaves a whole one or none."""
        making = self._collections / f"{UNFINISHED}{name}"
        settings = self._settings
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine, on_disk=settings.on_disk),
            hnsw_config=edge.HnswIndexConfig(
                m=settings.hnsw.m, ef_construct=settings.hnsw.ef_construct, full_scan_threshold=FULL_SCAN_THRESHOLD_KB
            ),
            quantization_config=_quantisation(settings.quantisation),
        )
        try:
            shutil.rmtree(making, ignore_errors=True)
            (making / "shard").mkdir(parents=True)
            shard = edge.EdgeShard.create(str(making / "shard"), config)
            shard.close()
            _write_atomically(making / "shape.json", {"dimension": dimension, "distance": "cosine"})
            making.rename(self._folder(name))
            _sync_folder(self._collections)
        except Exception as error:  # the engine raises bare Exceptions
            raise CatalogueUnavailable(f"the embedded index {self._root} could not create {name!r}: {error}") from error

    def _open(self, name: str) -> EdgeShardHandle:
        self._check_held()
        if name not in self._handles:
            folder = self._folder(name)
            try:
                shape = json.loads((folder / "shape.json").read_bytes())
                room = self._settings.min_free_mb * MEGABYTE
                self._handles[name] = EdgeShardHandle.open(folder, int(shape["dimension"]), room)
            except Exception as error:  # the engine raises bare Exceptions
                raise CatalogueUnavailable(f"the embedded index {folder} cannot be opened: {error}") from error
        return self._handles[name]

    def _check_held(self) -> None:
        if self._holding.closed:
            raise ConfigurationError(f"the embedded index {self._root} was closed while it was in use")

    def _index_fields(self, handle: EdgeShardHandle) -> None:
        wanted = [*payload.INDEXED, *(payload.attribute_field(name) for name in self._settings.filter_attributes)]
        with handle.use("index its fields", writes=True) as shard:
            known = shard.info().payload_schema
            for field in wanted:
                if field not in known:
                    shard.update(edge.UpdateOperation.create_field_index(field, edge.PayloadSchemaType.Keyword))

    def _shut(self, name: str) -> None:
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.close()


def _hold(path: Path) -> _Holding:
    """Take the lock; raises `ConfigurationError` naming the process that has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise ConfigurationError(
            f"the embedded index {path.parent} is held by process {holder}: only one process can have it; stop that one, or use a "
            "Qdrant server (INTAKE_CATALOGUE__ENGINE=qdrant) where several workers share a catalogue"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
    return _Holding(descriptor)


class _Holding:
    """An open lock file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @property
    def closed(self) -> bool:
        return self._descriptor is None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_atomically(path: Path, content: dict[str, object]) -> None:
    """Replace the file by one rename, after its content has reached the disk."""
    try:
        with (path.parent / f".{path.name}.new").open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CatalogueUnavailable(f"{path} cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quantisation(kind: str) -> edge.ScalarQuantizationConfig | edge.BinaryQuantizationConfig | None:
    if kind == "scalar":
        # The 0.99 quantile drops outliers that would coarsen the int8 steps of all other values.
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, always_ram=True)
    if kind == "binary":
        return edge.BinaryQuantizationConfig(always_ram=True)
    return None
