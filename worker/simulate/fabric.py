"""Fabric as a tile of brightness: jersey, knit, rib, denim, corduroy, canvas, fleece, satin, leather, tweed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from worker.simulate.arrays import FloatArray, Rng, as_float

FabricName = Literal["jersey", "knit", "rib", "denim", "corduroy", "canvas", "fleece", "satin", "leather", "tweed", "linen"]

# Side of a tile in pixels of a studio photo; a tile repeats seamlessly.
TILE = 128


@dataclass(frozen=True, slots=True)
class FabricLook:
    """How a fabric takes light: `gloss` 0..1 adds highlights on folds, `folds` scales how deep it creases."""

    gloss: float
    folds: float


LOOKS: dict[FabricName, FabricLook] = {
    "jersey": FabricLook(0.05, 1.0), "knit": FabricLook(0.0, 0.7), "rib": FabricLook(0.0, 0.6), "denim": FabricLook(0.05, 0.8),
    "corduroy": FabricLook(0.1, 0.7), "canvas": FabricLook(0.0, 0.8), "fleece": FabricLook(0.0, 0.7), "satin": FabricLook(0.8, 1.6),
    "leather": FabricLook(0.7, 0.9), "tweed": FabricLook(0.0, 0.5), "linen": FabricLook(0.0, 1.3),
}  # fmt: skip


def wrapped_blur(image: FloatArray, sigma: float) -> FloatArray:
    """Gaussian blur of a tile that stays seamless."""
    pad = int(3 * sigma) + 2
    padded = np.pad(image, pad, mode="wrap")
    return as_float(cv2.GaussianBlur(padded, (0, 0), sigma)[pad:-pad, pad:-pad])


def noise_tile(rng: Rng, sigma: float, side: int = TILE) -> FloatArray:
    """Seamless smooth noise, mean 0, standard deviation 1."""
    noise = as_float(rng.standard_normal((side, side), dtype=np.float32))
    if sigma > 0:
        noise = wrapped_blur(noise, sigma)
    return as_float((noise - noise.mean()) / (noise.std() + 1e-6))


def fabric_tile(name: FabricName, rng: Rng) -> FloatArray:
    """(TILE, TILE) float32, brightness factors around 1."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32)
    turn = np.float32(2 * np.pi / TILE)
    fine = noise_tile(rng, 0.0)
    soft = noise_tile(rng, 1.2)
    waves: FloatArray
    if name == "knit":
        # Columns of V-shaped stitches.
        stitch = np.sin(turn * 16 * y + 2.2 * np.abs(np.sin(turn * 8 * x)))
        waves = as_float(0.08 * stitch + 0.02 * soft)
    elif name == "rib":
        waves = as_float(0.10 * np.sin(turn * 20 * x) + 0.02 * fine)
    elif name == "denim":
        waves = as_float(0.05 * np.sin(turn * (32 * x + 32 * y)) + 0.03 * soft + 0.02 * fine)
    elif name == "corduroy":
        waves = as_float(0.13 * np.sin(turn * 14 * x) + 0.02 * fine)
    elif name == "canvas":
        waves = as_float(0.022 * np.sin(turn * 42 * x) + 0.022 * np.sin(turn * 42 * y) + 0.01 * fine)
    elif name == "fleece":
        waves = as_float(0.022 * soft + 0.02 * noise_tile(rng, 3.0))
    elif name == "satin":
        waves = as_float(0.008 * fine)
    elif name == "leather":
        grain = np.abs(noise_tile(rng, 1.6))
        waves = as_float(0.035 * np.minimum(grain, 1.5) - 0.02)
    elif name == "tweed":
        waves = as_float(0.06 * np.sign(np.sin(turn * (16 * x + 16 * np.abs(((y / 8) % 2) - 1)))) * 0.5 + 0.035 * soft)
    elif name == "linen":
        slub_x = wrapped_blur(fine, 0.6).mean(axis=0, keepdims=True) * 4
        slub_y = wrapped_blur(fine, 0.6).mean(axis=1, keepdims=True) * 4
        waves = as_float(0.035 * slub_x + 0.035 * slub_y + 0.012 * fine)
    else:  # jersey
        waves = as_float(0.012 * fine + 0.01 * soft)
    return as_float(1 + waves)
