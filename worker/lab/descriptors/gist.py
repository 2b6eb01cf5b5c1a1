"""GIST: the energy of oriented filters in the cells of a grid (Oliva and Torralba, "Modeling the Shape of the Scene", IJCV 2001).

The widely used 960 numbers (Yam 2018 among others; Douze et al., "Evaluation of GIST descriptors for web-scale image search", 2009) are
3 colour channels x 20 filters x 16 blocks, the filters being 8, 8 and 4 orientations at three scales. Four scales of eight orientations
each, as in the original, make 3 x 32 x 16 = 1536 numbers in colour. Both are here.

Definition, with f in cycles a pixel and angles in radians, all convolutions periodic on the image enlarged on each side by an
eighth of mirrored pixels:

1. Local contrast, on the logarithm x = ln(1 + v) of each channel v (0..255): l = x - g * x, then l / (0.2 + sqrt(g * m^2)), m being the
   mean of l over the channels, and g the low-pass exp(-F^2 ln 2 / 16), F in cycles an image: half its height at 4 cycles.
2. Filters, for scale s = 0, 1, ... and orientation t = 0 ... n_s - 1: exp(-3.5 (f / f_s - 1)^2) exp(-(pi / 32) n_s^2 d^2), with
   f_s = 0.3 / 1.85^s and d the direction's difference from -t pi / n_s, in -pi..pi: one-sided, so that the response is complex and its
   modulus is the energy's envelope.
3. Mean modulus in each of 4 x 4 blocks of the original area.

Order of the numbers: channel, scale, orientation, block (row by row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from worker.lab.descriptors.types import DescriptorCard
from worker.vision.types import ByteArray, Crop, FloatArray

SIDE = 128
BLOCKS = 4
CHANNELS = 3
CONTRAST_FLOOR = 0.2
HALF_HEIGHT_AT = 4.0  # cycles an image
HIGHEST = 0.3  # cycles a pixel
OCTAVE = 1.85
RADIAL = 3.5
ANGULAR = np.pi / 32
VERSION = "1"


def gist(rgb: ByteArray, orientations: Sequence[int]) -> FloatArray:
    """GIST of a square picture.

    Args:
        rgb: (side, side, 3) uint8; side a multiple of 4.
        orientations: how many at each scale, finest first.

    Returns:
        (3 * sum(orientations) * 16,) float32, 0 or more.
    """
    side = rgb.shape[0]
    if rgb.shape != (side, side, CHANNELS) or side % BLOCKS:
        raise ValueError(f"GIST takes a square picture whose side is a multiple of {BLOCKS}, not {rgb.shape}")
    pad = side // 8
    bank = filter_bank(side, tuple(orientations))
    padded = cv2.copyMakeBorder(rgb, pad, pad, pad, pad, cv2.BORDER_REFLECT).astype(np.float32)
    contrast = local_contrast(np.log1p(padded))
    parts = []
    for channel in range(CHANNELS):
        spectrum = cv2.dft(np.ascontiguousarray(contrast[..., channel]), flags=cv2.DFT_COMPLEX_OUTPUT)
        for gabor in bank:
            response = cv2.dft(spectrum * gabor[..., None], flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
            energy = cv2.magnitude(response[..., 0], response[..., 1])[pad : pad + side, pad : pad + side]
            # The mean of each block: averaging is what INTER_AREA does where it divides evenly.
            parts.append(np.asarray(cv2.resize(energy, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA), np.float32).ravel())
    return np.concatenate(parts)


def local_contrast(values: FloatArray) -> FloatArray:
    """(h, w, channels) to the same, as step 1 of the definition says."""
    size = values.shape[0]
    cycles = np.fft.fftfreq(size, 1 / size).astype(np.float32)
    low = np.exp(-(cycles[:, None] ** 2 + cycles[None] ** 2) * np.float32(np.log(2) / HALF_HEIGHT_AT**2)).astype(np.float32)
    smooth = np.stack([_filtered(values[..., channel], low) for channel in range(values.shape[2])], axis=2)
    detail = values - smooth
    spread = np.sqrt(np.abs(_filtered(detail.mean(axis=2) ** 2, low)))
    return np.asarray(detail / (np.float32(CONTRAST_FLOOR) + spread)[..., None], np.float32)


def _filtered(plane: FloatArray, real_filter: FloatArray) -> FloatArray:
    spectrum = cv2.dft(np.ascontiguousarray(plane), flags=cv2.DFT_COMPLEX_OUTPUT)
    return np.asarray(
        cv2.dft(spectrum * real_filter[..., None], flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT), np.float32
    )


@lru_cache(maxsize=8)
def filter_bank(side: int, orientations: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """(filters, size, size) float32 in the order of `numpy.fft`, size being the side and its padding; step 2 of the definition."""
    size = side + 2 * (side // 8)
    axis = np.fft.fftfreq(size)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    bank: list[npt.NDArray[Any]] = []
    for scale, count in enumerate(orientations):
        centre = HIGHEST / OCTAVE**scale
        for turn in range(count):
            away = angle + np.pi * turn / count
            away = (away + np.pi) % (2 * np.pi) - np.pi
            bank.append(np.exp(-RADIAL * (radius / centre - 1) ** 2 - ANGULAR * count**2 * away**2))
    return np.stack(bank).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Gist:
    """GIST as a descriptor; the paper compares it by Euclidean distance."""

    name: str
    orientations: tuple[int, ...]

    @property
    def card(self) -> DescriptorCard:
        """As `Descriptor.card`."""
        dimension = CHANNELS * sum(self.orientations) * BLOCKS**2
        return DescriptorCard(self.name, dimension, SIDE, "l2", VERSION)

    def describe(self, crops: Sequence[Crop]) -> FloatArray:
        """As `Descriptor.describe`."""
        return np.stack([gist(crop.rgb, self.orientations) for crop in crops])
