"""Photos a pair of models is calibrated on: a catalogue of studio photos, queries of its articles, and garments that are not in it.

Queries of its articles are simulated phone shots (one mild, one harsh) of the studio photos, and the shops' own other views; the
garments that are not in it are real phone photos of senders that the embedder's recipe left out.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from worker.errors import PhotoRefused
from worker.simulate.backgrounds import background_from_photo
from worker.simulate.phone import PHONE_SIZE, phone_shot
from worker.vision.crop import make_crop
from worker.vision.load import LoadedModels
from worker.vision.types import ByteArray, FloatArray, Mask

HELD_OUT = 3  # every third sender is: the embedder's whitening saw the others
GROUNDS = 200  # phone photos whose grounds the simulated shots lie on
JPEG_QUALITY = (60, 90)
SHOTS = (("phone-mild",), ("phone-harsh",), ("phone-mild",), ())


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo to embed: `kind` is `catalogue`, `phone-mild`, `phone-harsh`, `view-...` or `unseen`; unseen ones have no article."""

    kind: str
    shop: str
    article: str
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Samples with their vectors, (n, dimension) float32."""

    samples: tuple[Sample, ...]
    vectors: FloatArray

    def select(self, *kinds: str) -> Embedded:
        """Those of these kinds."""
        rows = [index for index, sample in enumerate(self.samples) if sample.kind in kinds]
        return Embedded(tuple(self.samples[index] for index in rows), self.vectors[rows])


def style(article: str) -> str:
    """What an article shares with its other colourways: the part before the first dash."""
    return article.split("-", 1)[0]


def shop_samples(folder: Path) -> list[Sample]:
    """Photos named ``<style>-<colour>_<view>.jpg``; main views make the catalogue.

    Every second of them is also photographed by a phone, of the others every second harshly: that is enough to count.
    """
    samples = []
    number = 0
    for path in sorted(folder.glob("*_*.jpg")):
        article, view = path.stem.rsplit("_", 1)
        if view == "main":
            kinds = ("catalogue", *SHOTS[number % len(SHOTS)])
            number += 1
            samples += [Sample(kind, folder.name, article, path) for kind in kinds]
        else:
            samples.append(Sample(f"view-{view}", folder.name, article, path))
    mains = {sample.article for sample in samples if sample.kind == "catalogue"}
    return [sample for sample in samples if sample.article in mains]


def unseen_samples(folder: Path, table: Path, count: int) -> list[Sample]:
    """`count` phone photos of held-out senders, by name."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["sender_id"]) % HELD_OUT == 0]
    paths = sorted(folder / f"{row['image']}.jpg" for row in rows)
    return [Sample("unseen", folder.name, "", path) for path in paths if path.is_file()][:count]


def read_photo(path: Path) -> ByteArray | None:
    """(h, w, 3) uint8 sRGB; None where the file is no photo."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def embed_samples(
    samples: Sequence[Sample], models: LoadedModels, grounds: Sequence[Path]
) -> Iterator[tuple[Sample, FloatArray]]:
    """Vectors of the samples, one after the other; photos that are refused are left out."""
    last: tuple[Path, Mask] | None = None  # the studio photo's mask serves its shots, which follow it
    for sample in samples:
        rgb = read_photo(sample.path)
        if rgb is None:
            continue
        if last is None or last[0] != sample.path:
            last = sample.path, models.segmenter.segment([rgb])[0]
        mask = last[1]
        if sample.kind.startswith("phone-"):
            shot = _shot(rgb, mask, sample, grounds)
            if shot is None:
                continue
            rgb, mask = shot, models.segmenter.segment([shot])[0]
        try:
            crop = make_crop(rgb, mask, models.crop_side)
        except PhotoRefused:
            continue
        yield sample, models.embedder.embed([crop])[0]


def _shot(rgb: ByteArray, mask: Mask, sample: Sample, grounds: Sequence[Path]) -> ByteArray | None:
    # A seed of the photo's own: the same shot whatever else is embedded.
    rng = np.random.default_rng(zlib.crc32(f"{sample.shop}/{sample.path.name}/{sample.kind}".encode()))
    ground = read_photo(grounds[int(rng.integers(len(grounds)))])
    if ground is None or mask.coverage == 0:
        return None
    background = background_from_photo(ground, PHONE_SIZE, rng)
    shot, _ = phone_shot(rgb, mask.alpha, background, rng, "mild" if sample.kind == "phone-mild" else "harsh")
    quality = int(rng.integers(*JPEG_QUALITY))
    _, data = cv2.imencode(".jpg", cv2.cvtColor(shot, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return None if decoded is None else np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
