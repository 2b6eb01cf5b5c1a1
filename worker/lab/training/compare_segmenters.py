"""Segmenters side by side on held-out photos: ``python -m worker.lab.training.compare_segmenters --data FOLDER --models garment-light u2netp grabcut``.

FOLDER holds ccp/ and clothing/, unpacked or with their images.zip. Street photos are judged by their labels, flat ones by U²-Netp's
cut (which U²-Netp itself therefore has at 1). Nothing here needs torch. Times are of one photo at a time, preparation and the choice of the
garment included, on the CPU with the threads given: the tenth percentile, the segmenters taking turns, so that other work on the machine meets
all of them alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worker.lab.segmenting import labels_of, open_segmenter, overlay
from worker.lab.training.segmentation_data import (
    Sample,
    flat_sources,
    part_of,
    read_flat,
    read_street,
    street_sources,
    unpacked,
)
from worker.lab.training.segmentation_metrics import boundary_f, class_ious, confusion, garment_mask, iou
from worker.settings.vision import VisionSettings
from worker.vision.garment_classes import CLASSES, GARMENTS, PERSON
from worker.vision.segmenters import OnnxSegmenter
from worker.vision.store import cache_dir
from worker.vision.types import ByteArray, Segmenter

HALF = 128
FAST = 10  # percentile of the times that is told: other work on the machine slows most photos, the fastest tenth hardly
TIMED = 40  # photos
TILE = 220  # pixels of a photo's longer side in a contact sheet
COLUMNS = 10


@dataclass(frozen=True, slots=True)
class Compared:
    """One segmenter's figures: shares, IoUs and boundary F 0..1; `classes` is empty where it knows none."""

    model: str
    street_iou: float
    street_boundary_f: float
    person_taken: float
    flat_iou: float
    flat_median: float
    flat_boundary_f: float
    classes: dict[str, float]

    @property
    def miou(self) -> float | None:
        """Mean over the classes."""
        return float(np.mean(list(self.classes.values()))) if self.classes else None


