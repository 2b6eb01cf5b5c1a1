"""DeepFashion (Liu et al., CVPR 2016): three of its benchmarks, as the authors hand them out.

Splits are those of ``list_eval_partition.txt``. The part that is for training has no roles: its photos are all catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from worker.lab.manifest import ManifestLine
from worker.lab.readers.layout import counted_rows, find_file, photo_base

EVAL_PLACES = ("Eval", ".", "Anno")
ANNO_PLACES = ("Anno", "Anno_coarse", ".")
PHOTO_PLACES = (".", "Img", "img")
PARTITION = "list_eval_partition.txt"


def in_shop(folder: Path, split: str) -> Iterator[ManifestLine]:
    """In-shop Clothes Retrieval. `test`: the official queries and gallery; `train`.

    The kind is what the file's name says of the view (front, side, back, full, additional, flat), the category the folders above the
    item, as in ``WOMEN/Dresses``.
    """
    rows = list(counted_rows(find_file(folder, PARTITION, EVAL_PLACES), 3))
    base = photo_base(folder, rows[0][0], PHOTO_PLACES)
    for path, item, status in rows:
        if (status == "train") != (split == "train"):
            continue
        name = PurePosixPath(path)
        view = name.stem.rsplit("_", 1)[-1]
        category = "/".join(name.parts[1:-2])
        yield ManifestLine(str(base / path), item, "query" if status == "query" else "catalogue", view, category)


def consumer_to_shop(folder: Path, split: str) -> Iterator[ManifestLine]:
    """Consumer-to-shop Clothes Retrieval. `train`, `val` or `test`: consumers' photos are queries, the shops' are the catalogue."""
    rows = list(counted_rows(find_file(folder, PARTITION, EVAL_PLACES), 4))
    base = photo_base(folder, rows[0][0], PHOTO_PLACES)
    given: set[tuple[str, str]] = set()
    for consumer, shop, item, status in rows:
        if status != split:
            continue
        category = "/".join(PurePosixPath(shop).parts[1:-2])
        lines = (
            ManifestLine(str(base / shop), item, "catalogue", "shop", category),
            ManifestLine(str(base / consumer), item, "query", "consumer", category),
        )
        for line in lines:
            # The list is of pairs: each photo is in several.
            if (line.path, line.role) not in given:
                given.add((line.path, line.role))
                yield line


def category(folder: Path, split: str) -> Iterator[ManifestLine]:
    """Category and Attribute Prediction, as retrieval of the category (Park et al. 2019): the item is the category.

    `test` or `val`: these photos are queries, the training part is the catalogue; `train`: the training part alone. The kind of a
    query is its category's type: upper-body, lower-body or full-body.
    """
    types = {"1": "upper-body", "2": "lower-body", "3": "full-body"}
    names = [
        (name, types.get(kind, kind)) for name, kind in counted_rows(find_file(folder, "list_category_cloth.txt", ANNO_PLACES), 2)
    ]
    labels = {path: int(number) - 1 for path, number in counted_rows(find_file(folder, "list_category_img.txt", ANNO_PLACES), 2)}
    rows = list(counted_rows(find_file(folder, PARTITION, EVAL_PLACES), 2))
    base = photo_base(folder, rows[0][0], PHOTO_PLACES)
    for path, status in rows:
        name, kind = names[labels[path]]
        if status == "train":
            yield ManifestLine(str(base / path), name, "catalogue", kind, name)
        elif status == split:
            yield ManifestLine(str(base / path), name, "query", kind, name)
