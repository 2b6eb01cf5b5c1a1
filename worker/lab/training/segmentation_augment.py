"""What a training photo is turned into: another frame, another ground, other light.

Geometry is one OpenCV warp of photo, label and cut under one matrix (torchvision's affine and crop would sample each photo two
times, at five times the cost on a CPU); light, blur and JPEG are torchvision's transforms v2.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torchvision.transforms import v2

from worker.lab.training.segmentation_data import Sample
from worker.lab.training.segmentation_labels import GARMENT, IGNORE
from worker.lab.training.views import Strength, creases, photographed
from worker.simulate.backgrounds import background_from_photo, draw_background
from worker.vision.garment_classes import BACKGROUND
from worker.vision.types import ByteArray, FloatArray

Rng = np.random.Generator
Triple = tuple[ByteArray, ByteArray, ByteArray]  # rgb, label, alpha: of one size

TURN = {"street": 8.0, "studio": 8.0, "flat": 25.0}  # degrees; people stand, garments lie as they like
SHEAR = 0.08
STUDIO_GREY = (232, 256)  # grounds of studio photos, 0..255
# Of what is laid on a floor: the smallest length of its longer side, as a share of the window's (the largest: nearly the whole photo's), how far
# it is turned (degrees; some lie any way round), how far its corners move (perspective), and how dark the shadow around it is.
SMALLEST, LARGEST = 0.5, 0.95
LAID_TURN, ANY_TURN = 30.0, 0.15
TILT = 0.08
SHADOW = 0.4
EDGE_BLUR = 0.8  # of a pasted garment's outline, pixels: a hard edge would be learned instead of the garment


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the whole input that a training photo shows.

    Attributes:
        window: (height, width) of what the network sees.
        whole: (height, width) a whole photo is stretched to at scale 1, as the exported network takes it.
        scales: smallest and largest factor on that.
    """

    window: tuple[int, int]
    whole: tuple[int, int]
    scales: tuple[float, float]


LIGHT = v2.Compose(
    [
        v2.RandomApply([v2.ColorJitter(brightness=0.35, contrast=0.3, saturation=0.35, hue=0.06)], p=0.8),
        v2.RandomGrayscale(p=0.05),
        v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.6))], p=0.15),
        v2.RandomApply([v2.JPEG((35, 90))], p=0.2),
    ]
)


def framed(parts: Triple, kind: str, frame: Frame, rng: Rng) -> Triple:
    """A random view of the photo in `frame.window`: scale, stretch, turn, shear, flip and place are drawn.

    What lies outside the photo is mirrored in the picture, and in the label and the cut as well: what is seen is what it is.
    """
    rgb, label, alpha = parts
    height, width = rgb.shape[:2]
    scale = float(np.exp(rng.uniform(*np.log(frame.scales))))
    stretch = float(np.exp(rng.uniform(-0.18, 0.18)))
    across, down = frame.whole[1] / width * scale * stretch, frame.whole[0] / height * scale / stretch
    turn = np.deg2rad(rng.normal(0, TURN[kind] / 2))
    shear = rng.uniform(-SHEAR, SHEAR)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, shear], [0, 1]])
    linear = linear @ np.diag([across * flip, down])
    # The window looks at a point of the photo such that little of it lies outside where the photo is larger than the window.
    room = [max(0.0, 1 - size / (whole * scale)) / 2 for size, whole in zip(frame.window, frame.whole, strict=True)]
    centre = np.array(
        [
            width * (0.5 + rng.uniform(-room[1] - 0.04, room[1] + 0.04)),
            height * (0.5 + rng.uniform(-room[0] - 0.04, room[0] + 0.04)),
        ]
    )
    shift = np.array([frame.window[1] / 2, frame.window[0] / 2]) - linear @ centre
    matrix = np.column_stack([linear, shift])
    return (
        _warp(rgb, matrix, frame, cv2.INTER_LINEAR),
        _warp(label, matrix, frame, cv2.INTER_NEAREST),
        _warp(alpha, matrix, frame, cv2.INTER_LINEAR),
    )


