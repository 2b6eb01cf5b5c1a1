"""Where a cut-out garment lands in a phone's picture: crop, scale, turn, tilt; and the shift of cloth by folds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_float


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How the garment lies in the picture.

    Attributes:
        matrix: (3, 3) float64, from pixels of the cut-out to pixels of the picture.
        size: (height, width) of the picture.
    """

    matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    size: tuple[int, int]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the cut-out lands in the picture."""
        u, v, w = self.matrix @ np.array([x, y, 1.0])
        return float(u / w), float(v / w)


def bounds(mask: ByteArray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the mask above half, right and bottom exclusive.

    Raises:
        ValueError: the mask is empty.
    """
    rows, columns = np.flatnonzero((mask > 127).any(axis=1)), np.flatnonzero((mask > 127).any(axis=0))
    if not len(rows):
        raise ValueError("the mask is empty: there is no garment to photograph")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def random_pose(
    mask: ByteArray, size: tuple[int, int], rng: Rng, *, turn: float, tilt: float, fill: tuple[float, float], shift: float
) -> Pose:
    """A pose with the whole garment in view, or nearly.

    Args:
        mask: (h, w) uint8 of the cut-out.
        size: (height, width) of the picture.
        rng: generator.
        turn: largest rotation, degrees.
        tilt: largest shift of a corner, as a share of the garment's side (perspective).
        fill: smallest and largest share of the picture that the turned garment's bounding box fills.
        shift: largest move from the middle, as a share of the picture.
    """
    left, top, right, bottom = bounds(mask)
    corners = as_float([(left, top), (right, top), (right, bottom), (left, bottom)])
    middle = corners.mean(axis=0)
    angle = np.radians(rng.uniform(-turn, turn))
    rotation = as_float([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    aspect = as_float([rng.uniform(0.94, 1.06), 1.0])
    moved = (corners - middle) * aspect @ rotation.T
    moved += as_float(rng.uniform(-tilt, tilt, (4, 2))) * np.ptp(corners, axis=0)
    extent = np.ptp(moved, axis=0)
    scale = min(size[1] / extent[0], size[0] / extent[1]) * np.float32(rng.uniform(*fill))
    offset = as_float([size[1], size[0]]) * (np.float32(0.5) + as_float(rng.uniform(-shift, shift, 2)))
    target = as_float((moved - (moved.min(axis=0) + moved.max(axis=0)) / 2) * scale + offset)
    return Pose(np.asarray(cv2.getPerspectiveTransform(corners, target), dtype=np.float64), size)


def warped(
    rgb: ByteArray, mask: ByteArray, pose: Pose, shift_x: FloatArray | None = None, shift_y: FloatArray | None = None
) -> tuple[ByteArray, ByteArray]:
    """The cut-out in the picture: ((h, w, 3) colour, (h, w) mask), uint8.

    `shift_x` and `shift_y` ((h, w) float32, pixels of the picture) say from where each pixel of the picture takes its cloth.
    """
    h, w = pose.size
    inverse = np.linalg.inv(pose.matrix).astype(np.float32)
    x = np.broadcast_to(np.arange(w, dtype=np.float32), (h, w))
    y = np.broadcast_to(np.arange(h, dtype=np.float32)[:, None], (h, w))
    if shift_x is not None and shift_y is not None:
        x, y = x + shift_x, y + shift_y
    depth = as_float(inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2])
    u = as_float((inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / depth)
    v = as_float((inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / depth)
    # A picture much smaller than its source would alias: shrink the source first.
    shrink = float(np.sqrt(abs(np.linalg.det(inverse[:2, :2]))))
    if shrink > 1.6:
        size = (max(1, round(rgb.shape[1] / shrink)), max(1, round(rgb.shape[0] / shrink)))
        u, v = as_float(u * (size[0] / rgb.shape[1])), as_float(v * (size[1] / rgb.shape[0]))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    colour = cv2.remap(rgb, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.remap(mask, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(colour, dtype=np.uint8), np.asarray(cover, dtype=np.uint8)


def bled(rgb: ByteArray, mask: ByteArray) -> ByteArray:
    """The garment's colours continued beyond its edge, so that no rim of the studio's white comes along.

    Pixels below 240 of 255 coverage take the average of the covered ones nearby.
    """
    inside = (mask >= 240).astype(np.uint8)
    small = (max(1, rgb.shape[1] // 4), max(1, rgb.shape[0] // 4))
    share = cv2.resize(inside * np.uint8(255), small, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = as_float(cv2.GaussianBlur(share, (0, 0), 2.0))
    colour = cv2.resize(cv2.copyTo(rgb, inside), small, interpolation=cv2.INTER_AREA).astype(np.float32)
    mean = np.clip(cv2.GaussianBlur(colour, (0, 0), 2.0) * (255 / (weight + np.float32(0.02)))[..., None], 0, 255)
    near = cv2.resize(mean.astype(np.uint8), (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.copyTo(rgb, inside, near), dtype=np.uint8)
