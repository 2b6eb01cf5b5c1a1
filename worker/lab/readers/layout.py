"""What readers share: finding files where authors put them, and lists with a count and a header."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from worker.errors import ConfigurationError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif"})


def find_file(folder: Path, name: str, places: tuple[str, ...]) -> Path:
    """The file `name` in one of `places` below `folder`.

    Raises:
        ConfigurationError: it is in none.
    """
    for place in places:
        path = folder / place / name
        if path.is_file():
            return path
    where = ", ".join(str(folder / place) for place in places)
    raise ConfigurationError(f"there is no {name} in {where}: is {folder} this data set, unpacked?")


def photo_base(folder: Path, example: str, places: tuple[str, ...]) -> Path:
    """The folder that the list's paths are relative to: the first of `places` in which `example` lies.

    Raises:
        ConfigurationError: in none; the photos are not unpacked.
    """
    for place in places:
        if (folder / place / example).is_file():
            return folder / place
    where = ", ".join(str(folder / place / example) for place in places)
    raise ConfigurationError(f"the list names {example}, which is at none of {where}: unpack the photos there")


def counted_rows(path: Path, columns: int) -> Iterator[list[str]]:
    """Rows of a list as DeepFashion writes them: a count, a header, then values apart by white space, `columns` of them.

    Raises:
        ConfigurationError: the file is not such a list, or holds fewer or more rows than it says.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if len(lines) < 2 or not lines[0].strip().isdigit():
        raise ConfigurationError(f"{path} does not begin with the number of its rows")
    rows = [line for line in lines[2:] if line.strip()]
    if len(rows) != int(lines[0]):
        raise ConfigurationError(f"{path} says it has {lines[0].strip()} rows and has {len(rows)}: it is cut off or was changed")
    for number, line in enumerate(rows, start=3):
        # From the right: in one of the lists the first value may hold spaces.
        values = line.rsplit(maxsplit=columns - 1)
        if len(values) != columns:
            raise ConfigurationError(f"{path}, line {number}: {len(values)} values instead of {columns}")
        yield [value.strip() for value in values]


def photos_below(folder: Path) -> list[Path]:
    """Every photo below a folder, by name; hidden ones are left out."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / name for name in files if Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")]
    return sorted(found)


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones are left out."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
