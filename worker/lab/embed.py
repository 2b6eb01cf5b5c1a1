"""`intake lab embed`, and the first half of `evaluate`: a manifest to one vector a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from worker.errors import ConfigurationError
from worker.lab.embedding import Cost, PhotoBench, Progress
from worker.lab.files import writing
from worker.lab.manifest import Manifest
from worker.lab.models import LoadedMethod
from worker.lab.reduction import Attributes, Reducer, fit_reducer
from worker.vision.types import FloatArray

Starter = Callable[[str, int], Progress]
"""Begins to show progress: what, of how many photos."""


def quiet(_what: str, _total: int) -> Progress:
    """No progress is shown."""
    return lambda _count: None


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What reductions learn from: the catalogue part of the manifest itself, unless `manifest` is given."""

    manifest: Manifest | None = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedManifest:
    """A manifest's vectors by one method.

    Attributes:
        vectors: (lines, dimension) float32, as they are compared but for the normalisation that the cosine does; NaN rows where a
            photo cannot be read.
        faults: why, by location.
    """

    manifest: Manifest
    loaded: LoadedMethod
    vectors: FloatArray
    faults: dict[str, str]
    cost: Cost

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])


def embed_manifest(
    manifest: Manifest, loaded: LoadedMethod, bench: PhotoBench, fit: FitOptions, starter: Starter = quiet
) -> EmbeddedManifest:
    """Vectors of every line of a manifest, in order.

    Raises:
        ConfigurationError: a reduction has too little to learn from.
        StopError: a model does not run.
    """
    text = loaded.method.text
    raw = bench.embed(manifest.locations, loaded, starter(text, len(set(manifest.locations))))
    vectors = raw.vectors
    if loaded.method.reduction is not None:
        reducer = _fitted(manifest, loaded, raw.vectors, bench, fit, starter)
        vectors = reducer.apply(raw.vectors)
    return EmbeddedManifest(manifest, loaded, vectors, raw.faults, raw.cost)


def _fitted(
    manifest: Manifest, loaded: LoadedMethod, vectors: FloatArray, bench: PhotoBench, fit: FitOptions, starter: Starter
) -> Reducer:
    if loaded.method.reduction is None:
        raise ConfigurationError(f"{loaded.method.text} has no reduction")
    if fit.manifest is None:
        rows = manifest.rows("catalogue")
        source, found = manifest, vectors
        if not rows:
            raise ConfigurationError(
                f"{loaded.method.text} learns its reduction from catalogue photos, and the manifest has none; give --fit MANIFEST"
            )
    else:
        source = fit.manifest
        begun = starter(f"{loaded.method.text} (fit)", len(set(source.locations)))
        found = bench.embed(source.locations, loaded, begun).vectors
        rows = list(range(len(source.lines)))
    # A photo that is named twice counts once.
    once: dict[str, int] = {}
    for row in rows:
        if not np.isnan(found[row]).any():
            once.setdefault(source.location(source.lines[row]), row)
    kept = sorted(once.values())
    return fit_reducer(loaded.method.reduction, found[kept], [source.lines[row].item_id for row in kept], fit.attributes)


def save_vectors(vectors: FloatArray, output: Path) -> None:
    """Write a .npy, whole or not at all."""
    with writing(output) as part, part.open("wb") as file:
        np.save(file, np.ascontiguousarray(vectors, np.float32), allow_pickle=False)


def unread_lines(embedded: EmbeddedManifest) -> Sequence[tuple[int, str, str]]:
    """(number of the line, counted from 1 without the header; path; why) of each line without a vector."""
    rows = []
    for number, (line, location) in enumerate(zip(embedded.manifest.lines, embedded.manifest.locations, strict=True), start=1):
        if location in embedded.faults:
            rows.append((number, line.path, embedded.faults[location]))
    return rows
