"""Contact sheets: many pictures on one, with a label below each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray

_LABEL = 18
_GAP = 6
_JPEG_QUALITY = 88


def contact_sheet(
    images: Sequence[ByteArray],
    labels: Sequence[str] = (),
    *,
    columns: int = 8,
    cell: int = 160,
    form: Literal["png", "jpeg"] = "jpeg",
) -> bytes:
    """Lay pictures out in rows.

    Args:
        images: (h, w, 3) or (h, w) uint8 sRGB; sizes may differ.
        labels: one short text for each picture, or none at all; what does not fit is cut.
        columns: pictures in a row.
        cell: pixels of a picture's longer side.
        form: format of the result.

    Returns:
        The encoded sheet.

    Raises:
        ValueError: no pictures, or labels that are not as many as the pictures.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one picture")
    if labels and len(labels) != len(images):
        raise ValueError(f"{len(images)} pictures but {len(labels)} labels")
    rows = -(-len(images) // columns)
    high = cell + (_LABEL if labels else 0) + _GAP
    sheet = np.full((rows * high + _GAP, min(columns, len(images)) * (cell + _GAP) + _GAP, 3), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        y, x = _GAP + i // columns * high, _GAP + i % columns * (cell + _GAP)
        rgb = np.dstack([image] * 3) if image.ndim == 2 else image
        scale = cell / max(rgb.shape[:2])
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        top, left = y + (cell - size[1]) // 2, x + (cell - size[0]) // 2
        sheet[top : top + size[1], left : left + size[0]] = small
        if labels:
            text = labels[i].encode("ascii", "replace").decode()[: cell // 7]
            cv2.putText(sheet, text, (x, y + cell + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if form == "jpeg" else []
    done, data = cv2.imencode(".jpg" if form == "jpeg" else ".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), parameters)
    if not done:
        raise ValueError(f"OpenCV could not encode the sheet as {form}")
    return data.tobytes()
