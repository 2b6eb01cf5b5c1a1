"""GIST against its definition, stated slowly with sums over pixels and frequencies."""

from __future__ import annotations

import cmath
import itertools
import math

import numpy as np
import pytest

from tests.lab.conftest import drawn
from worker.lab.descriptors.gist import Gist, filter_bank, gist
from worker.vision.types import ByteArray, Crop

SIDE = 32
ORIENTATIONS = (8, 8, 4)


def slow_filter(size: int, scale: int, count: int, turn: int) -> np.ndarray:
    """One filter, frequency by frequency."""
    response = np.zeros((size, size))
    for v, u in itertools.product(range(size), repeat=2):
        fy, fx = (v if v < size / 2 else v - size) / size, (u if u < size / 2 else u - size) / size
        radius, angle = math.sqrt(fx * fx + fy * fy), math.atan2(fy, fx)
        away = min((angle + math.pi * turn / count + k * 2 * math.pi for k in (-1, 0, 1)), key=abs)
        ring = math.exp(-3.5 * (radius / (0.3 / 1.85**scale) - 1) ** 2)
        response[v, u] = ring * math.exp(-math.pi / 32 * count**2 * away**2)
    return response


def slow_gist(rgb: ByteArray, orientations: tuple[int, ...]) -> list[float]:
    """The definition of the module's docstring, nothing shared with it: explicit Fourier sums (as matrices), scalar filters."""
    side = len(rgb)
    pad = side // 8
    size = side + 2 * pad

    def mirrored(i: int) -> int:
        i -= pad
        return -1 - i if i < 0 else 2 * side - 1 - i if i >= side else i

    whole = np.array(
        [[[math.log(1 + float(v)) for v in rgb[mirrored(y), mirrored(x)]] for x in range(size)] for y in range(size)]
    )
    forward = np.array([[cmath.exp(-2j * math.pi * k * n / size) for n in range(size)] for k in range(size)])
    backward = forward.conj() / size

    def signed(k: int) -> float:
        return k if k < size / 2 else k - size

    def filtered(plane: np.ndarray, response: np.ndarray) -> np.ndarray:
        return np.asarray(backward @ ((forward @ plane @ forward.T) * response) @ backward.T)

    low = np.array([[2 ** -((signed(u) ** 2 + signed(v) ** 2) / 16) for u in range(size)] for v in range(size)])
    detail = np.stack([whole[..., c] - filtered(whole[..., c], low).real for c in range(3)], axis=2)
    mean = (detail[..., 0] + detail[..., 1] + detail[..., 2]) / 3
    spread = np.sqrt(np.abs(filtered(mean * mean, low).real))
    values = []
    for channel in range(3):
        contrast = detail[..., channel] / (0.2 + spread)
        for scale, count in enumerate(orientations):
            for turn in range(count):
                response = slow_filter(size, scale, count, turn)
                energy = np.abs(filtered(contrast, response))[pad : pad + side, pad : pad + side]
                block = side // 4
                for row, column in itertools.product(range(4), repeat=2):
                    part = energy[row * block : (row + 1) * block, column * block : (column + 1) * block]
                    values.append(sum(float(e) for e in part.ravel()) / block**2)
    return values


@pytest.mark.parametrize("seed", [1, 2])
def test_gist_is_what_its_definition_says(seed: int) -> None:
    rgb = drawn(seed, SIDE)
    wanted = np.array(slow_gist(rgb, ORIENTATIONS))
    found = gist(rgb, ORIENTATIONS)
    assert found.shape == (960,)
    assert np.abs(found - wanted).max() <= 1e-4 * max(1.0, float(np.abs(wanted).max()))


def test_the_two_gists_have_960_and_1536_numbers() -> None:
    crop = Crop(drawn(3, 128), np.full((128, 128), 255, np.uint8))
    for descriptor, size in ((Gist("gist", (8, 8, 4)), 960), (Gist("gist-4x8", (8, 8, 8, 8)), 1536)):
        vectors = descriptor.describe([crop, crop])
        assert vectors.shape == (2, size)
        assert descriptor.card.dimension == size
        assert np.array_equal(vectors[0], vectors[1])


def test_stripes_answer_most_to_the_filter_that_lies_across_them() -> None:
    x = np.arange(128)
    wave = (127 + 100 * np.sin(2 * np.pi * 0.16 * x)).astype(np.uint8)  # 0.16 cycles a pixel: the second scale's 0.162
    upright = np.repeat(np.broadcast_to(wave[None, :, None], (128, 128, 1)), 3, axis=2).copy()
    energy = gist(upright, ORIENTATIONS).reshape(3, 20, 16).mean(axis=(0, 2))
    assert int(energy.argmax()) == 8  # first of the second scale's eight: along x
    lying = gist(upright.transpose(1, 0, 2).copy(), ORIENTATIONS).reshape(3, 20, 16).mean(axis=(0, 2))
    assert int(lying.argmax()) == 12  # a quarter turn further


def test_light_that_is_doubled_changes_little_and_a_blank_picture_has_no_energy() -> None:
    rgb = (drawn(4, 128) // 2).astype(np.uint8)
    dim, bright = gist(rgb, ORIENTATIONS), gist((rgb * 2).astype(np.uint8), ORIENTATIONS)
    assert np.linalg.norm(dim - bright) < 0.35 * np.linalg.norm(bright)
    assert gist(np.full((128, 128, 3), 90, np.uint8), ORIENTATIONS).max() < 1e-3


def test_a_picture_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        gist(np.zeros((32, 64, 3), np.uint8), ORIENTATIONS)


def test_the_filters_have_one_side_of_the_spectrum() -> None:
    bank = filter_bank(32, (8,))
    assert bank.shape == (8, 40, 40)
    assert bank[0, 0, 12] > 0.5
    assert bank[0, 0, -12] < 1e-6
