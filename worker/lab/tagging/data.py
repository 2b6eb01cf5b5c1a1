"""Labelled photos: a table with a line for each, the photos in a folder or a zip, and the parts they are split into.

The classes and the split are those of Li et al., "Neural Networks for Fashion Image Classification and Visual Search" (2020), section
3: classes with at least 500 images, a fifth for the test, a fifth of the rest for validation.
"""

from __future__ import annotations

import csv
import hashlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from worker.errors import ConfigurationError
from worker.lab.splits import part_of_sender
from worker.lab.training.config import Part
from worker.vision.types import ByteArray

PartName = Literal["train", "validation", "test"]
MIN_IMAGES = 500
TEST_SHARE = VALIDATION_SHARE = 0.2
NO_CLASS = -1
IntArray = npt.NDArray[np.int64]


class HeadConfig(Part):
    """One thing a tagger says of a photo."""

    name: str = Field(description="Of the head, as in `article-type`.")
    columns: tuple[str, ...] = Field(min_length=1, description="Of the table; their values, with a space between, are the label.")
    attribute: Literal["gender", "category"] | None = Field(
        default=None, description="Attribute of the event that the value stands for."
    )
    value_column: str | None = Field(default=None, description="One of `columns`: what the attribute is set to; else the label.")
    words: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Words for several labels at once, as in footwear = [Heels, Flats]."
    )
    reference: float | None = Field(default=None, ge=0, le=1, description="Top-1 on the test part that a publication reports.")

    @model_validator(mode="after")
    def _value_is_of_the_label(self) -> HeadConfig:
        if self.value_column is not None and self.value_column not in self.columns:
            raise ValueError(f"value_column {self.value_column} is none of {', '.join(self.columns)}")
        return self


class DataConfig(Part):
    """Where labelled photos are and what is learned of them."""

    data: Path = Field(description="Folder with table and photos.")
    table: str = Field(description="CSV in it with one line for each photo.")
    photos: str = Field(description="Folder or zip in it.")
    photo: str = Field(description="Name of a photo, with {column} where a value of the line goes, as in {id}.jpg.")
    group: str | None = Field(
        default=None, description="Column whose equal values share a part; none: photos with the same bytes do."
    )
    rule: Literal["share", "sender"] = Field(
        default="share", description="share: a seeded fifth is the test; sender: the lab's own rule over senders."
    )
    split_seed: int = 0
    min_images: int = Field(default=MIN_IMAGES, ge=1, description="Fewest images of a class.")
    leave_out: tuple[str, ...] = Field(default=(), description="Labels that are no class, such as Other.")
    heads: tuple[HeadConfig, ...] = Field(min_length=1)
    reference_name: str = Field(default="", description="Whose figures the heads' references are.")

    @model_validator(mode="after")
    def _names_differ(self) -> DataConfig:
        names = [head.name for head in self.heads]
        if len(set(names)) != len(names):
            raise ValueError("two heads have the same name")
        return self


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of one head, in the order of their outputs.

    Attributes:
        values: what the attribute is set to, for each class.
        counts: images of each in the whole data.
    """

    config: HeadConfig
    labels: tuple[str, ...]
    values: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Labelled photos.

    Attributes:
        names: of the photos, as the folder or zip has them; one product has one photo.
        groups: what is kept together, of each photo.
        parts: of each photo.
        labels: (photos, heads) class numbers, -1 where the label is none of the classes.
    """

    source: PhotoFiles
    names: tuple[str, ...]
    groups: tuple[str, ...]
    parts: npt.NDArray[np.str_]
    heads: tuple[Classes, ...]
    labels: IntArray

    def of_part(self, part: PartName) -> IntArray:
        """Numbers of the part's photos that carry a label of at least one head."""
        return np.flatnonzero((self.parts == part) & (self.labels >= 0).any(1))