def on_ground(sample: Sample, ground: ByteArray) -> Triple:
    """What a sample shows, garments and person, cut out and laid on another ground of any size."""
    height, width = sample.rgb.shape[:2]
    ground = np.asarray(cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return laid(sample.rgb, shown_of(sample), ground), sample.label, sample.alpha


def on_floor(sample: Sample, ground: ByteArray, frame: Frame, rng: Rng) -> Triple:
    """What a sample shows, garments and person, lying on a floor: of any size, turned, in perspective, with a shadow around it."""
    weight = shown_of(sample)
    ys, xs = np.nonzero(weight > 0.5)
    height, width = frame.window
    if not len(ys):
        return on_ground(sample, np.asarray(cv2.resize(ground, (width, height)), np.uint8))
    left, right, top, bottom = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
    box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    long = max(right - left, bottom - top)
    length = float(np.exp(rng.uniform(np.log(SMALLEST * max(frame.window)), np.log(LARGEST * max(frame.whole)))))
    corners = (box - box.mean(axis=0)) / long + rng.uniform(-TILT, TILT, (4, 2))
    if rng.random() < 0.5:
        corners[:, 0] *= -1
    turn = np.deg2rad(rng.uniform(-180, 180) if rng.random() < ANY_TURN else rng.uniform(-LAID_TURN, LAID_TURN))
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * length
    # What fits lies anywhere within the window, what does not is looked at in some part of it.
    room = np.abs(np.array([width, height]) - np.ptp(corners, axis=0)) / 2
    corners += np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
    matrix = cv2.getPerspectiveTransform(box.astype(np.float32), corners.astype(np.float32))

    def moved(picture: ByteArray | FloatArray, how: int, border: float = 0) -> cv2.typing.MatLike:
        return cv2.warpPerspective(
            picture, matrix, (width, height), flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=border
        )

    cover = np.asarray(moved(weight, cv2.INTER_LINEAR), np.float32)
    floor = _part_of(ground, frame.window, rng)
    spread = cv2.GaussianBlur(cover, (0, 0), max(width, height) * float(rng.uniform(0.01, 0.04)))
    floor = np.asarray(floor * (1 - np.float32(rng.uniform(0, SHADOW)) * spread[..., None]), np.uint8)
    return (
        laid(np.asarray(moved(sample.rgb, cv2.INTER_LINEAR), np.uint8), cover, floor),
        np.asarray(moved(sample.label, cv2.INTER_NEAREST, BACKGROUND), np.uint8),
        np.asarray(moved(sample.alpha, cv2.INTER_LINEAR), np.uint8),
    )


def shown_of(sample: Sample) -> FloatArray:
    """(h, w) float32, 0..1: how much of each pixel is what the sample shows, garments and person."""
    if sample.kind == "flat":
        return np.asarray(sample.alpha / 255, np.float32)
    shown = ((sample.label != BACKGROUND) & (sample.label != IGNORE)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(shown, (0, 0), EDGE_BLUR), np.float32)


def laid(rgb: ByteArray, weight: FloatArray, ground: ByteArray) -> ByteArray:
    """`rgb` over `ground`, `weight` 0..1."""
    mixed = rgb * weight[..., None] + ground * (1 - weight[..., None])
    return np.asarray(mixed + 0.5, np.uint8)


def make_ground(rng: Rng, flats: list[Sample], size: tuple[int, int] = (400, 300)) -> ByteArray:
    """A ground: drawn, the margin of a real photo, or a studio's paper."""
    choice = rng.random()
    if choice < 0.35:
        return draw_background(size, rng)
    if choice < 0.8 and flats:
        return background_from_photo(flats[int(rng.integers(len(flats)))].rgb, size, rng)
    grey = rng.integers(*STUDIO_GREY) + rng.normal(0, 2, 3)
    slope = np.linspace(0, rng.uniform(-14, 6), size[0])[:, None, None]
    return np.asarray(np.clip(np.broadcast_to(grey + slope, (*size, 3)), 0, 255), np.uint8)


def lit(rgb: ByteArray, rng: Rng) -> ByteArray:
    """Other light, blur and JPEG: torchvision's, drawn from `rng`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        out = LIGHT(torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))))
    return np.asarray(out.numpy().transpose(1, 2, 0), np.uint8)


def shot(rgb: ByteArray, rng: Rng, strength: Strength) -> ByteArray:
    """As an embedder's views are photographed (`views.photographed`): harder light than `lit`, with the shade of creased cloth."""
    height, width = rgb.shape[:2]
    shade = creases(rng, max(height, width) // 2, strength)[2]
    return photographed(rgb, np.asarray(cv2.resize(shade, (width, height)), np.float32), rng, strength)


def edges(label: ByteArray, width: int = 5) -> ByteArray:
    """(h, w) uint8: 1 within `width` // 2 pixels of where a class ends."""
    kernel = np.ones((width, width), np.uint8)
    known = np.where(label == GARMENT, 0, label).astype(np.uint8)
    return (cv2.dilate(known, kernel) != cv2.erode(known, kernel)).astype(np.uint8)


def _part_of(ground: ByteArray, size: tuple[int, int], rng: Rng) -> ByteArray:
    """Some part of a ground, some way round, as (h, w, 3) uint8."""
    ground = np.rot90(ground, int(rng.integers(4)))
    height, width = ground.shape[:2]
    share = rng.uniform(0.4, 1.0)
    high, wide = max(8, int(height * share)), max(8, int(width * share))
    top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
    part = np.ascontiguousarray(ground[top : top + high, left : left + wide])
    return np.asarray(cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


def _warp(picture: ByteArray, matrix: FloatArray, frame: Frame, how: int) -> ByteArray:
    size = (frame.window[1], frame.window[0])
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=how, borderMode=cv2.BORDER_REFLECT_101), np.uint8)
