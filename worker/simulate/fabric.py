"""Fabric as a tile of brightness: jersey, knit, rib, denim, corduroy, canvas, fleece, satin, leather, tweed."""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True, eq=False)
class _Loom:
    """What every weave is made from: pixel positions times a full turn a tile, and noise."""

    x: FloatArray
    y: FloatArray
    fine: FloatArray
    soft: FloatArray
    rng: Rng

    def wave(self, across: float, down: float = 0.0) -> FloatArray:
        """A sine with `across` and `down` periods a tile."""
        return as_float(np.sin(across * self.x + down * self.y))


def _knit(loom: _Loom) -> FloatArray:
    # Columns of V-shaped stitches.
    stitch = np.sin(16 * loom.y + 2.2 * np.abs(loom.wave(8)))
    return as_float(0.08 * stitch + 0.02 * loom.soft)


def _tweed(loom: _Loom) -> FloatArray:
    turn = 2 * np.pi / TILE
    zigzag = np.abs(((loom.y / turn / 8) % 2) - 1)
    return as_float(0.03 * np.sign(np.sin(16 * loom.x + turn * 16 * zigzag)) + 0.035 * loom.soft)


def _linen(loom: _Loom) -> FloatArray:
    threads = wrapped_blur(loom.fine, 0.6) * 4
    return as_float(0.035 * threads.mean(axis=0, keepdims=True) + 0.035 * threads.mean(axis=1, keepdims=True) + 0.012 * loom.fine)


def _leather(loom: _Loom) -> FloatArray:
    return as_float(0.035 * np.minimum(np.abs(noise_tile(loom.rng, 1.6)), 1.5) - 0.02)


_WEAVES: dict[FabricName, Callable[[_Loom], FloatArray]] = {
    "jersey": lambda loom: as_float(0.012 * loom.fine + 0.01 * loom.soft),
    "knit": _knit,
    "rib": lambda loom: as_float(0.10 * loom.wave(20) + 0.02 * loom.fine),
    "denim": lambda loom: as_float(0.05 * loom.wave(32, 32) + 0.03 * loom.soft + 0.02 * loom.fine),
    "corduroy": lambda loom: as_float(0.13 * loom.wave(14) + 0.02 * loom.fine),
    "canvas": lambda loom: as_float(0.022 * loom.wave(42) + 0.022 * loom.wave(0, 42) + 0.01 * loom.fine),
    "fleece": lambda loom: as_float(0.022 * loom.soft + 0.02 * noise_tile(loom.rng, 3.0)),
    "satin": lambda loom: as_float(0.008 * loom.fine),
    "leather": _leather,
    "tweed": _tweed,
    "linen": _linen,
}


def fabric_tile(name: FabricName, rng: Rng) -> FloatArray:
    """(TILE, TILE) float32, brightness factors around 1."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32) * np.float32(2 * np.pi / TILE)
    loom = _Loom(x, y, noise_tile(rng, 0.0), noise_tile(rng, 1.2), rng)
    return as_float(1 + _WEAVES[name](loom))
