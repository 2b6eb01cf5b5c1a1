"""`intake lab look`: one method's embedding of a manifest, as PNG files, a table of clusters, and a page that holds it all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from worker.lab.embed import EmbeddedManifest, Starter, quiet
from worker.lab.embedding import PhotoBench
from worker.lab.evaluation import Evaluated, evaluate
from worker.lab.files import writing
from worker.lab.looking.clusters import LEAST as LEAST_CLUSTERED
from worker.lab.looking.clusters import Clustering, find_clusters
from worker.lab.looking.drawing import COLOURS, save_png
from worker.lab.looking.maps import Spot, draw_map, group_colours, spots_at, with_thumbnails
from worker.lab.looking.page import MapPart, Part, write_look_page
from worker.lab.looking.plates import CENTRAL, TILE, draw_clusters, draw_sheet, draw_silhouette
from worker.lab.looking.projection import TITLES, Projection, centred, project
from worker.lab.looking.sheets import Sheet, make_sheets, threshold_of
from worker.lab.report.data import method_name
from worker.lab.report.pictures import fit_inside
from worker.lab.search import BoolArray
from worker.vision.types import ByteArray, Crop

# Thumbnails are kept at the largest size they are drawn in.
KEPT_SIDE = max(TILE, 128)
UNSEEN = "not in the catalogue"
DEFAULT_SHEETS = 12
SHEET_TITLES = {"hits": "Hits", "misses": "Misses", "false-alerts": "False alerts"}


@dataclass(frozen=True, slots=True)
class LookOptions:
    """What is made.

    Attributes:
        projections: which maps.
        clusters: how many; None: by the silhouette.
        sheets: rows of each nearest-neighbour sheet; 0: none.
    """

    projections: tuple[Projection, ...] = ("tsne",)
    clusters: int | None = None
    sheets: int = DEFAULT_SHEETS


@dataclass(frozen=True, slots=True, eq=False)
class _Drawable:
    """What is there to be drawn, before any photo is read again."""

    shown: list[int]
    places: dict[Projection, np.ndarray[tuple[int, int], np.dtype[np.float64]]]
    catalogue: list[int]
    clustering: Clustering | None
    evaluated: Evaluated | None
    sheets: tuple[Sheet, ...]


def look(
    embedded: EmbeddedManifest, name: str, output: Path, bench: PhotoBench, options: LookOptions, starter: Starter = quiet
) -> list[Path]:
    """Write the pictures and the page; returns the files. Two runs give the same bytes.

    Args:
        embedded: as `embed_manifest` gives it.
        name: of the manifest, for titles.
        output: folder that gets ``map-*.png``, ``clusters*.png``, ``clusters.csv``, ``silhouette.png``, ``hits.png``, ``misses.png``,
            ``false-alerts.png`` and ``index.html``.
        bench: reads the photos again, and has their masks.
        options: what is made.
        starter: shows progress.

    Raises:
        ConfigurationError: there are too few photos for what is asked for, or the folder cannot be written.
    """
    there = _drawable(embedded, options, starter)
    maker = _Maker(embedded, there, name, output)
    maker.read(bench, starter)
    return maker.write()


def _drawable(embedded: EmbeddedManifest, options: LookOptions, starter: Starter) -> _Drawable:
    manifest, distance = embedded.manifest, embedded.loaded.distance
    readable: BoolArray = np.asarray(np.isfinite(embedded.vectors).all(axis=1), np.bool_)
    # A photo that several lines name is one spot; as a catalogue photo if it is one.
    first: dict[str, int] = {}
    locations = manifest.locations
    for row in (*manifest.rows("catalogue"), *manifest.rows("query")):
        if readable[row]:
            first.setdefault(locations[row], row)
    shown = sorted(first.values())
    catalogue = [row for row in shown if manifest.lines[row].role == "catalogue"]
    places = {}
    for how in options.projections:
        advance = starter(TITLES[how], len(shown))
        places[how] = project(embedded.vectors[shown], distance, how)
        advance(len(shown))
    clustering = None
    if options.clusters is not None or len(catalogue) >= LEAST_CLUSTERED:
        advance = starter("clusters", len(catalogue))
        done = 0

        def tried(number: int, of: int) -> None:
            nonlocal done
            now = len(catalogue) * number // of
            advance(now - done)
            done = now

        categories = [manifest.lines[row].category for row in catalogue]
        clustering = find_clusters(embedded.vectors[catalogue], distance, options.clusters, categories, tried)
    searchable = bool(manifest.rows("query")) and bool(manifest.rows("catalogue"))
    evaluated = evaluate(embedded) if searchable else None
    sheets = make_sheets(evaluated, options.sheets) if evaluated is not None and options.sheets else ()
    return _Drawable(shown, places, catalogue, clustering, evaluated, sheets)


class _Maker:
    def __init__(self, embedded: EmbeddedManifest, there: _Drawable, name: str, output: Path) -> None:
        self._embedded, self._there, self._output = embedded, there, output
        self._manifest, self._locations = embedded.manifest, embedded.manifest.locations
        self._of = f"{embedded.loaded.method.text} on {name}"
        if there.evaluated is not None:
            self._of = f"{method_name(there.evaluated.result)} on {name}"
        self._crops: dict[str, ByteArray] = {}
        self._photos: dict[str, ByteArray] = {}
        self._files: list[Path] = []
        self._spots = {how: spots_at(places, self._bare_spots()) for how, places in there.places.items()}

    def read(self, bench: PhotoBench, starter: Starter) -> None:
        """The crops of every photo that is drawn, and the whole photos of queries that are."""
        wanted = dict.fromkeys(self._drawn())
        if wanted:
            for location, crop in bench.crops(list(wanted), self._embedded.loaded, starter("crops", len(wanted))):
                if isinstance(crop, Crop):
                    self._crops[location] = fit_inside(crop.rgb, KEPT_SIDE)
        queries = dict.fromkeys(row.location for sheet in self._there.sheets for row in sheet.rows)
        advance = starter("queries", len(queries)) if queries else None
        for location in queries:
            rgb = bench.shown(location)
            if rgb is not None:
                self._photos[location] = fit_inside(rgb, KEPT_SIDE)
            if advance is not None:
                advance(1)

    def write(self) -> list[Path]:
        """Every file; the page last."""
        parts: list[Part] = [self._map(how, spots) for how, spots in self._spots.items()]
        clusters = self._clusters()
        sheets = [self._sheet(sheet) for sheet in self._there.sheets]
        result = self._there.evaluated.result if self._there.evaluated is not None else None
        page = self._output / "index.html"
        write_look_page(self._of, self._facts(), parts, clusters, self._there.clustering, sheets, result, page)
        return [*self._files, page]

    def _drawn(self) -> Iterable[str]:
        for spots in self._spots.values():
            yield from (spots[number].location for number in with_thumbnails(spots))
            catalogue = enlarged(spots)
            yield from (catalogue[number].location for number in with_thumbnails(catalogue))
        if self._there.clustering is not None:
            for cluster in self._there.clustering.clusters:
                yield from (self._locations[self._there.catalogue[member]] for member in cluster.members[:CENTRAL])
        for sheet in self._there.sheets:
            for row in sheet.rows:
                yield row.location
                yield from (near.location for near in (*row.found, *([row.right] if row.right else [])))

    def _bare_spots(self) -> list[Spot]:
        by_category = any(self._manifest.lines[row].category for row in self._there.shown)
        articles = self._manifest.articles
        spots = []
        for row in self._there.shown:
            line = self._manifest.lines[row]
            new = line.role == "query" and line.item_id not in articles
            group = (UNSEEN if new else line.category) if by_category else (line.kind or line.role)
            title = " · ".join(
                dict.fromkeys(part for part in (line.item_id or UNSEEN, line.kind, line.category, line.path) if part)
            )
            spots.append(Spot(0, 0, self._locations[row], group, line.role == "catalogue", title))
        return spots

    def _facts(self) -> list[str]:
        lines = self._manifest.lines
        queries = sum(lines[row].role == "query" for row in self._there.shown)
        facts = [
            f"{len(self._there.shown)} photos: {len(self._there.catalogue)} of the catalogue's {len(self._manifest.articles)} articles, {queries} queries",
            f"Vectors of {self._embedded.dimension} numbers, compared by {self._embedded.loaded.distance}",
        ]
        if self._embedded.faults:
            facts.append(f"{len(self._embedded.faults)} photos cannot be read and are not shown")
        return facts

    def _picture(self, name: str, pixels: ByteArray) -> ByteArray:
        path = self._output / name
        save_png(pixels, path)
        self._files.append(path)
        return pixels

    def _map(self, how: Projection, spots: list[Spot]) -> MapPart:
        title = f"{TITLES[how]}: {self._of}"
        pixels = draw_map(title, spots, group_colours(spots, UNSEEN), self._crops)
        return MapPart(TITLES[how], f"map-{how}.png", self._picture(f"map-{how}.png", pixels), tuple(spots))

    def _clusters(self) -> list[Part]:
        clustering = self._there.clustering
        if clustering is None:
            return []
        self._table(clustering)
        curve = self._picture("silhouette.png", draw_silhouette(clustering))
        parts: list[Part] = [Part("Silhouette", "silhouette.png", curve)]
        locations = [self._locations[row] for row in self._there.catalogue]
        title = f"{len(clustering.clusters)} clusters of the catalogue: {self._of}"
        drawn = draw_clusters(title, clustering.clusters, locations, self._crops)
        parts.append(Part("Clusters", "clusters.png", self._picture("clusters.png", drawn)))
        number_of = {location: int(number) for location, number in zip(locations, clustering.numbers, strict=True)}
        names = {cluster.number: cluster.name for cluster in clustering.clusters}
        colours = {cluster.name: COLOURS[(cluster.number - 1) % len(COLOURS)] for cluster in clustering.clusters}
        for how, spots in self._spots.items():
            own = [
                replace(spot, group=names[number_of[spot.location]], title=f"{names[number_of[spot.location]]} · {spot.title}")
                for spot in enlarged(spots)
            ]
            place = {spot.location: (spot.x, spot.y) for spot in own}
            labels = [(*place[locations[cluster.members[0]]], cluster.name) for cluster in clustering.clusters]
            pixels = draw_map(f"{TITLES[how]}, clusters of the catalogue: {self._of}", own, colours, self._crops, labels)
            file = f"clusters-{how}.png"
            parts.append(MapPart(f"Clusters on the {TITLES[how]} map", file, self._picture(file, pixels), tuple(own)))
        return parts

    def _table(self, clustering: Clustering) -> None:
        path = self._output / "clusters.csv"
        central = {member: place for cluster in clustering.clusters for place, member in enumerate(cluster.members, start=1)}
        with writing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "item_id", "category", "cluster", "place"))
            for number, row in enumerate(self._there.catalogue):
                line = self._manifest.lines[row]
                name = clustering.clusters[int(clustering.numbers[number]) - 1].name
                writer.writerow((line.path, line.item_id, line.category, name, central[number]))
        self._files.append(path)

    def _sheet(self, sheet: Sheet) -> Part:
        title = f"{SHEET_TITLES[sheet.name]}, {len(sheet.rows)} of {sheet.of}: {self._of}"
        if sheet.name == "false-alerts" and self._there.evaluated is not None:
            limit, what = threshold_of(self._there.evaluated)
            named = f"alerts (red) from {limit:.3f}, {what}" if limit is not None else what
            title = f"Unseen garments most like an article, {len(sheet.rows)} of {sheet.of}; {named}: {self._of}"
        pixels = draw_sheet(title, sheet, self._crops, self._photos)
        return Part(title, f"{sheet.name}.png", self._picture(f"{sheet.name}.png", pixels))


def enlarged(spots: Sequence[Spot]) -> list[Spot]:
    """The catalogue's spots alone, spread over the whole map."""
    own = [spot for spot in spots if spot.catalogue]
    places = np.array([(spot.x, spot.y) for spot in own]).reshape(-1, 2)
    return spots_at(centred(places), own) if own else []


def describe(files: Sequence[Path]) -> str:
    """What was written, in one line."""
    return f"{files[-1]}: {len(files)} files ({', '.join(path.name for path in files[:-1])})"
