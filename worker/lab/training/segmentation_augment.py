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
from worker.simulate.backgrounds import background_from_photo, draw_background
from worker.vision.garment_classes import BACKGROUND
from worker.vision.types import ByteArray, FloatArray

Rng = np.random.Generator
Triple = tuple[ByteArray, ByteArray, ByteArray]  # rgb, label, alpha: of one size

TURN = {"street": 8.0, "flat": 25.0}  # degrees; people stand, garments lie as they like
SHEAR = 0.08
STUDIO_GREY = (232, 256)  # grounds of studio photos, 0..255
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
    if sample.kind == "street":
        shown = ((sample.label != BACKGROUND) & (sample.label != IGNORE)).astype(np.float32)
        weight = np.asarray(cv2.GaussianBlur(shown, (0, 0), EDGE_BLUR), np.float32)
    else:
        weight = np.asarray(sample.alpha / 255, np.float32)
    return laid(sample.rgb, weight, ground), sample.label, sample.alpha


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


def edges(label: ByteArray, width: int = 5) -> ByteArray:
    """(h, w) uint8: 1 within `width` // 2 pixels of where a class ends."""
    kernel = np.ones((width, width), np.uint8)
    known = np.where(label == GARMENT, 0, label).astype(np.uint8)
    return (cv2.dilate(known, kernel) != cv2.erode(known, kernel)).astype(np.uint8)


def _warp(picture: ByteArray, matrix: FloatArray, frame: Frame, how: int) -> ByteArray:
    size = (frame.window[1], frame.window[0])
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=how, borderMode=cv2.BORDER_REFLECT_101), np.uint8)
