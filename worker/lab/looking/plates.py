"""Rows of tiles: nearest-neighbour sheets and clusters; and the silhouette's curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from worker.lab.looking.clusters import Cluster, Clustering
from worker.lab.looking.drawing import BAD, COLOURS, GOOD, INK, LINE, SOFT, Crops, canvas
from worker.lab.looking.sheets import SHOWN, Neighbour, Sheet, SheetRow
from worker.vision.types import ByteArray

TILE, GAP, FRAME = 116, 12, 4
PITCH = TILE + GAP
LEFT, HEAD, HEADS = 24, 60, 22
BELOW = 40  # room for two lines of words under a tile
ROW = TILE + BELOW + 10
FIRST = LEFT + 2 * PITCH + GAP  # where the ten best begin
RIGHT_ONE = FIRST + SHOWN * PITCH + 2 * GAP  # where a right article that is not among them stands

CENTRAL = 10  # photos shown of a cluster
WORDS = 280  # room for a cluster's words

CURVE_WIDTH, CURVE_HEIGHT = 900, 420
CURVE_BOX = (80, 60, 870, 350)
TICKS = 5


def draw_sheet(title: str, sheet: Sheet, crops: Crops, photos: Crops) -> ByteArray:
    """Query (the photo, and what the method saw of it), its ten best, the right ones framed green, similarity below.

    Where the right article is not among the ten, it stands at the end with its place. The best candidate of a false alert is framed red.
    """
    extra = any(row.right for row in sheet.rows)
    width = RIGHT_ONE + PITCH + LEFT if extra else FIRST + SHOWN * PITCH + LEFT
    drawn = canvas(width, HEAD + HEADS + max(1, len(sheet.rows)) * ROW + 10)
    drawn.text(LEFT, 16, title, 20, INK, width - 2 * LEFT)
    heads = [(LEFT, "query"), (LEFT + PITCH, "what was seen"), (FIRST, "the ten best articles, by their likest photo")]
    for x, words in [*heads, *([(RIGHT_ONE, "the right one")] if extra else [])]:
        drawn.text(x, HEAD - 6, words, 13, SOFT)
    if not sheet.rows:
        drawn.text(LEFT, HEAD + HEADS + 10, "there are none", 16, SOFT)
    for number, row in enumerate(sheet.rows):
        y = HEAD + HEADS + number * ROW
        drawn.tile(LEFT, y, TILE, photos.get(row.location))
        drawn.text(LEFT, y + TILE + 5, row.label, 12, INK, TILE)
        drawn.text(LEFT, y + TILE + 20, row.kind, 12, SOFT, TILE)
        drawn.tile(LEFT + PITCH, y, TILE, crops.get(row.location))
        drawn.text(LEFT + PITCH, y + TILE + 5, PurePath(row.location).name, 12, SOFT, TILE)
        shown = [(FIRST + place * PITCH, near) for place, near in enumerate(row.found)]
        for x, near in [*shown, *([(RIGHT_ONE, row.right)] if row.right else [])]:
            frame, thick = frame_of(row, near)
            drawn.tile(x, y, TILE, crops.get(near.location), frame, thick)
            place = f"  (place {near.place})" if near.place > SHOWN else ""
            drawn.text(x, y + TILE + 5, f"{near.similarity:.3f}{place}", 12, frame if thick > 1 else INK, TILE)
            drawn.text(x, y + TILE + 20, near.article, 12, SOFT, TILE)
    return drawn.pixels


def frame_of(row: SheetRow, near: Neighbour) -> tuple[tuple[int, int, int], int]:
    """Colour and thickness of a candidate's frame."""
    if near.right:
        return GOOD, FRAME
    if near.place == 1 and row.alert and row.right is None and not any(other.right for other in row.found):
        return BAD, FRAME
    return LINE, 1


def sheet_location(row: int, column: int) -> tuple[int, int]:
    """Left upper corner of the tile of the candidate at this place (from 0) of this row (from 0), in pixels."""
    return FIRST + column * PITCH, HEAD + HEADS + row * ROW


def draw_clusters(title: str, clusters: Sequence[Cluster], locations: Sequence[str], crops: Crops) -> ByteArray:
    """A row for each cluster: its number, how many photos, its categories; then its most central photos."""
    width = LEFT + WORDS + CENTRAL * PITCH + LEFT
    drawn = canvas(width, HEAD + len(clusters) * (TILE + 16) + 10)
    drawn.text(LEFT, 16, title, 20, INK, width - 2 * LEFT)
    for number, cluster in enumerate(clusters):
        y = HEAD + number * (TILE + 16)
        drawn.draw.rectangle((LEFT, y, LEFT + 8, y + TILE), fill=COLOURS[number % len(COLOURS)])
        drawn.text(LEFT + 20, y, cluster.name, 24, INK)
        drawn.text(LEFT + 20, y + 34, f"{len(cluster.members)} photos, silhouette {cluster.silhouette:.2f}", 13, SOFT, WORDS - 30)
        for place, (name, count) in enumerate(cluster.categories[:4]):
            drawn.text(LEFT + 20, y + 54 + place * 16, f"{count} {name}", 13, SOFT, WORDS - 30)
        for place, member in enumerate(cluster.members[:CENTRAL]):
            drawn.tile(LEFT + WORDS + place * PITCH, y, TILE, crops.get(locations[member]))
    return drawn.pixels


def draw_silhouette(clustering: Clustering) -> ByteArray:
    """Mean silhouette by k; the k that is shown is marked."""
    drawn = canvas(CURVE_WIDTH, CURVE_HEIGHT)
    left, top, right, bottom = CURVE_BOX
    ks, values = [k for k, _ in clustering.curve], [value for _, value in clustering.curve]
    low, high = min(0.0, *values, 0.0), max(*values, 0.1, 0.1)
    span = max(1, ks[-1] - ks[0])

    def at(k: int, value: float) -> tuple[float, float]:
        return left + (k - ks[0]) / span * (right - left), bottom - (value - low) / (high - low) * (bottom - top)

    chosen = len(clustering.clusters)
    why = "chosen: the largest mean silhouette" if clustering.chosen else "asked for"
    drawn.text(left, 18, f"Mean silhouette by number of clusters; {chosen} {why} ({clustering.silhouette:.3f})", 17, INK)
    for step in range(TICKS + 1):
        value = low + (high - low) * step / TICKS
        _, y = at(ks[0], value)
        drawn.draw.line((left, y, right, y), fill=LINE)
        drawn.text(left - 10, y, f"{value:.2f}", 13, SOFT, anchor="rm")
    every = max(1, span // 10)
    for k in ks[::every]:
        x, _ = at(k, low)
        drawn.text(x, bottom + 8, str(k), 13, SOFT, anchor="ma")
    drawn.text((left + right) / 2, bottom + 34, "number of clusters k", 14, SOFT, anchor="ma")
    points = [at(k, value) for k, value in clustering.curve]
    if len(points) > 1:
        drawn.draw.line(points, fill=COLOURS[0], width=3)
    x, y = at(chosen, clustering.silhouette)
    drawn.draw.line((x, top, x, bottom), fill=COLOURS[1], width=2)
    drawn.draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=COLOURS[1])
    return drawn.pixels
