"""Every reader by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ConfigurationError
from worker.lab.manifest import ManifestLine
from worker.lab.readers import deepfashion, folders, products, street2shop

Read = Callable[[Path, str], Iterator[ManifestLine]]


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """A reader: its name, its splits (the first is the default) and what it reads."""

    name: str
    splits: tuple[str, ...]
    read: Read
    what: str


READERS = (
    ReaderRow("deepfashion-inshop", ("test", "train"), deepfashion.in_shop, "DeepFashion In-shop Clothes Retrieval"),
    ReaderRow(
        "deepfashion-consumer",
        ("test", "val", "train"),
        deepfashion.consumer_to_shop,
        "DeepFashion Consumer-to-shop Clothes Retrieval",
    ),
    ReaderRow(
        "deepfashion-category", ("test", "val", "train"), deepfashion.category, "DeepFashion Category and Attribute Prediction"
    ),
    ReaderRow("street2shop", ("test", "train"), street2shop.street2shop, "Exact Street2Shop"),
    ReaderRow("fashion-products", ("test", "train"), products.fashion_products, "Fashion Product Images, also the small form"),
    ReaderRow("folders", ("all",), folders.folder_per_article, "a folder for each article"),
    ReaderRow("simulator", ("all",), folders.simulator, "what `intake simulate --output` wrote"),
)


def read_dataset(name: str, folder: Path, split: str | None = None) -> list[ManifestLine]:
    """The lines of a data set.

    Raises:
        ConfigurationError: there is no such reader or split, or the folder is not laid out as the reader expects.
    """
    row = next((row for row in READERS if row.name == name), None)
    if row is None:
        raise ConfigurationError(f"there is no reader {name!r}; there are {', '.join(row.name for row in READERS)}")
    chosen = split or row.splits[0]
    if chosen not in row.splits:
        raise ConfigurationError(f"{name} has no split {chosen!r}; it has {', '.join(row.splits)}")
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder")
    lines = list(row.read(folder, chosen))
    if not lines:
        raise ConfigurationError(f"{folder} holds no photos of {row.what} ({chosen})")
    return lines
