"""Shots of what a photo shows, on other floors: cut out anew, they have the faults of the segmenter in use.

What an embedder must see through in use is not only light and folds but its own segmenter. Views drawn in a clean crop (`views`) make
such faults up; here they are real: garment and wearer laid on a floor and photographed (`segmentation_augment`), then cut out like any photo.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cv2
import numpy as np

from worker.imaging.decode import encode_jpeg
from worker.lab.bench_data import PHONES, is_close_up
from worker.lab.photo_sets import SUFFIX, PhotoSet
from worker.lab.training.crop_photos import CropPhoto, listed
from worker.lab.training.segmentation_augment import Frame, on_floor, shot
from worker.lab.training.segmentation_data import Sample, usable_cut
from worker.lab.training.views import MILD, WILD
from worker.simulate.backgrounds import background_from_photo
from worker.simulate.studio import cut_out_studio
from worker.vision.types import ByteArray

HALF = 128
SHAPE = (512, 384)  # height and width of a shot: about twice what a crop is kept at
FRAME = Frame(SHAPE, SHAPE, (1.0, 1.0))
QUALITY = 92
# Photo bytes to rgb and mask.
Masker = Callable[[bytes], tuple[ByteArray, ByteArray]]


class Floors:
    """Floors and beds of the phone photos that models learn from."""

    def __init__(self, phones: PhotoSet) -> None:
        self._phones = phones
        self._names = [photo.name for photo in listed(phones, PHONES) if photo.part == "development"]

    def draw(self, rng: np.random.Generator) -> ByteArray:
        """One of them, `SHAPE`."""
        photo = self._phones.pixels(self._names[int(rng.integers(len(self._names)))] + SUFFIX)
        return background_from_photo(photo, SHAPE, rng)


def laid_shot(photo: CropPhoto, data: bytes, floors: Floors, masker: Masker) -> bytes | None:
    """What `photo` shows, on a floor, as JPEG; None where it shows no whole garment.

    Args:
        photo: `laid` is the number of the shot; the same number gives the same shot.
        data: of the photo.
        floors: to draw from.
        masker: finds garments in phone photos; studio photos are cut from their plain ground.
    """
    # A seed of the shot's own: the same whatever else is made.
    rng = np.random.default_rng(zlib.crc32(f"{photo.source}/{photo.name}/{photo.laid}".encode()))
    rgb, figure = masker(data)
    if photo.source != PHONES:
        figure = cut_out_studio(rgb)
        if is_close_up(rgb):
            return None
    if not usable_cut(figure):
        return None
    label = (figure >= HALF).astype(np.uint8)
    sample = Sample(photo.name, "flat", *_smaller(rgb, label, figure))
    seen, _, _ = on_floor(sample, floors.draw(rng), FRAME, rng)
    return encode_jpeg(shot(seen, rng, MILD if rng.random() < 0.5 else WILD), QUALITY)


def _smaller(rgb: ByteArray, label: ByteArray, figure: ByteArray) -> tuple[ByteArray, ByteArray, ByteArray]:
    scale = max(SHAPE) / max(label.shape)
    if scale >= 1:
        return rgb, label, figure
    size = (round(label.shape[1] * scale), round(label.shape[0] * scale))
    small, alpha = (np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.uint8) for each in (rgb, figure))
    return small, (alpha >= HALF).astype(np.uint8), alpha
