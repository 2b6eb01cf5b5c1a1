"""Paints layers: cloth with its print, fabric and roundness, seams, buttons, graphics, soft shadows between parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from worker.simulate.arrays import ByteArray, FloatArray, as_float
from worker.simulate.fabric import TILE as FABRIC_TILE
from worker.simulate.layers import Button, Line, Material, Part, Placement
from worker.simulate.prints import sampled

# Sub-pixel bits of OpenCV's drawing coordinates.
_SHIFT = 4
# Light from the upper left, as in most studios' pictures; radians, y downwards.
LIGHT = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Cloth:
    """What parts are made of.

    Attributes:
        colours: (4, 3) uint8 base, second, third, trim.
        tile: (n, n, 3) uint8 print, scaled so that one pixel of it is one of the picture.
        turn: degrees the print is turned.
        fabric: (128, 128) float32 brightness.
        rib: (128, 128) float32 brightness of collars and cuffs.
        graphic: colour (256, 256, 3) and alpha (256, 256), uint8.
        offset: where the print begins (pixels); front and back of a garment are cut from different places.
    """

    colours: ByteArray
    tile: ByteArray
    turn: float
    fabric: FloatArray
    rib: FloatArray
    graphic: tuple[ByteArray, ByteArray]
    offset: tuple[float, float]


class Painter:
    """Paints layers onto a picture. Positions are centimetres from (0, 0) at `origin` pixels, `scale` pixels a centimetre."""

    def __init__(self, side: int, scale: float, origin: tuple[float, float], cloth: Cloth) -> None:
        self.rgb = np.zeros((side, side, 3), dtype=np.float32)
        self.alpha = np.zeros((side, side), dtype=np.uint8)
        self._side = side
        self._scale = scale
        self._origin = as_float(origin)
        self._cloth = cloth

    def _pixels(self, points: FloatArray) -> FloatArray:
        return as_float(points * np.float32(self._scale) + self._origin)

    @staticmethod
    def _fixed(points: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        return np.round(points * (1 << _SHIFT)).astype(np.int32)

    def colour_of(self, material: Material) -> FloatArray:
        """The flat colour of a material."""
        base, second, _third, trim = (as_float(c) for c in self._cloth.colours)
        flat: dict[Material, FloatArray] = {
            "print": base, "base": base, "inside": base, "second": second, "trim": trim, "metal": as_float([168, 160, 142]),
            "dark": as_float(base * np.float32(0.35)), "light": as_float([228, 222, 208]),
        }  # fmt: skip
        return flat[material]

    def part(self, part: Part) -> None:
        """Paint a piece of cloth, and the soft shadow it throws on what lies below."""
        points = self._pixels(part.outline)
        pad = 14
        x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - pad, 0)
        x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + pad, self._side)
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        shape = (int(y1 - y0), int(x1 - x0))
        cover = np.zeros(shape, dtype=np.uint8)
        cv2.fillPoly(cover, [self._fixed(points - as_float([x0, y0]))], 255, cv2.LINE_AA, _SHIFT)
        cloth = self._texture(part, (int(x0), int(y0)), shape)
        if part.round > 0:
            inside = cv2.distanceTransform((cover > 127).astype(np.uint8), cv2.DIST_L2, 3)
            reach = np.float32(2.2 * self._scale)
            fall = 1 - np.float32(0.34 * part.round) * np.exp(-inside / reach)
            seam = 1 - np.float32(0.25) * np.exp(-(inside**2) / np.float32(max(1.0, (0.14 * self._scale) ** 2)))
            cloth *= (fall * seam)[..., None]
        window = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
        shadow = cv2.GaussianBlur(cover, (0, 0), 0.55 * self._scale).astype(np.float32) * np.float32(0.38 / 255)
        below = self.rgb[window] * (1 - shadow)[..., None]
        weight = (cover.astype(np.float32) / 255)[..., None]
        self.rgb[window] = below + (cloth - below) * weight
        np.maximum(self.alpha[window], cover, out=self.alpha[window])

    def _texture(self, part: Part, corner: tuple[int, int], shape: tuple[int, int]) -> FloatArray:
        """(h, w, 3) float32 of the cloth in the window whose upper left pixel is `corner`."""
        cloth = self._cloth
        x = np.arange(shape[1], dtype=np.float32)[None] + np.float32(corner[0] - self._origin[0])
        y = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(corner[1] - self._origin[1])
        plain = part.material != "print" or not cloth.tile.std(axis=(0, 1)).any()

        def turned(degrees: float) -> tuple[FloatArray, FloatArray]:
            cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
            return as_float(x * cos + y * sin), as_float(y * cos - x * sin)

        u, v = turned(part.grain)
        if plain:
            rgb = np.empty((*shape, 3), dtype=np.float32)
            rgb[:] = self.colour_of(part.material)
        else:
            pu, pv = turned(part.grain + cloth.turn) if cloth.turn else (u, v)
            rgb = sampled(cloth.tile, as_float(pu + np.float32(cloth.offset[0])), as_float(pv + np.float32(cloth.offset[1])))
        # The fabric's tile is in picture pixels of a 768 px photo: finer pictures show finer threads.
        threads = np.float32(768 / self._side)
        weave = cloth.rib if part.rib else cloth.fabric
        if part.material != "metal":
            light = sampled(weave, as_float((u * threads) % FABRIC_TILE), as_float((v * threads) % FABRIC_TILE))
            light = light * np.float32(part.tone)
            if part.pleats:
                wide = np.float32(max(float(np.ptp(part.outline[:, 0])) * self._scale, 1.0))
                tall = np.float32(max(part.outline[:, 1].max() * self._scale, 1.0))
                fan = np.float32(0.62) + np.float32(0.38) * y / tall  # pleats spread towards the hem
                phase = (x / (wide * np.maximum(fan, np.float32(0.3)))) * np.float32(part.pleats) % 1
                light = light * (np.float32(1.05) - np.float32(0.3) * np.maximum(phase - np.float32(0.55), 0) * 2)
            if part.quilt:
                bulge = np.sin(v / np.float32(part.quilt * self._scale) % 1 * np.float32(np.pi))
                light = light * (np.float32(0.66) + np.float32(0.42) * np.sqrt(np.abs(bulge)))
            rgb *= light[..., None]
        return rgb

    def line(self, line: Line) -> None:
        """Paint a seam, a stitched line, a zip or a cord over the cloth that is there."""
        points = self._pixels(line.points)
        pad = round(line.width * self._scale) + 6
        x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - pad, 0)
        x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + pad, self._side)
        if x1 <= x0 or y1 <= y0:
            return
        cover = np.zeros((int(y1 - y0), int(x1 - x0)), dtype=np.uint8)
        local = points - as_float([x0, y0])
        thickness = max(1, round(line.width * self._scale))
        runs = self._dashes(local) if line.stitched else [local]
        cv2.polylines(cover, [self._fixed(run) for run in runs], False, 255, thickness, cv2.LINE_AA, _SHIFT)
        window = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
        # Lines lie on cloth: what hangs over the edge is not drawn, except cords and straps, which are solid.
        solid = not line.stitched and line.strength >= 1
        if solid:
            np.maximum(self.alpha[window], cover, out=self.alpha[window])
        weight = cover.astype(np.float32) * np.float32(line.strength / 255)
        weight *= self.alpha[window].astype(np.float32) / 255
        ink = self.colour_of(line.material)
        self.rgb[window] += (ink - self.rgb[window]) * weight[..., None]

    def _dashes(self, points: FloatArray) -> list[FloatArray]:
        """Cut a line into stitches of about 0.5 cm."""
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(steps)])
        dash = max(3.0, 0.5 * self._scale)
        starts = np.arange(0, along[-1], dash * 1.6)
        ends = np.minimum(starts + dash, along[-1])
        x0, y0 = np.interp(starts, along, points[:, 0]), np.interp(starts, along, points[:, 1])
        x1, y1 = np.interp(ends, along, points[:, 0]), np.interp(ends, along, points[:, 1])
        return list(as_float(np.stack([np.stack([x0, y0], 1), np.stack([x1, y1], 1)], axis=1)))

    def button(self, button: Button) -> None:
        """Paint a button with its shadow and a glint."""
        x, y = self._pixels(as_float([[button.x, button.y]]))[0]
        radius = max(1.5, button.radius * self._scale)
        unit = 1 << _SHIFT

        def disc(dx: float, dy: float, r: float, colour: FloatArray) -> None:
            at = (round((x + dx) * unit), round((y + dy) * unit))
            cv2.circle(self.rgb, at, round(r * unit), tuple(float(c) for c in colour), -1, cv2.LINE_AA, _SHIFT)

        ink = self.colour_of(button.material)
        disc(0.25 * radius, 0.35 * radius, radius * 1.05, as_float(self.colour_of("base") * np.float32(0.45)))
        disc(0, 0, radius, ink)
        disc(0, 0, radius * 0.62, as_float(ink * np.float32(0.86)))
        disc(-0.3 * radius, -0.3 * radius, radius * 0.22, as_float(np.minimum(ink * np.float32(1.2) + 16, 250)))

    def placement(self, at: Placement) -> None:
        """Lay the graphic on the cloth."""
        colour, alpha = self._cloth.graphic
        size = max(8, round(at.width * self._scale))
        x, y = np.round(self._pixels(as_float([[at.x - at.width / 2, at.y - at.width / 2]]))[0]).astype(int)
        x0, y0, x1, y1 = max(0, x), max(0, y), min(self._side, x + size), min(self._side, y + size)
        if x1 <= x0 or y1 <= y0:
            return
        colour = np.asarray(cv2.resize(colour, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        alpha = np.asarray(cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        cut = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        window = (slice(y0, y1), slice(x0, x1))
        weight = alpha[cut].astype(np.float32) * self.alpha[window].astype(np.float32) / np.float32(255 * 255)
        # Ink takes the cloth's light: keep the brightness pattern of what is below.
        below = self.rgb[window]
        ink = colour[cut].astype(np.float32)
        self.rgb[window] = below + (ink - below) * (weight * np.float32(0.94))[..., None]
