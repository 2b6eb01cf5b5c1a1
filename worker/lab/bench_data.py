"""`intake lab bench-data`: the photos and the manifest of the table "method x data set", from two shops' studio photos and real phone photos.

Catalogue: the main view of every article of luma/ and venia/. Queries: their real backs, other views and close-ups; simulated phone
shots of fronts and backs (mild, and by the second simulator), on floors and beds of clothing/; and, as garments that are not in the
catalogue, real phone photos of clothing/. Floors come from other senders than the unseen garments.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.errors import ConfigurationError
from worker.imaging.decode import encode_jpeg
from worker.lab.embed import Starter, quiet
from worker.lab.files import writing
from worker.lab.manifest import ManifestLine, write_manifest
from worker.lab.photo_sets import PhotoSet
from worker.lab.splits import PARTS, part_of_sender, part_of_style, style_of
from worker.simulate.backgrounds import background_from_photo
from worker.simulate.phone import PHONE_SIZE, phone_shot
from worker.simulate.phone_harsh import phone_shot_harsh
from worker.simulate.studio import cut_out_studio
from worker.vision.types import ByteArray

SHOPS = ("luma", "venia")
PHONES = "clothing"
TABLE = "images.csv"
# Of the real phone photos, those that show no one garment.
NO_GARMENT = frozenset({"Skip", "Not sure", "Other"})
DEFAULT_UNSEEN = 700
GROUNDS = 300
# A view is a close-up where the garment covers this share of the picture's border: it goes on beyond it.
CLOSE_UP_BORDER = 0.35
JPEG_QUALITY = 92
ATTRIBUTES = "attributes.csv"  # beside the manifest
ALL = "all"


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What is made.

    Attributes:
        part: `all`, or one part of the styles (see `splits`).
        styles: how many styles of each shop, by a draw that is the same every time; None: all of them.
        unseen: how many real phone photos.
        queries: `all`, or the part of the styles that queries come from; the catalogue keeps the others, too. Development styles
            are what a held-out garment is confused with in use.
    """

    part: str = ALL
    styles: int | None = None
    unseen: int = DEFAULT_UNSEEN
    queries: str = ALL


@dataclass(frozen=True, slots=True)
class StudioPhoto:
    """``<article>_<view>.jpg`` of a shop; a name without a view is the main one."""

    shop: str
    name: str

    @property
    def article(self) -> str:
        """Name of the article."""
        return self.name.removesuffix(".jpg").split("_", 1)[0]

    @property
    def view(self) -> str:
        """What it shows."""
        return self.name.removesuffix(".jpg").partition("_")[2] or "main"

    @property
    def category(self) -> str:
        """Shop and the letters of the style, as in ``luma mh``: hoodies."""
        return f"{self.shop} {self.article.split('-')[0].rstrip('0123456789')}"


def make_bench_data(datasets: Path, output: Path, options: BenchOptions, starter: Starter = quiet) -> int:
    """Write photos, manifest and attributes; returns the number of lines. Photos that are there already are kept: a stopped run goes on.

    Raises:
        ConfigurationError: a data set is missing, or the part is unknown.
    """
    for part in (options.part, options.queries):
        if part not in {ALL, *PARTS}:
            raise ConfigurationError(f"there is no part {part!r}; there are {', '.join((ALL, *PARTS))}")
    with ExitStack() as stack:
        sets = {name: stack.enter_context(closing(PhotoSet(datasets / name))) for name in (*SHOPS, PHONES)}
        maker = _Maker(sets, output, options)
        planned = maker.studio_photos()
        advance = starter("bench data", len(planned))
        lines: list[ManifestLine] = []
        for photo in planned:
            lines += maker.lines_of(photo)
            advance(1)
        lines += maker.unseen()
    mains = {line.item_id: line.category for line in lines if line.role == "catalogue"}
    _write_attributes(output / ATTRIBUTES, mains)
    kept = [line for line in lines if line.role == "catalogue" or not line.item_id or line.item_id in mains]
    return write_manifest(output / "manifest.csv", kept)


