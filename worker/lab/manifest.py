"""The manifest: one CSV that names photos for everything the lab does.

Columns ``path,item_id,role,kind`` and, where a breakdown by it is wanted, ``category``. A query whose item_id is empty or not in the
catalogue is an unseen garment.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from worker.errors import ConfigurationError
from worker.lab.files import writing

Role = Literal["catalogue", "query"]
ROLES = ("catalogue", "query")
COLUMNS = ("path", "item_id", "role", "kind")
CATEGORY = "category"
S3_SCHEME = "s3://"
# More faults than this are one fault: a wrong column, a wrong separator.
SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One photo.

    Attributes:
        path: as it stands in the file: relative to the file's folder, absolute, or s3://bucket/key.
        item_id: the article it shows; empty for a garment that is no article.
        role: `catalogue` or `query`.
        kind: free text by which queries are reported apart.
        category: free text by which results are broken down; empty where nothing is known.
    """

    path: str
    item_id: str
    role: Role
    kind: str
    category: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Lines in the order of the file, and the folder their relative paths start from."""

    lines: tuple[ManifestLine, ...]
    folder: Path

    def location(self, line: ManifestLine) -> str:
        """Where the photo is: an absolute path, or s3://bucket/key. The same photo has the same location however it is written."""
        if line.path.startswith(S3_SCHEME):
            return line.path
        return os.path.normpath(self.folder / Path(line.path).expanduser())

    @property
    def locations(self) -> tuple[str, ...]:
        """`location` of each line."""
        return tuple(self.location(line) for line in self.lines)

    @property
    def categories(self) -> dict[str, str]:
        """Of each location that has one; of a location that is named twice, the first."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.category:
                found.setdefault(self.location(line), line.category)
        return found

    def rows(self, role: Role) -> list[int]:
        """Numbers (from 0) of the lines with this role."""
        return [number for number, line in enumerate(self.lines) if line.role == role]

    @property
    def articles(self) -> frozenset[str]:
        """What the catalogue holds."""
        return frozenset(line.item_id for line in self.lines if line.role == "catalogue")

    def unseen(self, line: ManifestLine) -> bool:
        """Whether this query shows a garment that the catalogue has not."""
        return line.role == "query" and line.item_id not in self.articles


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ConfigurationError: the file cannot be read, lacks a column, or holds wrong lines; names the first of them.
    """
    try:
        # utf-8-sig: spreadsheets write a byte order mark, which would be part of the first column's name.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the manifest {path}: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ConfigurationError(
            f"{path} has no column {', '.join(missing)}; a manifest begins with the line {','.join(COLUMNS)} (and may have a column "
            f"{CATEGORY}); its first line is {','.join(names)[:200]!r}"
        )
    reader.fieldnames = names
    lines: list[ManifestLine] = []
    faults: list[str] = []
    try:
        for row in reader:
            line = _line(row, f"{path}, line {reader.line_num}")
            if isinstance(line, str):
                faults.append(line)
            else:
                lines.append(line)
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {reader.line_num}: {error}") from error
    if faults:
        more = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise ConfigurationError("; ".join(faults[:SHOWN_FAULTS]) + more)
    if not lines:
        raise ConfigurationError(f"{path} names no photos")
    return Manifest(tuple(lines), path.resolve().parent)


def _line(row: dict[str, str | None], where: str) -> ManifestLine | str:
    """The line, or what is wrong with it."""
    if None in row:
        return f"{where}: more values than columns; quote a path that holds a comma"
    values = {name: (value or "").strip() for name, value in row.items()}
    if not values["path"]:
        return f"{where}: path is empty"
    if "\0" in values["path"]:
        return f"{where}: path holds a zero byte"
    if values["role"] not in ROLES:
        return f"{where}: role is {values['role']!r}, not {' or '.join(ROLES)}"
    if values["role"] == "catalogue" and not values["item_id"]:
        return f"{where}: a catalogue photo needs an item_id"
    return ManifestLine(values["path"], values["item_id"], cast("Role", values["role"]), values["kind"], values.get(CATEGORY, ""))


def write_manifest(path: Path, lines: Iterable[ManifestLine]) -> int:
    """Write a manifest, whole or not at all; returns the number of lines. The category column is written if any line has one."""
    kept = list(lines)
    columns = (*COLUMNS, CATEGORY) if any(line.category for line in kept) else COLUMNS
    with writing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([getattr(line, column) for column in columns] for line in kept)
    return len(kept)


def relative(photo: Path, folder: Path) -> str:
    """`photo` as a manifest in `folder` writes it: relative where it lies below the folder, absolute elsewhere."""
    whole = photo.resolve()
    base = folder.resolve()
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)
