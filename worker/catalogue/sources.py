"""The kinds of source `intake catalogue load` takes: a folder, a CSV, a JSONL.

In a folder a file is one article, and a sub-folder one article with a photo for each view. In a CSV a row is a photo (columns
``article_id``, ``photo``, and as wanted ``view`` and the attributes); in a JSONL a line is an article
(``{"article_id": ..., "photos": ["s3://...", {"location": ..., "view": ...}], "colour": ...}``).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from worker.catalogue.entries import (
    DEFAULT_VIEW,
    BadEntry,
    CatalogueEntry,
    id_from_name,
    is_valid_id,
    resolved_location,
    view_from_name,
)
from worker.errors import ConfigurationError
from worker.events import Attributes

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif"})
PHOTO_COLUMNS = ("photo", "location", "path", "image")
# American spelling is what many exports have.
SPELLINGS = {"color": "colour"}

Entries = Iterator[CatalogueEntry | BadEntry]


def read_source(source: Path, names: str | None = None) -> Entries:
    """Every photo the source names, in a stable order.

    Args:
        source: a folder, or a ``.csv``, ``.tsv``, ``.jsonl`` or ``.ndjson`` file.
        names: for a folder of single files: how names are made, as in ``<article>_<view>``.

    Raises:
        ConfigurationError: the source is not there or of no known kind.
    """
    if source.is_dir():
        return folder_entries(source.absolute(), None if names is None else name_pattern(names))
    if not source.is_file():
        raise ConfigurationError(f"there is no folder or file {source}")
    readers: dict[str, Callable[[Path], Entries]] = {
        ".csv": csv_entries,
        ".tsv": csv_entries,
        ".jsonl": jsonl_entries,
        ".ndjson": jsonl_entries,
    }
    reader = readers.get(source.suffix.lower())
    if reader is None:
        raise ConfigurationError(f"{source} is no folder, .csv, .tsv or .jsonl")
    return reader(source.absolute())


def name_pattern(names: str) -> re.Pattern[str]:
    """``<article>_<view>`` as a regular expression over a file's name without its suffix.

    Raises:
        ConfigurationError: ``<article>`` is not in it exactly once, or ``<view>`` more than once.
    """
    if names.count("<article>") != 1 or names.count("<view>") > 1:
        raise ConfigurationError(f"{names!r} must hold <article> once, and may hold <view> once, as in '<article>_<view>'")
    pattern = re.escape(names).replace("<article>", "(?P<article>.+)").replace("<view>", "(?P<view>[^_]+)")
    return re.compile(f"^{pattern}$")


def folder_entries(folder: Path, pattern: re.Pattern[str] | None = None) -> Entries:
    """A file is an article (or, with `pattern`, a view of one); a sub-folder is an article whose files are its views."""
    for item in sorted(folder.iterdir()):
        if item.name.startswith("."):
            continue
        if item.is_dir():
            for photo in sorted(path for path in item.rglob("*") if _is_photo(path)):
                yield CatalogueEntry(id_from_name(item.name), view_from_name(photo.stem), str(photo))
        elif _is_photo(item):
            yield _named(item, pattern)


def csv_entries(file: Path) -> Entries:
    """A row is a photo. Comma, semicolon or tab between the columns; the first row names them."""
    # utf-8-sig: spreadsheets write a byte order mark.
    with file.open(encoding="utf-8-sig", newline="") as lines:
        head = lines.readline()
        lines.seek(0)
        delimiter = max(",;\t", key=head.count)
        rows = csv.DictReader(lines, delimiter=delimiter)
        columns = [str(column).strip().lower() for column in rows.fieldnames or ()]
        photo_column = next((column for column in PHOTO_COLUMNS if column in columns), None)
        if "article_id" not in columns or photo_column is None:
            raise ConfigurationError(
                f"{file}: the first row must name the columns article_id and photo (and, as wanted, view, "
                f"{', '.join(Attributes.model_fields)}); it names {', '.join(columns) or 'none'}"
            )
        rows.fieldnames = columns
        for row in rows:
            place = f"{file.name}:{rows.line_num}"
            fields = {name: (value or "").strip() for name, value in row.items() if isinstance(value, str)}
            photo = {"location": fields.get(photo_column, ""), "view": fields.get("view", "")}
            yield from _article(place, fields.get("article_id", ""), [photo], fields, file.parent)


def jsonl_entries(file: Path) -> Entries:
    """A line is an article with its photos; attributes stand in it or in an object ``attributes``."""
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            place = f"{file.name}:{number}"
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                yield BadEntry(place, f"no JSON: {error}")
                continue
            if not isinstance(record, dict):
                yield BadEntry(place, "no JSON object")
                continue
            photos = record.get("photos", record.get("photo"))
            listed = photos if isinstance(photos, list) else [photos]
            attributes = record.get("attributes")
            fields = {**record, **(attributes if isinstance(attributes, dict) else {})}
            article_id = record.get("article_id")
            yield from _article(place, "" if article_id is None else str(article_id), listed, fields, file.parent)


def _article(place: str, article_id: str, photos: list[Any], fields: Mapping[str, Any], folder: Path) -> Entries:
    """The entries of one row or line."""
    if not is_valid_id(article_id):
        yield BadEntry(
            place, f"article_id {article_id!r} is no id: 1 to 128 letters, digits and ._:@+=-, a letter or digit first"
        )
        return
    try:
        attributes = _attributes(fields)
    except ValidationError as error:
        wrong = ", ".join(str(item["loc"][0]) for item in error.errors())
        yield BadEntry(place, f"{wrong}: must be texts of 1 to 256 characters")
        return
    for photo in photos:
        text = photo.get("location") if isinstance(photo, dict) else photo
        view = photo.get("view") if isinstance(photo, dict) else None
        if not isinstance(text, str):
            yield BadEntry(place, "it names no photo")
            continue
        try:
            location = resolved_location(text, folder)
        except ConfigurationError as error:
            yield BadEntry(place, str(error))
            continue
        yield CatalogueEntry(
            article_id, view_from_name(view) if isinstance(view, str) and view else DEFAULT_VIEW, location, attributes
        )


def _attributes(fields: Mapping[str, Any]) -> Attributes:
    """The attributes among the fields. An empty text or null is none; a number is taken as its text."""
    known = {SPELLINGS.get(name, name): value for name, value in fields.items()}
    given = {name: known[name] for name in Attributes.model_fields if known.get(name) not in (None, "")}
    return Attributes(**{name: str(value) if isinstance(value, int | float) else value for name, value in given.items()})


def _named(photo: Path, pattern: re.Pattern[str] | None) -> CatalogueEntry:
    match = None if pattern is None else pattern.match(photo.stem)
    if match is None:  # beside `shirt_back.jpg` there is often a plain `shirt.jpg`: the front
        return CatalogueEntry(id_from_name(photo.stem), DEFAULT_VIEW, str(photo))
    view = match.groupdict().get("view")
    return CatalogueEntry(id_from_name(match["article"]), view_from_name(view) if view else DEFAULT_VIEW, str(photo))


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
