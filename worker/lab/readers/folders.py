"""One's own photos in folders, and the simulator's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from worker.errors import ConfigurationError
from worker.lab.manifest import ManifestLine, read_manifest
from worker.lab.readers.layout import folders_in, photos_below

CATALOGUE, QUERIES = "catalogue", "queries"
# A photo whose name ends so shows the front: it is the one in the catalogue.
FRONTS = ("front", "main")
MANIFEST = "manifest.csv"


def folder_per_article(folder: Path, _split: str) -> Iterator[ManifestLine]:
    """Either ``<article>/<photo>`` or two such folders, ``catalogue/<article>/<photo>`` and ``queries/<article>/<photo>``.

    With two folders, photos of a query folder whose name the catalogue has not are unseen garments; so are photos that lie in ``queries``
    itself. With one, an article's front (or first) photo is the catalogue's and the others are queries, by their names' last part.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder")
    if (folder / CATALOGUE).is_dir() and (folder / QUERIES).is_dir():
        for article in folders_in(folder / CATALOGUE):
            for photo in photos_below(article):
                yield ManifestLine(str(photo), article.name, "catalogue", _kind(photo))
        for photo in photos_below(folder / QUERIES):
            below = photo.relative_to(folder / QUERIES).parts
            item = below[0] if len(below) > 1 else ""
            yield ManifestLine(str(photo), item, "query", _kind(photo))
        return
    for article in folders_in(folder):
        photos = photos_below(article)
        front = next((photo for photo in photos if _kind(photo) in FRONTS), photos[0] if photos else None)
        for photo in photos:
            yield ManifestLine(str(photo), article.name, "catalogue" if photo == front else "query", _kind(photo))


def _kind(photo: Path) -> str:
    """What a file's name says of the view: its part after the last underscore or hyphen, without digits alone."""
    last = photo.stem.replace("-", "_").rsplit("_", 1)[-1].lower()
    return "photo" if last.isdigit() else last


def simulator(folder: Path, _split: str) -> Iterator[ManifestLine]:
    """What ``intake simulate --output FOLDER`` wrote: its own manifest, checked."""
    if not (folder / MANIFEST).is_file():
        raise ConfigurationError(f"there is no {MANIFEST} in {folder}: it is written by `intake simulate --output {folder}`")
    manifest = read_manifest(folder / MANIFEST)
    for line, location in zip(manifest.lines, manifest.locations, strict=True):
        yield ManifestLine(location, line.item_id, line.role, line.kind, line.category)
