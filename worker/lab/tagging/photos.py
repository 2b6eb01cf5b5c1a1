"""Photos to what a tagger says of them, cut out as the worker does, and the CSV of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from worker.errors import ConfigurationError
from worker.lab.embedding import PhotoBench, Progress
from worker.lab.manifest import S3_SCHEME
from worker.lab.models import LoadedMethod
from worker.tagging import Said, parts, say
from worker.vision.crop import NOT_FOUND_FLAG
from worker.vision.rows import HeadSpec
from worker.vision.types import Crop, FloatArray, Tagger

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})
BATCH = 16


@dataclass(frozen=True, slots=True)
class TaggedPhoto:
    """One photo: what each head says, or why nothing is said. `flags` are of the crop."""

    location: str
    said: tuple[Said, ...] = ()
    flags: tuple[str, ...] = ()
    fault: str = ""


def photo_files(inputs: Sequence[str]) -> list[str]:
    """Locations of photos: files, every photo in folders (in order), s3:// locations as they are.

    Raises:
        ConfigurationError: an input is neither, or there are no photos at all.
    """
    found: list[str] = []
    for text in inputs:
        path = Path(text).expanduser()
        if text.startswith(S3_SCHEME):
            found.append(text)
        elif path.is_dir():
            found += sorted(str(file.absolute()) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        elif path.is_file():
            found.append(str(path.absolute()))
        else:
            raise ConfigurationError(f"{text} is neither a photo nor a folder of photos")
    if not found:
        raise ConfigurationError(f"there are no photos in {', '.join(inputs)}")
    return found


def tag_photos(
    locations: Sequence[str], tagger: Tagger, bench: PhotoBench, loaded: LoadedMethod, progress: Progress
) -> list[TaggedPhoto]:
    """What a tagger says of each photo, in order; `loaded` says how garments are cut out."""
    results: dict[str, TaggedPhoto] = {}
    waiting: list[tuple[str, Crop]] = []
    for location, crop in bench.crops(locations, loaded, progress):
        if isinstance(crop, str):
            results[location] = TaggedPhoto(location, fault=crop)
            continue
        waiting.append((location, crop))
        if len(waiting) == BATCH:
            results |= _said(waiting, tagger)
            waiting = []
    results |= _said(waiting, tagger)
    return [results[location] for location in locations]


def _said(waiting: Sequence[tuple[str, Crop]], tagger: Tagger) -> dict[str, TaggedPhoto]:
    rows = tagger.tag([crop.rgb for _, crop in waiting])
    found = {}
    for (location, crop), row in zip(waiting, rows, strict=True):
        said = tuple(say_label(head, part) for head, part in zip(tagger.heads, parts(row, tagger.heads), strict=True))
        found[location] = TaggedPhoto(location, said, crop.flags)
    return found


def say_label(head: HeadSpec, probabilities: FloatArray) -> Said:
    """The most probable label itself, whatever value it stands for."""
    return say(head.model_copy(update={"values": ()}), probabilities)


def write_csv(tagged: Sequence[TaggedPhoto], heads: Sequence[HeadSpec], file: TextIO) -> None:
    """``path``, then for each head its label, probability and whether the worker would take it for true; flags; the fault."""
    names = [column for head in heads for column in (head.name, f"{head.name}_probability", f"{head.name}_sure")]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", *names, "flags", "fault"])
    for photo in tagged:
        said = [cell for one in photo.said for cell in (one.value, f"{one.probability:.4f}", _sure(one, photo))]
        writer.writerow([photo.location, *(said or [""] * len(names)), " ".join(photo.flags), photo.fault])


def _sure(one: Said, photo: TaggedPhoto) -> str:
    # Where no garment was found the worker reads nothing off the photo.
    return "yes" if one.sure and NOT_FOUND_FLAG not in photo.flags else "no"
