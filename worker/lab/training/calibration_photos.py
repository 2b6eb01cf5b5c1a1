"""Photos that a variant of a model is calibrated and measured on: from a manifest or a folder, as the worker would see them."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np

from worker.errors import ConfigurationError
from worker.lab.cache import LabCache
from worker.lab.embedding import open_bench
from worker.lab.manifest import Manifest, read_manifest
from worker.lab.method import parse_method
from worker.lab.models import Workbench
from worker.settings import Settings
from worker.vision.preprocess import to_input
from worker.vision.rows import InputSpec, ModelRow
from worker.vision.session import Feed
from worker.vision.types import ByteArray

PHOTOS = 160  # drawn; every second one calibrates, the others measure
LEAST = 4
SEED = 0
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".tif", ".tiff", ".bmp")


def manifest_of(path: Path | None) -> Manifest | None:
    """The manifest, where `path` is one; None where it is a folder or nothing."""
    return read_manifest(path) if path is not None and not path.is_dir() else None


def locations_of(path: Path) -> list[str]:
    """At most `PHOTOS` of a manifest's or folder's photos, the same ones every time.

    Raises:
        ConfigurationError: there are too few.
    """
    manifest = manifest_of(path)
    if manifest is not None:
        found = sorted(set(manifest.locations))
    else:
        found = sorted(str(each.absolute()) for each in path.rglob("*") if each.suffix.lower() in SUFFIXES)
    if len(found) < LEAST:
        raise ConfigurationError(f"{path} names {len(found)} photos; calibration takes at least {LEAST}, better {PHOTOS}")
    return random.Random(SEED).sample(found, min(PHOTOS, len(found)))  # noqa: S311  # nosec B311  a draw that can be repeated


def feeds(row: ModelRow, locations: list[str], settings: Settings) -> list[Feed]:
    """Each photo as the model's input, batch of one: whole for a segmenter, cut out by the default segmenter for an embedder.

    Raises:
        ConfigurationError: too few of them can be read.
    """
    if row.input is None:
        raise ConfigurationError(f"model {row.id} has no graph")
    found: list[Feed] = []
    with open_bench(settings, LabCache(None)) as bench:
        if row.task == "segment":
            shown = (bench.shown(location) for location in locations)
            found = [{row.input.image: to_input(rgb, row.input)[None]} for rgb in shown if rgb is not None]
        else:
            loaded = Workbench(settings).load(parse_method(f"default+{row.id}"))
            for _, crop in bench.crops(locations, loaded, lambda _count: None):
                if not isinstance(crop, str):
                    feed = {row.input.image: to_input(crop.rgb, row.input)[None]}
                    found.append({**feed, **_mask(row.input, crop.mask)})
    if len(found) < LEAST:
        raise ConfigurationError(f"only {len(found)} of {len(locations)} photos for calibration can be read")
    return found


def _mask(spec: InputSpec, mask: ByteArray) -> Feed:
    if not spec.mask:
        return {}
    size = (spec.width, spec.height)
    fitting = mask if mask.shape == size[::-1] else np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
    return {spec.mask: fitting[None]}
