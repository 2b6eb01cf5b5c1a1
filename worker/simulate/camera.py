"""What a phone's camera adds: light, white balance, exposure, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_bytes, as_float
from worker.simulate.folds import smooth_noise


def light_field(size: tuple[int, int], rng: Rng, *, contrast: float, shadow: float) -> FloatArray:
    """Brightness factors over the picture: a gradient from a window, a lamp's pool, a soft shadow of the photographer.

    Args:
        size: (height, width).
        rng: generator.
        contrast: half the difference between the bright and the dark side.
        shadow: how dark a cast shadow is, 0..1; it falls in half of the pictures.
    """
    small = (max(8, size[0] // 16), max(8, size[1] // 16))
    y, x = (np.mgrid[0 : small[0], 0 : small[1]].astype(np.float32) / np.float32(max(small))) - np.float32(0.5)
    angle = float(rng.uniform(0, 2 * np.pi))
    field = 1 + np.float32(2 * contrast * rng.uniform(0.3, 1)) * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)))
    field = field + np.float32(contrast * 0.18) * smooth_noise(small, 3, rng)
    if shadow > 0 and rng.random() < 0.5:
        turn, at = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.1, 0.45))
        edge = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)) - np.float32(at)
        field = field * (1 - np.float32(shadow) / (1 + np.exp(-edge * np.float32(rng.uniform(15, 70)))))
    return as_float(cv2.resize(as_float(np.clip(field, 0.15, 1.8)), (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def cast(rng: Rng, strength: float) -> FloatArray:
    """(3,) gains of a wrong white balance: warm lamp to blue shade, with a little green or magenta."""
    warmth, tint = rng.uniform(-1, 1) * strength, rng.normal(0, 0.3) * strength
    return as_float([1 + warmth, 1 + tint * 0.5, 1 - warmth])


def motion_kernel(length: int, angle: float) -> FloatArray:
    """A (length, length) kernel of a straight shake; `angle` in radians."""
    kernel = np.zeros((length, length), dtype=np.float32)
    half = (length - 1) / 2
    dx, dy = half * np.cos(angle), half * np.sin(angle)
    cv2.line(kernel, (round(half - dx), round(half - dy)), (round(half + dx), round(half + dy)), 1.0, 1, cv2.LINE_AA)
    return as_float(kernel / kernel.sum())


def noisy(rgb: FloatArray, rng: Rng, amount: float) -> FloatArray:
    """Add sensor noise of standard deviation `amount` (levels): fine in brightness, coarser in colour."""
    h, w = rgb.shape[:2]
    fine = rng.standard_normal((h, w), dtype=np.float32) * np.float32(amount)
    coarse = rng.standard_normal((-(-h // 3), -(-w // 3), 3), dtype=np.float32) * np.float32(amount * 0.6)
    rgb += fine[..., None]
    rgb += cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR)
    return rgb


def jpeg(rgb: ByteArray, quality: int) -> ByteArray:
    """Through JPEG and back."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV could not encode the picture as JPEG")
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(back, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def toned(rgb: FloatArray, *, exposure: float, gamma: float, saturation: float) -> ByteArray:
    """Exposure (factor), gamma and saturation (factor), as a phone's processing sets them; clipped to uint8."""
    if saturation != 1:
        grey = as_float(rgb @ as_float([0.299, 0.587, 0.114]))[..., None]
        rgb = as_float(grey + (rgb - grey) * np.float32(saturation))
    table = as_bytes(np.clip(np.arange(256) / 255 * exposure, 0, 1) ** gamma * 255)
    return np.asarray(cv2.LUT(as_bytes(rgb), table), dtype=np.uint8)
