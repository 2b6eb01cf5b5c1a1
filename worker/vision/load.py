"""From settings to models that are ready: the one call the rest of the worker makes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from worker.errors import ConfigurationError
from worker.settings.vision import VisionSettings
from worker.vision import crop
from worker.vision.calibration import PairCalibration
from worker.vision.choosing import CHOOSING_VERSION
from worker.vision.embedders import OnnxEmbedder
from worker.vision.registry import Registry
from worker.vision.rows import ModelRow
from worker.vision.runtime import check_wheels, installed_wheels, threads_of
from worker.vision.segmenters import GrabCutSegmenter, NoSegmenter, OnnxSegmenter
from worker.vision.session import OnnxSession
from worker.vision.store import ModelStore
from worker.vision.taggers import OnnxTagger
from worker.vision.types import Embedder, Segmenter, Tagger

# Raise when the code between photo and vector changes what it computes: vectors of the old and new code must not be mixed.
PREPROCESSING_VERSION = 1
FINGERPRINT_LENGTH = 12  # hexadecimal digits: 48 bits, for the handful of pairs one catalogue ever sees


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModels:
    """The pair of models a worker runs, warmed up.

    Attributes:
        crop_side: side in pixels of the crops the embedder takes: the `side` of `make_crop`.
        fingerprint: short hash over segmenter, embedder and preprocessing; part of the collection's name.
        calibration: thresholds and curve of this pair; `calibration.calibrated` is False where nobody measured it.
        providers: what ONNX Runtime runs the embedder on, first choice first.
        tagger: the optional model that reads attributes off photos.
    """

    segmenter: Segmenter
    embedder: Embedder
    crop_side: int
    fingerprint: str
    calibration: PairCalibration
    providers: tuple[str, ...]
    tagger: Tagger | None = None

    @property
    def segmenter_id(self) -> str:
        """Registry id of the segmenter."""
        return self.segmenter.model_id

    @property
    def embedder_id(self) -> str:
        """Registry id of the embedder."""
        return self.embedder.model_id


def load_models(settings: VisionSettings) -> LoadedModels:
    """Find, fetch if need be, verify, load and warm up the models the settings name.

    Raises:
        ModelError: a row is unknown, its file cannot be had or does not verify, or it does not run where it was asked to.
        ConfigurationError: the settings contradict the installation.
    """
    check_wheels(installed_wheels())
    if settings.fp16 and settings.provider == "cpu":
        raise ConfigurationError("INTAKE_VISION__FP16 is for GPUs: unset it, or set INTAKE_VISION__PROVIDER to cuda or tensorrt")
    registry = Registry(settings)
    store = ModelStore(settings, registry.user_dir)
    segmenter_row = registry.row(settings.segmenter, "segment")
    embedder_row = registry.row(settings.embedder, "embed")
    session = OnnxSession(store.ensure(embedder_row), embedder_row, settings)
    return LoadedModels(
        segmenter=load_segmenter(segmenter_row, store, settings),
        embedder=OnnxEmbedder(embedder_row, session, threads_of(settings)),
        crop_side=crop_side(embedder_row),
        fingerprint=fingerprint(segmenter_row, embedder_row),
        calibration=registry.calibration(segmenter_row.id, embedder_row.id),
        providers=session.providers,
        tagger=load_tagger(registry.row(settings.tagger, "tag"), store, settings) if settings.tagger is not None else None,
    )


def load_tagger(row: ModelRow, store: ModelStore, settings: VisionSettings) -> Tagger:
    """A tagger, ready."""
    return OnnxTagger(row, OnnxSession(store.ensure(row), row, settings), threads_of(settings))


def load_segmenter(row: ModelRow, store: ModelStore, settings: VisionSettings) -> Segmenter:
    """A segmenter, ready."""
    if row.kind == "none":
        return NoSegmenter(row)
    if row.kind == "grabcut":
        return GrabCutSegmenter(row, threads_of(settings))
    return OnnxSegmenter(row, OnnxSession(store.ensure(row), row, settings), threads_of(settings))


def crop_side(embedder: ModelRow) -> int:
    """Side of the crops an embedder takes."""
    return max(embedder.input.height, embedder.input.width) if embedder.input else 0


def fingerprint(segmenter: ModelRow, embedder: ModelRow) -> str:
    """Short hash of everything that decides what vector a photo gets; cards, notices and where files come from do not."""
    parts = {
        "version": PREPROCESSING_VERSION,
        "crop": [crop.HALF, crop.MARGIN, crop.COMPONENT_SHARE, crop.MIN_COVERAGE],
        "models": [cut_identity(segmenter), embedder.identity()],
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def cut_identity(segmenter: ModelRow) -> object:
    """What decides a segmenter's masks: its row, and how garments are chosen where it knows classes."""
    knows_classes = segmenter.output is not None and segmenter.output.classes is not None
    return [segmenter.identity(), CHOOSING_VERSION] if knows_classes else segmenter.identity()


def model_fingerprint(settings: VisionSettings) -> str:
    """The fingerprint of the models the settings name, without loading them."""
    registry = Registry(settings)
    return fingerprint(registry.row(settings.segmenter, "segment"), registry.row(settings.embedder, "embed"))
