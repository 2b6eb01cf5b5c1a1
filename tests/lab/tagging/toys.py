"""A table of labelled pictures, drawn here: colour is gender, stripes are kind."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worker.lab.tagging.data import DataConfig
from worker.vision.types import ByteArray

COLOURS: Mapping[str, tuple[int, int, int]] = {"Men": (30, 40, 200), "Women": (210, 40, 30)}
KINDS = ("Dresses", "Shirts", "Shoes")


def picture(gender: str, kind: str, seed: int, height: int = 40, width: int = 30) -> ByteArray:
    """(height, width, 3) RGB: a patch of the gender's colour on white, striped across, along or not at all."""
    rng = np.random.default_rng(seed)
    rgb = np.full((height, width, 3), 255, np.uint8)
    top, left = rng.integers(2, 7, 2)
    patch = rgb[top : height - 4, left : width - 4]
    patch[:] = COLOURS[gender]
    if kind == "Dresses":
        patch[::6] = patch[1::6] = patch[2::6] = 255
    if kind == "Shirts":
        patch[:, ::6] = patch[:, 1::6] = patch[:, 2::6] = 255
    return np.clip(rgb.astype(int) + rng.integers(-9, 10, rgb.shape), 0, 255).astype(np.uint8)


def encoded(rgb: ByteArray) -> bytes:
    """As a PNG."""
    return cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()


def make_table(folder: Path, count: int = 120, *, zipped: bool = False) -> Path:
    """`count` products with a picture each, as styles.csv and images/ or images.zip; a last line carries a name with a comma."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    rows = [
        {"id": str(1000 + n), "gender": ("Men", "Women")[int(rng.integers(2))], "kind": KINDS[int(rng.integers(3))]}
        for n in range(count)
    ]
    files = {f"{row['id']}.png": encoded(picture(row["gender"], row["kind"], int(row["id"]))) for row in rows}
    with (folder / "styles.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "gender", "kind", "name"])
        writer.writeheader()
        writer.writerows({**row, "name": "x"} for row in rows)
        file.write("99999,Men,Shirts,unquoted, name\n")  # without a picture, as some are
    if zipped:
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        (folder / "images").mkdir(exist_ok=True)
        for name, data in files.items():
            (folder / "images" / name).write_bytes(data)
    return folder


HEADS: list[dict[str, Any]] = [
    {"name": "whom", "columns": ["gender", "kind"], "attribute": "gender", "value_column": "gender"},
    {"name": "kind", "columns": ["kind"], "attribute": "category", "words": {"footwear": ["Shoes"]}, "reference": 0.5},
]


def content(folder: Path, **more: Any) -> dict[str, Any]:
    """The part of a configuration that names them."""
    photos = "images.zip" if (folder / "images.zip").exists() else "images"
    plain = {"data": str(folder), "table": "styles.csv", "photos": photos, "photo": "{id}.png", "min_images": 5, "heads": HEADS}
    return plain | {"reference_name": "Somebody"} | more


def config(folder: Path, **more: Any) -> DataConfig:
    """As `content`, read."""
    return DataConfig.model_validate(content(folder, **more))
