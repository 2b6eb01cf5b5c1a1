"""Array types of this room, and the two conversions between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
Rng = np.random.Generator


def as_float(values: Any) -> FloatArray:
    """`values` as float32, without a copy where they are already."""
    return np.asarray(values, dtype=np.float32)


def as_bytes(values: Any) -> ByteArray:
    """`values` (0..255, any numeric type) rounded, clipped and stored as uint8."""
    array = np.asarray(values)
    if array.dtype == np.uint8:
        return array
    return np.clip(array + 0.5, 0, 255).astype(np.uint8)


def child_rng(*key: int) -> Rng:
    """A generator of its own for each key: what one part draws never shifts what another draws."""
    return np.random.default_rng([part & 0xFFFFFFFF for part in key])
