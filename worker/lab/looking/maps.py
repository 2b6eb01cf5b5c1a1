"""The map of an embedding: thumbnails where there is room for them, dots where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.lab.looking.drawing import COLOURS, GREY, INK, LINE, SOFT, WHITE, Canvas, Colour, Crops, canvas, font
from worker.lab.looking.space import DoubleArray
from worker.vision.types import ByteArray

SIDE, MARGIN = 2000, 70
HEAD = 64  # room for the title
LEGEND_LINE, LEGEND_COLUMNS = 26, 5
# Thumbnails are as large as lets most of them find room.
LARGEST, SMALLEST = 112, 40
ROOM = 0.8  # thumbnails stand at least this share of their side apart
SEED = 0
CATALOGUE_FRAME, QUERY_FRAME, DOT = 4, 2, 5


@dataclass(frozen=True, slots=True)
class Spot:
    """A photo on the map.

    Attributes:
        x, y: its place, 0..1, y downwards.
        group: decides its colour; empty: grey.
        catalogue: drawn with a thick frame, or as a square dot.
        title: what a page shows where the pointer rests on it.
    """

    x: float
    y: float
    location: str
    group: str
    catalogue: bool
    title: str


def spots_at(places: DoubleArray, spots: Sequence[Spot]) -> list[Spot]:
    """The same spots at other places, (n, 2)."""
    return [replace(spot, x=float(x), y=float(y)) for (x, y), spot in zip(places, spots, strict=True)]


def on_canvas(spot: Spot) -> tuple[float, float]:
    """Where the middle of a spot is on the map, in pixels."""
    inner = SIDE - 2 * MARGIN
    return MARGIN + spot.x * inner, HEAD + MARGIN + spot.y * inner


def thumbnail_side(count: int) -> int:
    """Side of the thumbnails of a map of `count` photos, in pixels."""
    return int(np.clip(0.75 * SIDE / np.sqrt(max(1, count)), SMALLEST, LARGEST))


def with_thumbnails(spots: Sequence[Spot]) -> list[int]:
    """Which spots get a thumbnail: by a draw that is the same every time, each that covers little of those before it."""
    apart = thumbnail_side(len(spots)) * ROOM
    places = np.array([on_canvas(spot) for spot in spots])
    taken: list[int] = []
    for number in np.random.default_rng(SEED).permutation(len(spots)):
        if not taken or (np.abs(places[taken] - places[number]).max(axis=1) >= apart).all():
            taken.append(int(number))
    return sorted(taken)


def group_colours(spots: Sequence[Spot], grey: str) -> dict[str, Colour]:
    """A colour for each of the most frequent groups; the others are grey, and so is the one called `grey`, which is named last."""
    counted = Counter(spot.group for spot in spots if spot.group)
    named = [name for name, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0])) if name != grey]
    colours = dict(zip(named[: len(COLOURS)], COLOURS, strict=False))
    return colours | ({grey: GREY} if grey in counted else {})


def draw_map(
    title: str,
    spots: Sequence[Spot],
    colours: Mapping[str, Colour],
    crops: Crops,
    labels: Sequence[tuple[float, float, str]] = (),
) -> ByteArray:
    """The map, (height, SIDE, 3) uint8: dots first, thumbnails above them, labels (x, y in 0..1) on top or names of colours below."""
    legend = [] if labels else _legend(spots, colours)
    height = HEAD + SIDE + (len(legend) + LEGEND_COLUMNS - 1) // LEGEND_COLUMNS * LEGEND_LINE + 12
    drawn = canvas(SIDE, height)
    drawn.text(MARGIN, 18, title, 26, INK, SIDE - 2 * MARGIN)
    shown = set(with_thumbnails(spots))
    side = thumbnail_side(len(spots))
    for number, spot in enumerate(spots):
        if number not in shown:
            _dot(drawn, spot, colours.get(spot.group, GREY))
    for number in sorted(shown):
        spot = spots[number]
        x, y = on_canvas(spot)
        frame = CATALOGUE_FRAME if spot.catalogue else QUERY_FRAME
        corner = round(x - side / 2), round(y - side / 2)
        drawn.tile(*corner, side, crops.get(spot.location), colours.get(spot.group, GREY), frame)
    for x, y, words in labels:
        left, middle = on_canvas(Spot(x, y, "", "", catalogue=True, title=""))
        drawn.draw.text((left, middle - side / 2), words, fill=INK, font=font(24), anchor="mb", stroke_width=5, stroke_fill=WHITE)
    for number, (words, colour) in enumerate(legend):
        x = MARGIN + (number % LEGEND_COLUMNS) * (SIDE - 2 * MARGIN) // LEGEND_COLUMNS
        y = HEAD + SIDE + number // LEGEND_COLUMNS * LEGEND_LINE
        drawn.draw.rectangle((x, y + 3, x + 16, y + 19), fill=colour)
        drawn.text(x + 24, y + 2, words, 16, SOFT, (SIDE - 2 * MARGIN) / LEGEND_COLUMNS - 30)
    return drawn.pixels


def _dot(drawn: Canvas, spot: Spot, colour: Colour) -> None:
    x, y = on_canvas(spot)
    box = (x - DOT, y - DOT, x + DOT, y + DOT)
    if spot.catalogue:
        drawn.draw.rectangle(box, fill=colour, outline=LINE)
    else:
        drawn.draw.ellipse(box, fill=colour, outline=LINE)


def _legend(spots: Sequence[Spot], colours: Mapping[str, Colour]) -> list[tuple[str, Colour]]:
    counted = Counter(spot.group for spot in spots)
    legend = [(f"{name} ({counted[name]})", colour) for name, colour in colours.items()]
    rest = sum(count for name, count in counted.items() if name and name not in colours)
    if rest:
        legend.append((f"others ({rest})", GREY))
    if counted[""]:
        legend.append((f"not known ({counted['']})", GREY))
    return legend
