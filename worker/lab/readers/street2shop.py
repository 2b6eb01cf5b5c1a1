"""Exact Street2Shop (Hadi Kiapour et al., "Where to Buy It", ICCV 2015): street photos are queries, shop photos the catalogue.

As handed out: ``meta/json/{train,test}_pairs_<category>.json`` (a street photo, the product in it) and ``retrieval_<category>.json`` (a
shop photo, its product); the photos, fetched by number from the list of addresses, in any folder below, as ``000000016.jpg`` or
``16.jpg``. Photos that could not be fetched are left out: links die. The boxes around garments are not used: the segmenter finds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worker.errors import ConfigurationError
from worker.lab.manifest import ManifestLine
from worker.lab.readers.layout import photos_below

META_PLACES = ("meta/json", "json", ".")
RETRIEVAL = "retrieval_"


def street2shop(folder: Path, split: str) -> Iterator[ManifestLine]:
    """`test` or `train`: whose street photos are queries. A street photo with several products is a query for each."""
    meta = next((folder / place for place in META_PLACES if any((folder / place).glob(f"{RETRIEVAL}*.json"))), None)
    if meta is None:
        raise ConfigurationError(
            f"there is no {RETRIEVAL}<category>.json in {folder}/meta/json: is {folder} Street2Shop, unpacked?"
        )
    photos = {int(path.stem): path for path in photos_below(folder) if path.stem.isdigit()}
    for path in sorted(meta.glob(f"{RETRIEVAL}*.json")):
        category = path.stem.removeprefix(RETRIEVAL)
        yield from _lines(_rows(path), photos, "shop", category)
        pairs = meta / f"{split}_pairs_{category}.json"
        if pairs.is_file():
            yield from _lines(_rows(pairs), photos, "street", category)


def _lines(rows: list[dict[str, Any]], photos: dict[int, Path], kind: str, category: str) -> Iterator[ManifestLine]:
    given: set[tuple[int, int]] = set()
    for row in rows:
        key = int(row["photo"]), int(row["product"])
        if key[0] in photos and key not in given:
            given.add(key)
            yield ManifestLine(str(photos[key[0]]), str(key[1]), "query" if kind == "street" else "catalogue", kind, category)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {"photo", "product"} <= set(row) for row in rows):
        raise ConfigurationError(f"{path} is no list of pairs of photo and product")
    return rows