class _Maker:
    def __init__(self, sets: dict[str, PhotoSet], output: Path, options: BenchOptions) -> None:
        self._sets, self._output, self._options = sets, output, options
        with io.TextIOWrapper((sets[PHONES].folder / TABLE).open("rb"), encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["label"] not in NO_GARMENT]
        names = set(sets[PHONES].names)
        shown = [(f"{row['image']}.jpg", part_of_sender(int(row["sender_id"]))) for row in rows]
        self._unseen = sorted(name for name, part in shown if part == "held-out" and name in names)
        self._grounds = sorted(name for name, part in shown if part == "development" and name in names)[:GROUNDS]

    def studio_photos(self) -> list[StudioPhoto]:
        photos = []
        for shop in SHOPS:
            own = [StudioPhoto(shop, name) for name in self._sets[shop].names]
            styles = sorted({style_of(photo.article) for photo in own}, key=lambda style: (zlib.crc32(style.encode()), style))
            wanted = [style for style in styles if self._options.part in {ALL, part_of_style(style)}][: self._options.styles]
            photos += [photo for photo in own if style_of(photo.article) in wanted]
        return photos

    def lines_of(self, photo: StudioPhoto) -> Iterator[ManifestLine]:
        """The photo itself, and its phone shots."""
        item = f"{photo.shop}-{photo.article}"
        path = Path("studio") / photo.shop / photo.name
        if not (self._output / path).is_file():
            self._write(path, self._sets[photo.shop].read(photo.name))
        rgb: ByteArray | None = None
        if photo.view == "main":
            yield ManifestLine(path.as_posix(), item, "catalogue", "studio", photo.category)
        if self._options.queries not in {ALL, part_of_style(style_of(photo.article))}:
            return
        if photo.view != "main":
            rgb = self._sets[photo.shop].pixels(photo.name)
            kind = "back" if photo.view == "back" else "close-up" if is_close_up(rgb) else "other view"
            yield ManifestLine(path.as_posix(), item, "query", f"{photo.shop} {kind}", photo.category)
        if photo.view not in {"main", "back"}:
            return
        side = " back" if photo.view == "back" else ""
        for simulator in ("phone", "harsh phone"):
            place = Path(simulator.replace(" ", "-")) / photo.shop / photo.name
            if not (self._output / place).is_file():
                rgb = self._sets[photo.shop].pixels(photo.name) if rgb is None else rgb
                shot = self._shot(rgb, simulator, f"{simulator}/{photo.shop}/{photo.name}")
                if shot is None:
                    continue
                self._write(place, encode_jpeg(shot, JPEG_QUALITY))
            yield ManifestLine(place.as_posix(), item, "query", simulator + side, photo.category)

    def unseen(self) -> Iterator[ManifestLine]:
        """Real phone photos of garments that no shop has."""
        for name in self._unseen[: self._options.unseen]:
            path = Path("unseen") / name
            if not (self._output / path).is_file():
                self._write(path, self._sets[PHONES].read(name))
            yield ManifestLine(path.as_posix(), "", "query", "clothing (unseen)")

    def _shot(self, rgb: ByteArray, simulator: str, name: str) -> ByteArray | None:
        mask = cut_out_studio(rgb)
        if not mask.any():
            return None
        # A seed of the photo's own: the same shot whatever else is made.
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        ground = self._sets[PHONES].pixels(self._grounds[int(rng.integers(len(self._grounds)))])
        background = background_from_photo(ground, PHONE_SIZE, rng)
        shot, _ = (phone_shot if simulator == "phone" else phone_shot_harsh)(rgb, mask, background, rng)
        return shot

    def _write(self, path: Path, data: bytes) -> None:
        with writing(self._output / path) as part:
            part.write_bytes(data)


def _write_attributes(path: Path, articles: dict[str, str]) -> None:
    """What the shops' own names tell of each article: what `svm` learns."""
    with writing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("item_id", "category", "colour"))
        # `luma-mh01-black`, `venia-vt01-rn`: shop, style, colour in the shop's own words.
        writer.writerows((item, category, (*item.split("-"), "")[2]) for item, category in sorted(articles.items()))


def is_close_up(rgb: ByteArray) -> bool:
    """Whether the garment goes on beyond the picture: it covers much of the border, instead of a studio's plain ground."""
    mask = cut_out_studio(rgb) >= 128
    border = np.concatenate([mask[1], mask[-2], mask[:, 1], mask[:, -2]])
    return float(border.mean()) >= CLOSE_UP_BORDER
