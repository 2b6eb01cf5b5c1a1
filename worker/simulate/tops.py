"""Measures of everything worn on the upper body, and of dresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Neck = Literal["crew", "v", "boat", "scoop", "polo", "shirt", "turtle", "hood", "lapel", "stand", "bow", "straps"]
Closure = Literal["none", "buttons", "zip", "half-zip", "henley", "double", "wrap"]
Pockets = Literal["none", "chest", "two-chest", "kangaroo", "slanted", "flap"]
Graphic = Literal["none", "chest", "full", "back", "both"]
Cuff = Literal["plain", "rib", "buttoned", "elastic"]


@dataclass(frozen=True, slots=True)
class Top:
    """Measures (centimetres, halves from the centre line) and details of a top or a dress."""

    neck: float
    shoulder: float
    drop: float
    chest: float
    armpit: float
    waist: float
    waist_at: float
    hem: float
    length: float
    hem_curve: float
    neck_depth: float
    sleeve: float
    sleeve_angle: float
    cuff_width: float
    puff: float
    neckline: Neck
    closure: Closure
    pockets: Pockets
    cuff: Cuff
    ribbed_hem: bool
    quilt: float
    pleats: int
    belt: bool
    yoke: bool
    graphic: Graphic
    raglan: bool
    contrast_sleeve: bool
    side_stripe: bool
    buttons: int
    tiers: int
