"""What a garment is made of, in painting order: cloth parts, lines, buttons, placed graphics. Centimetres throughout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from worker.simulate.arrays import FloatArray
from worker.simulate.outlines import mirrored

Material = Literal["print", "base", "second", "trim", "inside", "metal", "dark", "light"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A piece of cloth.

    Attributes:
        outline: (n, 2) float32, closed.
        material: what colours it.
        grain: degrees by which the cloth is turned (a sleeve's stripes run across the sleeve).
        tone: brightness factor.
        round: 0..1, how much the edges fall away from the light (a sleeve more than a flat collar).
        rib: knitted rib instead of the garment's fabric.
        pleats: number of vertical pleats over the part's width; 0: none.
        quilt: centimetres between quilting lines; 0: none.
    """

    outline: FloatArray
    material: Material = "print"
    grain: float = 0.0
    tone: float = 1.0
    round: float = 0.5
    rib: bool = False
    pleats: int = 0
    quilt: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A seam, a stitched line, a zip or a cord along `points`; `stitched` draws dashes."""

    points: FloatArray
    width: float
    material: Material
    stitched: bool = False
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Button:
    """A round button or rivet."""

    x: float
    y: float
    radius: float
    material: Material


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the style's graphic goes: centre and width."""

    x: float
    y: float
    width: float


Layer = Part | Line | Button | Placement
View = Literal["front", "back"]


def both_sides(part: Part) -> list[Layer]:
    """A part on the right, and its mirror image on the left."""
    return [part, replace(part, outline=mirrored(part.outline), grain=-part.grain)]