def held_out(data: Path, cuts: Path | None, flat: int) -> list[Sample]:
    """All held-out street photos and `flat` held-out flat ones, evenly from their list."""
    cache = cache_dir(VisionSettings()) / "lab"
    street, clothing = unpacked(data / "ccp", cache), unpacked(data / "clothing", cache)
    photos = clothing / "images" if (clothing / "images").is_dir() else clothing
    others = [each for each in flat_sources(data / "clothing" / "images.csv", photos) if part_of(each) == "held-out"]
    ours = [each for each in street_sources(street) if part_of(each) == "held-out"]
    labels = street if (street / "labels.txt").is_file() else data / "ccp"
    chosen = others[:: max(1, len(others) // flat)][:flat]
    return read_street(street, ours, _silent, labels) + read_flat(photos, cuts or cache / "cuts", chosen, _silent)


def compare(segmenter: Segmenter, samples: Sequence[Sample]) -> Compared:
    """Judge one segmenter."""
    rows: dict[str, list[tuple[float, float, float]]] = {"street": [], "flat": []}
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    knowing = _knows_classes(segmenter)
    for sample in samples:
        truth = garment_mask(sample.label) if sample.kind == "street" else sample.alpha >= HALF
        if knowing and sample.kind == "street":
            label = labels_of(segmenter, [sample.rgb])[0]
            counts += confusion(sample.label, label)
            # All garments against all garments: which of them is in question is another matter.
            found = np.asarray(np.isin(label, GARMENTS), np.bool_)
        else:
            found = segmenter.segment([sample.rgb])[0].alpha >= HALF
        person = sample.label == PERSON
        rows[sample.kind].append((iou(truth, found), boundary_f(truth, found), _share(found, person)))
    street, flat = (np.asarray(rows[kind] or [(np.nan,) * 3]) for kind in ("street", "flat"))
    return Compared(
        model=segmenter.model_id,
        street_iou=float(street[:, 0].mean()),
        street_boundary_f=float(street[:, 1].mean()),
        person_taken=float(street[:, 2].mean()),
        flat_iou=float(flat[:, 0].mean()),
        flat_median=float(np.median(flat[:, 0])),
        flat_boundary_f=float(flat[:, 1].mean()),
        classes=class_ious(counts) if knowing else {},
    )


def times(segmenters: Sequence[Segmenter], samples: Sequence[Sample]) -> list[float]:
    """Milliseconds a photo takes each of them, in their order."""
    taken: list[list[float]] = [[] for _ in segmenters]
    for sample in samples:
        for mine, segmenter in zip(taken, segmenters, strict=True):
            started = time.perf_counter()
            segmenter.segment([sample.rgb])
            mine.append((time.perf_counter() - started) * 1000)
    return [float(np.percentile(each, FAST)) for each in taken]


def table(rows: Sequence[Compared], ms: Sequence[float]) -> str:
    """The figures as Markdown; `ms` of each row, which are told as shares of the slowest's, too."""
    lines = [
        "| segmenter | flat IoU, mean (median) | flat boundary F | street IoU | street boundary F | of the person taken | mIoU | ms | of the slowest's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, mine in zip(rows, ms, strict=True):
        miou = "-" if row.miou is None else f"{row.miou:.3f}"
        lines.append(
            f"| {row.model} | {row.flat_iou:.3f} ({row.flat_median:.3f}) | {row.flat_boundary_f:.3f} | {row.street_iou:.3f} "
            f"| {row.street_boundary_f:.3f} | {row.person_taken:.2f} | {miou} | {mine:.0f} | {mine / max(ms):.2f} |"
        )
    known = [row for row in rows if row.classes]
    if known:
        lines += ["", f"| IoU of | {' | '.join(row.model for row in known)} |", f"|---|{'---|' * len(known)}"]
        lines += [
            f"| {name} | {' | '.join(f'{row.classes[name]:.3f}' if name in row.classes else '-' for row in known)} |"
            for name in CLASSES
        ]
    return "\n".join(lines)


def sheet(segmenter: Segmenter, samples: Sequence[Sample]) -> ByteArray:
    """Photos beside what is found in them, (h, w, 3) uint8 RGB."""
    tiles = []
    for sample in samples:
        label = labels_of(segmenter, [sample.rgb])[0]
        chosen = segmenter.segment([sample.rgb])[0].alpha
        white = np.where((chosen >= HALF)[..., None], sample.rgb, 255).astype(np.uint8)
        tiles.append(np.hstack([_tile(sample.rgb), _tile(overlay(sample.rgb, label)), _tile(white)]))
    across = max(1, COLUMNS // 3)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % across)
    rows = [np.hstack(tiles[start : start + across]) for start in range(0, len(tiles), across)]
    return np.asarray(np.vstack(rows), np.uint8)


def _tile(picture: ByteArray) -> ByteArray:
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    small = cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile


def _share(found: Any, person: Any) -> float:
    return float(np.mean(found[person])) if person.any() else 0.0


def _knows_classes(segmenter: Segmenter) -> bool:
    return isinstance(segmenter, OnnxSegmenter) and segmenter.classes is not None


def _silent(what: str, done: int, total: int) -> None:
    del what, done, total


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with ccp/ and clothing/")
    parser.add_argument("--cuts", type=Path, help="where U²-Netp's cuts are kept; made where absent")
    parser.add_argument("--models", nargs="+", default=["garment-light", "u2netp", "grabcut"], help="segmenters of the registry")
    parser.add_argument("--flat", type=int, default=150, help="held-out flat photos")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="PNG: 40 of the photos, what the first model finds, what it cuts out")
    options: Any = parser.parse_args(arguments)
    samples = held_out(options.data, options.cuts, options.flat)
    street, flat = ([each for each in samples if each.kind == kind] for kind in ("street", "flat"))
    settings = VisionSettings(threads=options.threads, max_batch=1, batch_buckets=(1,), provider="cpu")
    segmenters = [open_segmenter(model, settings) for model in options.models]
    ms = times(segmenters, samples[:: max(1, len(samples) // TIMED)])
    rows = []
    for segmenter in segmenters:
        rows.append(compare(segmenter, samples))
        sys.stderr.write(f"{segmenter.model_id}: done\n")
    print(f"{len(street)} street photos, {len(flat)} flat ones, {options.threads} threads\n\n{table(rows, ms)}")  # noqa: T201
    if options.sheet:
        picture = sheet(segmenters[0], street[:20] + flat[:20])
        cv2.imwrite(str(options.sheet), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
