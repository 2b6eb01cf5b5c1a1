"""Drawn garments: an article from a seed and a colourway, its studio photo (front or back) and the true mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, Rng, as_bytes, as_float, child_rng
from worker.simulate.bottoms import Legs, layers_of_legs, layers_of_skirt
from worker.simulate.categories import Category
from worker.simulate.colours import Palette, palettes
from worker.simulate.fabric import LOOKS, fabric_tile
from worker.simulate.folds import lit, ridges, smooth_noise
from worker.simulate.graphics import graphic
from worker.simulate.layers import Layer, Line, Part, Placement, View
from worker.simulate.prints import print_tile
from worker.simulate.render import LIGHT, Cloth, Painter
from worker.simulate.styles import Style, style
from worker.simulate.top_layers import layers_of_top
from worker.simulate.tops import Top

DEFAULT_SIDE = 768
MAX_COLOURWAYS = 6
# Share of the photo's side that the garment's longer extent fills.
_FILL = 0.88
# Kinds of generators an article has; each draws from its own stream.
_STYLE, _PALETTE, _PRINT, _GRAPHIC, _FABRIC, _DRAPE, _STUDIO = range(7)


@dataclass(frozen=True, slots=True)
class Garment:
    """One article: a style and the colours of one of its colourways.

    `seed` is the style: garments of one seed share cut, fabric, print and graphic, and are different articles all the same.
    """

    seed: int
    colourway: int
    style: Style
    palette: Palette

    @property
    def category(self) -> Category:
        """What kind of garment it is."""
        return self.style.category

    @property
    def colour(self) -> str:
        """Name of the base colour."""
        return self.palette.name


@dataclass(frozen=True, slots=True, eq=False)
class StudioPhoto:
    """A studio photo and the truth about it.

    Attributes:
        rgb: (side, side, 3) uint8, the garment on white with a soft shadow.
        mask: (side, side) uint8, 0..255: the garment's true coverage.
    """

    rgb: ByteArray
    mask: ByteArray


def garment(seed: int, colourway: int = 0, category: Category | None = None) -> Garment:
    """The article `seed` in `colourway` (0 to 5). The same arguments give the same article in every process."""
    if not 0 <= colourway < MAX_COLOURWAYS:
        raise ValueError(f"colourway must be 0 to {MAX_COLOURWAYS - 1}, not {colourway}")
    drawn = style(child_rng(seed, _STYLE), category)
    colours = palettes(child_rng(seed, _PALETTE), colourway + 1, denim=drawn.denim)
    return Garment(seed, colourway, drawn, colours[min(colourway, len(colours) - 1)])


def studio_photo(article: Garment, view: View = "front", side: int = DEFAULT_SIDE) -> StudioPhoto:
    """Draw the article as a studio would photograph it: laid flat or on a ghost mannequin, on white.

    Args:
        article: what to draw.
        view: front or back. The back has no closure, no front pockets, a higher neckline, and its own place in the print.
        side: pixels; 256 or more.
    """
    back = view == "back"
    layers = _layers(article.style, view)
    points = np.concatenate([layer.outline for layer in layers if isinstance(layer, Part)])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = float(_FILL * side / max(high - low))
    middle = (low + high) / 2
    origin = (float(side / 2 - middle[0] * scale), float(side / 2 - middle[1] * scale))
    painter = Painter(side, scale, origin, _cloth(article, scale, back=back))
    for layer in layers:
        if isinstance(layer, Part):
            painter.part(layer)
        elif isinstance(layer, Line):
            painter.line(layer)
        elif isinstance(layer, Placement):
            painter.placement(layer)
        else:
            painter.button(layer)
    rng = child_rng(article.seed, _DRAPE, int(back))
    rgb, alpha = _draped(painter.rgb, painter.alpha, article.style, scale, rng)
    return StudioPhoto(_on_white(rgb, alpha, child_rng(article.seed, _STUDIO, article.colourway, int(back))), alpha)


def _layers(drawn: Style, view: View) -> list[Layer]:
    if isinstance(drawn.cut, Top):
        return layers_of_top(drawn.cut, view)
    if isinstance(drawn.cut, Legs):
        return layers_of_legs(drawn.cut, view)
    return layers_of_skirt(drawn.cut, view)


def _cloth(article: Garment, scale: float, *, back: bool) -> Cloth:
    colours = article.palette.array
    drawn = article.style
    tile = print_tile(drawn.print_name, child_rng(article.seed, _PRINT), colours)
    repeat = max(8, round(drawn.repeat_cm * scale))
    method = cv2.INTER_AREA if repeat < tile.shape[0] else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(tile, (repeat, repeat), interpolation=method), dtype=np.uint8)
    fabric_rng = child_rng(article.seed, _FABRIC)
    start = child_rng(article.seed, _PRINT, int(back)).uniform(0, repeat, 2)
    return Cloth(
        colours=colours,
        tile=scaled,
        turn=drawn.print_turn,
        fabric=fabric_tile(drawn.fabric, fabric_rng),
        rib=fabric_tile("rib" if drawn.fabric in {"jersey", "knit", "rib", "fleece"} else drawn.fabric, fabric_rng),
        graphic=graphic(drawn.graphic, child_rng(article.seed, _GRAPHIC, int(back)), colours),
        offset=(float(start[0]), float(start[1])),
    )


def _draped(rgb: FloatArray, alpha: ByteArray, drawn: Style, scale: float, rng: Rng) -> tuple[FloatArray, ByteArray]:
    """Let the cloth hang: no edge is quite straight, and soft folds run along the garment."""
    side = alpha.shape[0]
    grid = as_float(np.mgrid[0:side, 0:side])
    small = (side // 4, side // 4)
    shift = [cv2.resize(smooth_noise(small, 9, rng), (side, side)) * np.float32(0.22 * scale) for _ in range(2)]
    moved = np.dstack([rgb, alpha.astype(np.float32)])
    moved = cv2.remap(moved, as_float(grid[1] + shift[0]), as_float(grid[0] + shift[1]), cv2.INTER_LINEAR)
    look = LOOKS[drawn.fabric]
    half = (side // 2, side // 2)
    height = ridges(half, rng, count=14, length=0.7, width=0.02, direction=float(np.pi / 2))
    height += ridges(half, rng, count=16, length=0.35, width=0.009) * np.float32(0.6)
    light = lit(height, LIGHT, 3.2 * look.folds, gloss=look.gloss)
    light *= 1 + np.float32(0.035) * cv2.resize(smooth_noise(small, 4, rng), (half[1], half[0]))
    light = as_float(cv2.resize(light, (side, side), interpolation=cv2.INTER_LINEAR))
    return as_float(moved[..., :3] * light[..., None]), as_bytes(moved[..., 3])


def _on_white(rgb: FloatArray, alpha: ByteArray, rng: Rng) -> ByteArray:
    """Lay the garment on a studio's white with a faint shadow below it."""
    side = alpha.shape[0]
    small = cv2.resize(alpha, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
    offset = as_float([[1, 0, side * 0.0015], [0, 1, side * 0.004]])
    blurred = cv2.GaussianBlur(cv2.warpAffine(small, offset, (side // 4, side // 4)), (0, 0), side * 0.004)
    shadow = cv2.resize(blurred, (side, side)).astype(np.float32) * np.float32(0.11 * rng.uniform(0.5, 1.2) / 255)
    white = np.float32(rng.uniform(250, 255))
    ground = (white * (1 - shadow))[..., None]
    weight = (alpha.astype(np.float32) / 255)[..., None]
    return as_bytes(ground + (rgb - ground) * weight)
