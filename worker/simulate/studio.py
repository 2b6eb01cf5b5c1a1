"""Cuts garments out of real studio photos: what differs from the plain ground that touches the picture's border."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from worker.simulate.arrays import ByteArray

# Lab distance (8-bit scale) up to which a pixel is ground. Studio grounds vary by 2 to 3 (JPEG, vignette); soft shadows by more,
# but smoothly: they are caught by the second threshold together with the low gradient.
_GROUND = 5.0
_SHADOW = 26.0
# Gradient (8-bit levels a pixel) below which a slightly darker neutral pixel is a shadow rather than cloth.
_SMOOTH = 5.0
# Specks below this share of the largest piece are dust and labels, not garment.
_SPECK = 0.02
# Gaps in the garment (between arm and body) larger than this share of the picture stay open; smaller ones are glare and are closed.
_GAP = 0.0008

# Width (pixels) in which edges are blurred by lens, JPEG and contact shadow.
_RIM = 4


def cut_out_studio(rgb: ByteArray) -> ByteArray:
    """The mask of what stands before a plain light ground.

    Worn garments come with their wearer: this cuts out the figure, not the garment.

    Args:
        rgb: (h, w, 3) uint8 sRGB, the ground plain and touching the border.

    Returns:
        (h, w) uint8, 0..255, with soft edges; all zero if the picture holds nothing but ground.
    """
    h, w = rgb.shape[:2]
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab).astype(np.float32)
    border = np.concatenate(
        [lab[:3].reshape(-1, 3), lab[-3:].reshape(-1, 3), lab[:, :3].reshape(-1, 3), lab[:, -3:].reshape(-1, 3)]
    )
    # The lighter half of the border: a garment that is cut by the edge must not count as ground.
    bright = border[border[:, 0] >= np.median(border[:, 0])]
    ground_colour = np.median(bright, axis=0)
    away = np.abs(lab - ground_colour).astype(np.float32)
    chroma = np.hypot(away[..., 1], away[..., 2])
    grey = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.0)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125))
    darker = ground_colour[0] - lab[..., 0]
    plain = np.linalg.norm(away, axis=2) < _GROUND
    shadow = (chroma < _GROUND) & (darker > -_GROUND) & (darker < _SHADOW) & (slope < _SMOOTH)
    # Ground is plain and reaches the border, through plain pixels and smooth shadow alone.
    passable = (plain | shadow).astype(np.uint8)
    count, pieces = cv2.connectedComponents(np.pad(passable, 1, constant_values=1), connectivity=4)
    outside = (pieces == pieces[0, 0])[1:-1, 1:-1] if count > 1 else passable.astype(bool)
    solid = cv2.morphologyEx((~outside).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    solid = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    solid = _tightened(_largest(solid), np.linalg.norm(away, axis=2).astype(np.float32))
    gaps = _large((solid == 1) & plain, round(_GAP * h * w))
    solid[gaps] = 0
    return np.asarray(cv2.GaussianBlur(solid * np.uint8(255), (0, 0), 0.8), dtype=np.uint8)


def _tightened(solid: ByteArray, contrast: npt.NDArray[np.float32]) -> ByteArray:
    """Take the blurred rim off: near the edge, pixels nearer to the ground than to the cloth beside them belong to the ground."""
    rim = cv2.distanceTransform(solid, cv2.DIST_L2, 3) <= _RIM
    beside = cv2.dilate(contrast, np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    return np.where(rim & (contrast < 0.5 * beside), 0, solid).astype(np.uint8)


def _largest(solid: cv2.typing.MatLike) -> ByteArray:
    """Pieces no smaller than _SPECK of the largest, their enclosed holes filled."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return np.zeros(solid.shape, dtype=np.uint8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= _SPECK * areas.max())[pieces], dtype=np.uint8)


def _large(region: npt.NDArray[np.bool_], least: int) -> npt.NDArray[np.bool_]:
    """The connected pieces of `region` of at least `least` pixels."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False
    return np.asarray(keep[pieces], dtype=np.bool_)
