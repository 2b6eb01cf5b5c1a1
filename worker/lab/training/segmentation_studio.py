"""Studio photos as training photos for segmenters: what stands before the plain ground, with the classes an earlier model finds in it.

A segmenter that never saw a garment in both the studio and a phone's light cuts out another part of it in each, and what is cut out
differently is not found again. Here both come from one photo: its labels go with it to whatever floor it is laid on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from worker.lab.bench_data import SHOPS, is_close_up
from worker.lab.photo_sets import SUFFIX, PhotoSet
from worker.lab.splits import Part
from worker.lab.training.crop_photos import CropPhoto, listed
from worker.lab.training.segmentation_data import SURE, SURE_NOT, TELL_EVERY, Sample, Teller, fitted, fitted_label, usable_cut
from worker.lab.training.segmentation_labels import IGNORE
from worker.simulate.studio import cut_out_studio
from worker.vision.garment_classes import BACKGROUND, GARMENTS, PERSON, class_of_category
from worker.vision.segmenters import HALF
from worker.vision.types import ByteArray

# Skin and hair from this share of the photo on say what colour the wearer has; how near that colour a pixel must be (Lab, lightness at half its weight, the
# spread of lit and shaded skin), and how much nearer than to the garment in question.
LEAST_SKIN, SKIN_COLOUR, SURELY_SKIN = 0.003, 18.0, 0.6
# A photo and its category to the class of each pixel, and to 0..255 of the garment the category asks for.
Labeller = Callable[[ByteArray, str], tuple[ByteArray, ByteArray]]


def read_studio(data: Path, part: Part, labeller: Labeller, tell: Teller) -> list[Sample]:
    """The studio photos of one part of the styles, of `data`/luma and `data`/venia; close-ups and failed cuts are left out.

    Raises:
        ConfigurationError: a data set is missing, or a photo cannot be read.
    """
    samples: list[Sample] = []
    with ExitStack() as stack:
        sets = {shop: stack.enter_context(closing(PhotoSet(data / shop))) for shop in SHOPS}
        photos = [photo for shop in SHOPS for photo in listed(sets[shop], shop) if photo.part == part]
        for number, photo in enumerate(photos):
            sample = _sample(photo, sets[photo.source].pixels(photo.name + SUFFIX), labeller)
            samples += [sample] if sample else []
            if number % TELL_EVERY == 0:
                tell("reading studio photos", number, len(photos))
    return samples


def figure_as_classes(figure: ByteArray, found: ByteArray) -> tuple[ByteArray, ByteArray]:
    """What stands before the ground, as classes.

    Args:
        figure: (h, w) uint8, 0..255: garments and wearer.
        found: (h, w) uint8, the class a model gives each pixel; where it says ground within the figure, the nearest other class counts.

    Returns:
        label (h, w), `IGNORE` along the figure's soft edge, and garment (h, w), 0..255.
    """
    inside = figure > 255 * SURE
    classes = nearest(found, inside & (found != BACKGROUND))
    label = np.full(figure.shape, IGNORE, np.uint8)
    label[figure < 255 * SURE_NOT] = BACKGROUND
    label[inside] = classes[inside]
    return label, np.where(np.isin(classes, GARMENTS), figure, 0).astype(np.uint8)


def with_all_skin(label: ByteArray, rgb: ByteArray, wanted: int | None) -> ByteArray:
    """`label` in which what has the wearer's colour, and not that of the garment in question, is the wearer.

    A model that learned from few dark skins takes arms for sleeves; taught on, the fault would grow.

    Args:
        label: (h, w) uint8 class numbers.
        rgb: (h, w, 3) uint8.
        wanted: the class of the garment in question; None changes nothing.
    """
    skin, own = label == PERSON, label == wanted
    if wanted is None or skin.mean() < LEAST_SKIN or not own.any():
        return label
    lab = cv2.cvtColor(np.asarray(rgb / np.float32(255), np.float32), cv2.COLOR_RGB2LAB) * np.array((0.5, 1, 1), np.float32)
    lab = np.asarray(cv2.GaussianBlur(lab, (0, 0), 1.5), np.float32)
    to_skin, to_own = (np.linalg.norm(lab - np.median(lab[part], axis=0), axis=2) for part in (skin, own))
    again = np.isin(label, GARMENTS) & (to_skin < SKIN_COLOUR) & (to_skin < SURELY_SKIN * to_own)
    again = cv2.morphologyEx(again.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) == 1
    return np.where(again, np.uint8(PERSON), label).astype(np.uint8)


def nearest(label: ByteArray, known: npt.NDArray[np.bool_]) -> ByteArray:
    """(h, w) uint8: `label` where it is known, elsewhere that of the nearest known pixel; `label` itself where none is."""
    if not known.any():
        return label
    _, index = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(index.max()) + 1, np.uint8)
    table[index[known]] = label[known]
    return np.asarray(table[index], np.uint8)


def _sample(photo: CropPhoto, rgb: ByteArray, labeller: Labeller) -> Sample | None:
    if is_close_up(rgb):
        return None
    figure = cut_out_studio(rgb)
    if not usable_cut(figure):
        return None
    found, wanted = labeller(rgb, photo.label)
    category = class_of_category(photo.label)
    if category is not None:
        found = np.where(wanted >= HALF, np.uint8(category), found).astype(np.uint8)
    label, garment = figure_as_classes(figure, with_all_skin(found, rgb, category))
    return Sample(f"{photo.source}/{photo.name}", "studio", fitted(rgb), fitted_label(label), fitted(garment))
