"""Which of the garments in a photo is the one in question: by the event's category, else by area and place; never the person.

Of what is worn, without a category, all of it but shoes: which garment of an outfit is meant is a guess, and one that falls otherwise in the studio than in a
phone's photo finds nothing (measured: `worker/lab/README.md`, "Segmentation").

A network takes a sweater's sleeves for a jacket's and a dress's skirt for a skirt: what is kin and has one colour is one garment first.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from worker.vision.garment_classes import (
    ACCESSORY,
    CLASSES,
    FOOTWEAR,
    FULL_BODY,
    GARMENTS,
    LOWER,
    OUTERWEAR,
    PERSON,
    UPPER,
    class_of_category,
)
from worker.vision.types import ByteArray, FloatArray

# Raise when what is chosen changes: masks of the old and new choice must not be mixed in a catalogue or a cache.
CHOOSING_VERSION = 2
# Classes a network takes for one another, likeliest first: a cardigan for a sweater, a long shirt for a dress.
KIN: dict[int, tuple[int, ...]] = {
    UPPER: (OUTERWEAR, FULL_BODY),
    OUTERWEAR: (UPPER, FULL_BODY),
    FULL_BODY: (UPPER, LOWER, OUTERWEAR),
    LOWER: (FULL_BODY,),
    FOOTWEAR: (),
    ACCESSORY: (),
}
# Kin of which the medians of colour lie this near each other are one garment. Distance in Lab, lightness at half its weight (one side of a
# garment lies in shade). Of 5 to 14 all are better than none, on photos learned from and held out alike; 10 is the middle.
SAME_COLOUR = 10.0
# Wanted, but with less than this share of its largest kin, a class is a doubt about that: a strip of a dress, a patch of a sweater.
DOUBT = 0.1
# A person is in the photo from this share of it, and this share of what garments have: less is a hand, a print, a mistake.
PERSON_OF_PHOTO, PERSON_OF_GARMENTS = 0.005, 0.05
# A class with less than this share of the photo, and of all garments, is too little to be the garment in question.
LEAST_OF_PHOTO, LEAST_OF_GARMENTS = 0.004, 0.04
# Kin with less than this share of the chosen class is taken for a part of it: a collar, a hem, a doubt.
PART = 0.1
# On a garment without a wearer, another kind of garment is one of its own from this share of all.
APART = 0.25
# Of two components the other belongs to the garment (the second shoe) from this share of the first.
SECOND = 0.3
# An outfit from which shoes are left out: clothes have this share of all garments.
CLOTHES, MOSTLY = (UPPER, LOWER, FULL_BODY, OUTERWEAR), 0.5
CENTRE_SPREAD = 0.35  # of the photo's half diagonal: how fast the weight of a garment falls with its distance from the middle

LabelArray = npt.NDArray[np.intp]


class _View(NamedTuple):
    labels: LabelArray
    areas: npt.NDArray[np.float64]  # of each class, as a share of the photo
    garment: float


def garment_in_question(shares: FloatArray, category: str | None) -> FloatArray:
    """The garment in question as one plane.

    Args:
        shares: (classes, h, w) float32, adding up to 1, in the order of `CLASSES`.
        category: the event's attribute.

    Returns:
        (h, w) float32, 0..1. All clothes together where somebody wears them and no category is given; all garments where the wanted one cannot be found, and
        where there is none at all.
    """
    view = _view(shares)
    every = _plane(shares, GARMENTS)
    if view.garment == 0:
        return every
    wanted = class_of_category(category)
    if _worn_by_someone(view):
        return _plane(shares, _worn_by_category(view, wanted) if wanted is not None else _outfit(view))
    if wanted is None:
        return every * _one_thing(view)
    return _plane(shares, _alone(view, wanted))


def _view(shares: FloatArray) -> _View:
    labels = shares.argmax(axis=0)
    areas = np.bincount(labels.ravel(), minlength=len(CLASSES)) / labels.size
    return _View(labels, areas, float(areas[list(GARMENTS)].sum()))


def _worn_by_someone(view: _View) -> bool:
    return bool(view.areas[PERSON] >= max(PERSON_OF_PHOTO, PERSON_OF_GARMENTS * view.garment))


def united(shares: FloatArray, photo: ByteArray) -> FloatArray:
    """Shares in which kin of one colour are one class: that which has more of the photo. Without a wearer all garments are kin.

    Args:
        shares: (classes, h, w) float32.
        photo: (any h, any w, 3) uint8 RGB, what the shares are of.

    Returns:
        as `shares`, adding up to the same.
    """
    view = _view(shares)
    labels, areas = view.labels, view.areas.copy()
    small = cv2.resize(photo, (labels.shape[1], labels.shape[0]), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(np.asarray(small / np.float32(255), np.float32), cv2.COLOR_RGB2LAB) * np.array((0.5, 1, 1), np.float32)
    kin = KIN if _worn_by_someone(view) else dict.fromkeys(GARMENTS, GARMENTS)
    colours = {number: np.median(lab[labels == number], axis=0) for number in GARMENTS if areas[number]}
    pairs = [(one, other) for one in colours for other in kin[one] if other in colours and other != one]
    near = {pair: float(np.linalg.norm(colours[pair[0]] - colours[pair[1]])) for pair in pairs}
    whole = shares.copy()
    for pair in sorted(near, key=lambda each: near[each]):
        less, more = sorted(pair, key=lambda number: areas[number])
        if near[pair] < SAME_COLOUR and areas[less]:
            whole[more] += whole[less]
            whole[less] = 0
            areas[more], areas[less] = areas[more] + areas[less], 0
    return whole


def _plane(shares: FloatArray, chosen: tuple[int, ...]) -> FloatArray:
    plane: FloatArray = shares[list(chosen)].sum(axis=0, dtype=np.float32)
    return plane


def _worn_by_category(view: _View, wanted: int) -> tuple[int, ...]:
    most = max((view.areas[kin] for kin in KIN[wanted]), default=0.0)
    order = (wanted, *KIN[wanted]) if view.areas[wanted] >= DOUBT * most else (*KIN[wanted], wanted)
    for number in order:
        if _enough(view, number):
            # A dress that is taken for a top and a skirt is both of them.
            both = wanted == FULL_BODY and number in (UPPER, LOWER)
            return tuple(n for n in (UPPER, LOWER) if _enough(view, n)) if both else _with_parts(view, number)
    return GARMENTS


def _outfit(view: _View) -> tuple[int, ...]:
    """All that is worn. Shoes beside clothes are seen in one photo and not in the other, and far from the rest: they would decide how large it is."""
    clothes = float(view.areas[list(CLOTHES)].sum())
    return GARMENTS if clothes < MOSTLY * view.garment else tuple(number for number in GARMENTS if number != FOOTWEAR)


def _with_parts(view: _View, number: int) -> tuple[int, ...]:
    return (number, *(kin for kin in KIN[number] if view.areas[kin] < PART * view.areas[number]))


def _alone(view: _View, wanted: int) -> tuple[int, ...]:
    """Without a wearer everything is the garment, but for what is surely another one."""
    own = {wanted, *KIN[wanted]}
    if sum(view.areas[number] for number in own) < APART * view.garment:
        return GARMENTS  # the wanted kind is hardly there: the network is wrong rather than the event
    return tuple(n for n in GARMENTS if n in own or view.areas[n] < APART * view.garment)


def _one_thing(view: _View) -> FloatArray:
    """1 where the largest and most central thing is, and what is of its class beside it; 0 on other things."""
    solid = np.isin(view.labels, GARMENTS).astype(np.uint8)
    count, regions = cv2.connectedComponents(solid, connectivity=8)
    weights = [_weight(regions == number) for number in range(1, count)]
    first = 1 + int(np.argmax(weights))
    kind = _main_class(view.labels[regions == first])
    dropped = np.zeros(solid.shape, np.uint8)
    for number in range(1, count):
        mine = regions == number
        if number != first and (weights[number - 1] < SECOND * weights[first - 1] or _main_class(view.labels[mine]) != kind):
            dropped[mine] = 1
    # The soft edge of what is dropped goes with it.
    near: ByteArray = np.asarray(cv2.dilate(dropped, np.ones((5, 5), np.uint8)), np.uint8)
    kept = (near == 0) | ((solid == 1) & (dropped == 0))
    return np.asarray(kept, np.float32)


def _main_class(labels: LabelArray) -> int:
    return int(np.bincount(labels, minlength=len(CLASSES)).argmax())


def _enough(view: _View, number: int) -> bool:
    return bool(view.areas[number] >= max(LEAST_OF_PHOTO, LEAST_OF_GARMENTS * view.garment))


def _weight(mask: npt.NDArray[np.bool_]) -> float:
    """Pixels, each weighed by how near the photo's middle it is."""
    height, width = mask.shape
    y, x = np.ogrid[:height, :width]
    off = ((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2
    return float(np.exp(-off[mask] / (2 * (CENTRE_SPREAD / 2**0.5) ** 2)).sum())
