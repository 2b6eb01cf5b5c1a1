"""From a method to what runs it: segmenter and descriptor, loaded; and the keys its results are kept under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from worker.imaging.decode import limits_of
from worker.lab.descriptors.table import check_descriptor, load_descriptor
from worker.lab.descriptors.types import Descriptor, DescriptorCard
from worker.lab.method import DEFAULT, Distance, Method
from worker.settings import Settings
from worker.settings.vision import VisionSettings
from worker.vision import crop
from worker.vision.embedders import OnnxEmbedder
from worker.vision.garment_classes import CLASSES, class_of_category
from worker.vision.load import PREPROCESSING_VERSION, crop_side, cut_identity, load_segmenter
from worker.vision.registry import Registry
from worker.vision.rows import ModelRow
from worker.vision.runtime import check_wheels, installed_wheels, threads_of
from worker.vision.session import OnnxSession
from worker.vision.store import ModelStore
from worker.vision.types import Crop, FloatArray, Segmenter


@dataclass(frozen=True, slots=True, eq=False)
class LoadedMethod:
    """A method that is ready.

    Attributes:
        segmenter_key: changes when the masks do.
        vector_key: changes when the vectors do (before reduction).
        knows_classes: whether what is cut out depends on the category.
        threshold: similarity from which the worker calls a pair of photos duplicates, where this method is a calibrated pair of its
            models; None elsewhere.
    """

    method: Method
    segmenter: Segmenter
    descriptor: Descriptor
    distance: Distance
    segmenter_key: str
    vector_key: str
    segmenter_bytes: int
    threshold: float | None = None
    knows_classes: bool = False


@dataclass(slots=True)
class Workbench:
    """Loads methods; segmenters that several methods share are loaded once.

    Attributes:
        weights: files of weights by descriptor name, for convolutional features.
    """

    settings: Settings
    weights: Mapping[str, Path] = field(default_factory=dict)
    _segmenters: dict[str, Segmenter] = field(default_factory=dict)

    def check(self, method: Method) -> None:
        """Find out whether the parts of a method exist, without loading them. Raises as `load`."""
        registry = Registry(self.settings.vision)
        names = [row.id for row in registry.rows if row.task == "embed"]
        registry.row(self.settings.vision.segmenter if method.segmenter == DEFAULT else method.segmenter, "segment")
        name = self.settings.vision.embedder if method.descriptor == DEFAULT else method.descriptor
        if name != DEFAULT and name not in names:
            check_descriptor(name, names)

    def load(self, method: Method) -> LoadedMethod:
        """A method, ready to run.

        Raises:
            ModelError: a model is unknown, cannot be had or does not run.
            ConfigurationError: a part of the method is unknown, or needs something that is not installed.
        """
        vision = one_at_a_time(self.settings.vision)
        check_wheels(installed_wheels())
        registry = Registry(vision)
        store = ModelStore(vision, registry.user_dir)
        row = registry.row(vision.segmenter if method.segmenter == DEFAULT else method.segmenter, "segment")
        # The descriptor first: what is not installed is found out before models are fetched.
        name = vision.embedder if method.descriptor == DEFAULT else method.descriptor
        embedder = next((r for r in registry.rows if r.task == "embed" and r.id == name), None)
        if name == DEFAULT:
            embedder = registry.row(DEFAULT, "embed")
        descriptor: Descriptor
        if embedder is not None:
            descriptor = OnnxDescriptor(embedder, store, vision)
        else:
            known = [r.id for r in registry.rows if r.task == "embed"]
            descriptor = load_descriptor(name, self.weights.get(name), vision, known)
        if row.id not in self._segmenters:
            self._segmenters[row.id] = load_segmenter(row, store, vision)
        pair = registry.calibration(row.id, embedder.id) if embedder is not None and method.reduction is None else None
        distance = method.distance or descriptor.card.distance
        segmenter_key = self._segmenter_part(row)
        return LoadedMethod(
            method=method,
            segmenter=self._segmenters[row.id],
            descriptor=descriptor,
            distance=distance,
            segmenter_key=self.segmenter_key(row),
            vector_key=f"{row.id}+{descriptor.card.name}-" + _key(segmenter_key, _CROP, _descriptor_part(descriptor.card)),
            segmenter_bytes=row.size or 0,
            threshold=pair.duplicate_threshold if pair is not None and pair.calibrated and distance == "cosine" else None,
            knows_classes=row.output is not None and row.output.classes is not None,
        )

    def segmenter_key(self, row: ModelRow) -> str:
        """What the cache keeps a segmenter's masks under: changes when the masks do."""
        return f"{row.id}-{self._segmenter_part(row)}"

    def _segmenter_part(self, row: ModelRow) -> str:
        return _key(self._common(), cut_identity(row))

    def _common(self) -> list[object]:
        """What changes pixels or masks whatever the method."""
        limits = limits_of(self.settings.imaging)
        vision = self.settings.vision
        versions = [PREPROCESSING_VERSION, cv2.__version__, onnxruntime.__version__, np.__version__]
        return [limits.target_side, limits.max_pixels, vision.provider, vision.fp16, *versions]


def key_of(key: str, category: str | None) -> str:
    """`key`, of the cache, for what is cut out where a category is asked for."""
    wanted = class_of_category(category)
    return key if wanted is None else f"{key}/{CLASSES[wanted]}"


def one_at_a_time(settings: VisionSettings) -> VisionSettings:
    """Settings under which a CPU runs one photo at a time: no other batch size is warmed up."""
    return settings.model_copy(update={"max_batch": 1, "batch_buckets": (1,)}) if settings.provider == "cpu" else settings


_CROP = [crop.HALF, crop.MARGIN, crop.COMPONENT_SHARE, crop.MIN_COVERAGE]


class OnnxDescriptor:
    """An embedder of the registry, as the worker runs it.

    One crop a run: the last digits of a vector depend on how many share a batch, and vectors of a resumed run must be those of a whole
    one. On a CPU a batch gains nothing.
    """

    def __init__(self, row: ModelRow, store: ModelStore, settings: VisionSettings) -> None:
        session = OnnxSession(store.ensure(row), row, settings)
        self._embedder = OnnxEmbedder(row, session, threads_of(settings))
        self._card = DescriptorCard(
            name=row.id,
            dimension=self._embedder.dimension,
            crop_side=crop_side(row),
            distance="cosine",
            identity=json.dumps(row.identity(), sort_keys=True),
            model_bytes=row.size or 0,
            weights=f"registry row {row.id}",
            batch=1 if settings.provider == "cpu" else settings.max_batch,
        )

    @property
    def card(self) -> DescriptorCard:
        """As `Descriptor.card`."""
        return self._card

    def describe(self, crops: Sequence[Crop]) -> FloatArray:
        """As `Descriptor.describe`; rows are L2-normalised."""
        return self._embedder.embed(crops)


def _descriptor_part(card: DescriptorCard) -> list[object]:
    return [card.name, card.identity, card.crop_side, card.dimension]


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