@dataclass(slots=True)
class PhotoFiles:
    """Photos in a folder or a zip. Each process has a handle of its own."""

    place: Path
    _zip: zipfile.ZipFile | None = field(default=None, repr=False)
    _owner: int = 0

    def __getstate__(self) -> Path:
        return self.place

    def __setstate__(self, state: Path) -> None:
        self.place, self._zip, self._owner = state, None, 0

    def sums(self, names: Sequence[str]) -> dict[str, str]:
        """Checksum and size of those photos that are there."""
        if self.place.is_dir():
            paths = ((name, self.place / name) for name in names)
            return {name: _sum(path.read_bytes()) for name, path in paths if path.is_file()}
        wanted = set(names)
        infos = (info for info in self._open().infolist() if info.filename in wanted)
        return {info.filename: f"{info.CRC:08x}-{info.file_size}" for info in infos}

    def read(self, name: str) -> ByteArray:
        """Pixels, (h, w, 3) uint8 RGB.

        Raises:
            ConfigurationError: it is not there or no photo.
        """
        try:
            data = (self.place / name).read_bytes() if self.place.is_dir() else self._open().read(name)
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except (OSError, KeyError, zipfile.BadZipFile, cv2.error) as error:
            raise ConfigurationError(f"{self.place}: {name} cannot be read: {error}") from error
        if bgr is None:
            raise ConfigurationError(f"{self.place}: {name} is no photo; take its line out of the table")
        return np.ascontiguousarray(bgr[..., ::-1], np.uint8)

    def _open(self) -> zipfile.ZipFile:
        # A handle shared with a forked process would share its place in the file.
        if self._zip is None or self._owner != os.getpid():
            try:
                self._zip, self._owner = zipfile.ZipFile(self.place), os.getpid()
            except (OSError, zipfile.BadZipFile) as error:
                raise ConfigurationError(f"{self.place} is neither a folder nor a zip of photos: {error}") from error
        return self._zip


def read_labelled(config: DataConfig, folder: Path) -> Labelled:
    """Read a table; where `data` is relative, it is of `folder`.

    Raises:
        ConfigurationError: table or photos are not there, a column is missing, or no class has enough images.
    """
    rows = _rows(folder / config.data / config.table, config)
    source = PhotoFiles(folder / config.data / config.photos)
    named = [config.photo.format(**row) for row in rows]
    sums = source.sums(named)
    # A product has one line; a later one of the same photo would put it into two parts.
    kept = {name: row for name, row in zip(named, rows, strict=True) if name in sums}
    if not kept:
        raise ConfigurationError(f"{source.place} holds none of the photos of {config.table}, such as {named[0]}")
    groups = [row[config.group] if config.group else sums[name] for name, row in kept.items()]
    heads = tuple(_classes(head, list(kept.values()), config) for head in config.heads)
    labels = np.stack([_numbers(head, list(kept.values())) for head in heads], axis=1)
    parts = np.array([part_of(group, config) for group in groups])
    return Labelled(source, tuple(kept), tuple(groups), parts, heads, labels)


def part_of(group: str, config: DataConfig) -> PartName:
    """Which part a group belongs to; the same whatever else is in the table."""
    if config.rule == "sender":
        test = part_of_sender(int(group)) == "held-out"
    else:
        test = _share(f"{config.split_seed}:test:{group}") < TEST_SHARE
    if test:
        return "test"
    return "validation" if _share(f"{config.split_seed}:validation:{group}") < VALIDATION_SHARE else "train"


def _share(text: str) -> float:
    # Not a CRC: those of two texts that differ in a prefix alone depend on one another, and with them test and validation.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _sum(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}-{len(data)}"


def _rows(table: Path, config: DataConfig) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            # Names with commas stand unquoted at the end of some lines of Fashion Product Images: what is too much is put aside.
            reader = csv.DictReader(file, restkey="rest", restval="")
            rows = list(reader)
            columns = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{table} cannot be read as a table of labels: {error}") from error
    wanted = {column for head in config.heads for column in head.columns} | ({config.group} if config.group else set())
    if missing := sorted(wanted - columns):
        raise ConfigurationError(f"{table} has no column {', '.join(missing)}; it has {', '.join(sorted(columns))}")
    if not rows:
        raise ConfigurationError(f"{table} holds no lines")
    try:
        config.photo.format(**rows[0])
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigurationError(f"recipe.photo {config.photo!r} does not fit the columns of {table}: {error}") from error
    return rows


def label_of(head: HeadConfig, row: dict[str, str]) -> str:
    """The label of a line."""
    return " ".join(row[column].strip() for column in head.columns)


def _classes(head: HeadConfig, rows: Sequence[dict[str, str]], config: DataConfig) -> Classes:
    counts = Counter(label_of(head, row) for row in rows)
    labels = sorted(
        label for label, count in counts.items() if count >= config.min_images and label and label not in config.leave_out
    )
    if not labels:
        raise ConfigurationError(f"head {head.name}: no class has {config.min_images} images; lower recipe.min_images")
    value = {label_of(head, row): row[head.value_column] if head.value_column else label_of(head, row) for row in rows}
    return Classes(head, tuple(labels), tuple(value[label] for label in labels), tuple(counts[label] for label in labels))


def _numbers(head: Classes, rows: Sequence[dict[str, str]]) -> IntArray:
    number = {label: index for index, label in enumerate(head.labels)}
    return np.array([number.get(label_of(head.config, row), NO_CLASS) for row in rows], np.int64)
