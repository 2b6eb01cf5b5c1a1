"""Flags for people: a photo that is blurred, dark or overexposed is searched all the same, and the alert says so.

Thresholds were set on real phone snapshots (300 of the clothing data set, shorter side at most 640): the sharpness of the least sharp
one was 38; the brightest percent of the middle was darker than 60 in 0.7 % of them, and in 90 % of the same with a quarter of the
light; no snapshot was overexposed, and 4 in 10 were with 2.5 times the light. Studio photos on white can be flagged overexposed:
the flag is for arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

BLURRED = "photo-blurred"
DARK = "photo-dark"
OVEREXPOSED = "photo-overexposed"

# The margin of a photo is floor or bed; the garment is in the middle.
CENTRE_SHARE = 0.6
# JPEG's ringing keeps blown-out areas a little below 255.
CLIPPED_LUMA = 250
# A photo with blown-out highlights but true shadows is only contrasty: overexposed is one whose darkest tenth is bright too.
BRIGHT_SHADOWS_LUMA = 130


@dataclass(frozen=True, slots=True)
class Quality:
    """What the flags are drawn from, measured at the decoded size, luma 0..255.

    Attributes:
        sharpness: variance of the Laplacian of the luma (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").
        highlights: 99th percentile of the centre's luma.
        shadows: 10th percentile of the centre's luma.
        clipped: share of the centre's pixels that are blown out, 0..1.
    """

    sharpness: float
    highlights: float
    shadows: float
    clipped: float


def measure(rgb: npt.NDArray[np.uint8]) -> Quality:
    """Measure (height, width, 3) uint8 sRGB."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    height, width = luma.shape
    top, left = int(height * (1 - CENTRE_SHARE) / 2), int(width * (1 - CENTRE_SHARE) / 2)
    counts = np.bincount(luma[top : height - top, left : width - left].ravel(), minlength=256)
    share = np.cumsum(counts) / counts.sum()
    return Quality(
        sharpness=float(cv2.Laplacian(luma, cv2.CV_64F).var()),
        highlights=float(np.searchsorted(share, 0.99)),
        shadows=float(np.searchsorted(share, 0.10)),
        clipped=float(counts[CLIPPED_LUMA:].sum() / counts.sum()),
    )


def flags(quality: Quality, *, blur_threshold: float, dark_threshold: float, overexposed_share: float) -> tuple[str, ...]:
    """The flags of a measured photo; thresholds as in `ImagingSettings`."""
    found = []
    if quality.sharpness < blur_threshold:
        found.append(BLURRED)
    if quality.highlights < dark_threshold:
        found.append(DARK)
    if quality.clipped >= overexposed_share and quality.shadows >= BRIGHT_SHADOWS_LUMA:
        found.append(OVEREXPOSED)
    return tuple(found)
