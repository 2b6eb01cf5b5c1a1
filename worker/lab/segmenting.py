"""Label pictures of whole folders: what `intake lab segment` does, and the comparison of segmenters on held-out masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from worker.errors import ConfigurationError, IntakeError, ModelError
from worker.imaging.types import Pixels
from worker.lab.embed import Starter
from worker.lab.embedding import PhotoBench
from worker.lab.files import writing
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES
from worker.vision.load import load_segmenter
from worker.vision.registry import Registry
from worker.vision.segmenters import HALF, OnnxSegmenter
from worker.vision.store import ModelStore
from worker.vision.types import ByteArray, Segmenter

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp")
OVERLAY = "-overlay.jpg"
OVERLAY_STRENGTH = 0.55
# Of each class in overlays, RGB; background is left as it is. Far apart for people who see red and green alike, too.
COLOURS = (
    (0, 0, 0),
    (255, 205, 160),
    (0, 114, 255),
    (255, 160, 0),
    (230, 30, 200),
    (0, 200, 120),
    (250, 240, 60),
    (120, 70, 255),
)
GARMENT_COLOUR = (0, 114, 255)  # of models without classes


@dataclass(frozen=True, slots=True)
class Segmented:
    """What became of a folder: files written, and why photos were left out, by name."""

    written: tuple[Path, ...]
    refused: dict[str, str]


def photo_files(folder: Path) -> list[Path]:
    """The photos below a folder, by name.

    Raises:
        ConfigurationError: there are none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
    if not found:
        raise ConfigurationError(f"{folder} holds no photo ({', '.join(PHOTO_SUFFIXES)})")
    return found


def open_segmenter(model: str, settings: VisionSettings) -> Segmenter:
    """A segmenter of the registry, ready; raises `ModelError` where there is none."""
    registry = Registry(settings)
    return load_segmenter(registry.row(model, "segment"), ModelStore(settings, registry.user_dir), settings)


def labels_of(segmenter: Segmenter, photos: Sequence[ByteArray]) -> list[ByteArray]:
    """(h, w) uint8 a photo: class numbers; for a segmenter without classes 255 for garment and 0 for the rest."""
    if isinstance(segmenter, OnnxSegmenter):
        return segmenter.label(photos)
    return [np.where(mask.alpha >= HALF, 255, 0).astype(np.uint8) for mask in segmenter.segment(photos)]


def segment_folder(
    segmenter: Segmenter, bench: PhotoBench, source: Path, output: Path, *, overlays: bool, starter: Starter
) -> Segmented:
    """One label PNG a photo in `output`, of the photo's own size, at its place below `source`, ``.png`` after its whole name.

    Raises:
        ConfigurationError: there is no photo, or a file cannot be written.
    """
    files = photo_files(source)
    if output.resolve().is_relative_to(source.resolve()):
        raise ConfigurationError("--output lies in the folder of the photos, and labels would be taken for photos; name another")
    advance = starter("segment", len(files))
    written: list[Path] = []
    refused: dict[str, str] = {}
    for path in files:
        name = str(path.relative_to(source))
        opened = _opened(bench, path)
        if isinstance(opened, Pixels):
            label = labels_of(segmenter, [opened.rgb])[0]
            written += _write(opened, label, output / name, overlays=overlays)
        else:
            refused[name] = str(opened)
        advance(1)
    return Segmented(tuple(written), refused)


def overlay(rgb: ByteArray, label: ByteArray) -> ByteArray:
    """The photo with each class in its colour and outlined."""
    table = np.zeros((256, 3), np.float32)
    table[: len(COLOURS)] = COLOURS
    table[255] = GARMENT_COLOUR
    shown = (label > 0)[..., None]
    mixed = np.where(shown, rgb * (1 - OVERLAY_STRENGTH) + table[label] * OVERLAY_STRENGTH, rgb).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    mixed[cv2.dilate(label, kernel) != cv2.erode(label, kernel)] = 255
    return mixed


def legend(segmenter: Segmenter) -> str:
    """What the values of the label pictures mean."""
    known = isinstance(segmenter, OnnxSegmenter) and segmenter.classes is not None
    if not known:
        return f"{segmenter.model_id} knows no classes: 255 garment, 0 the rest"
    return ", ".join(f"{number} {name}" for number, name in enumerate(CLASSES))


def _opened(bench: PhotoBench, path: Path) -> Pixels | IntakeError:
    [photo] = bench.photos.fetch([str(path)])
    if isinstance(photo, IntakeError):
        return photo
    [decoded] = bench.decoder.decode([photo])
    return decoded


def _write(photo: Pixels, label: ByteArray, place: Path, *, overlays: bool) -> Iterator[Path]:
    # The worker reduces large photos; a label picture is laid over the photo as it was sent.
    whole = cv2.resize(label, photo.original_size, interpolation=cv2.INTER_NEAREST)
    pictures = [(place.with_name(f"{place.name}.png"), whole)]
    if overlays:
        shown = overlay(photo.rgb, label)
        pictures.append((place.with_name(f"{place.name}{OVERLAY}"), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)))
    for path, picture in pictures:
        done, data = cv2.imencode(path.suffix, picture)
        if not done:
            raise ModelError(f"{path}: the picture could not be encoded")
        with writing(path) as part:
            part.write_bytes(data.tobytes())
        yield path
