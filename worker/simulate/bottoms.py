"""The cut of trousers, jeans, shorts and skirts: from measures to layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from worker.simulate.arrays import FloatArray, as_float
from worker.simulate.layers import Button, Layer, Line, Material, Part, View, both_sides
from worker.simulate.outlines import Path, mirrored, rectangle, symmetric

Waist = Literal["band", "elastic", "drawstring"]


@dataclass(frozen=True, slots=True)
class Legs:
    """Measures (centimetres, halves from the centre line) and details of trousers, jeans and shorts."""

    waist: float
    hip: float
    hip_at: float
    rise: float
    length: float
    knee: float
    hem: float
    gap: float
    waistband: Waist
    jeans: bool
    cargo: bool
    crease: bool
    cuffed: bool
    side_stripe: bool
    knee_tear: bool
    loops: bool


@dataclass(frozen=True, slots=True)
class Skirt:
    """Measures (centimetres, halves) and details of a skirt."""

    waist: float
    hip: float
    hip_at: float
    hem: float
    length: float
    hem_curve: float
    waistband: Waist
    pleats: int
    buttons: int
    slit: bool
    tiers: int
    jeans: bool


def _waistband(half: float, kind: Waist, view: View) -> list[Layer]:
    dip = 0.8 if view == "front" else -0.4
    outline = symmetric(Path(0, dip).line(half, 0).line(half + 0.3, 4).line(0, 4 + dip).points)
    layers: list[Layer] = [Part(outline, "print", tone=0.98, round=0.3, pleats=0 if kind == "band" else 26)]
    if kind == "drawstring" and view == "front":
        layers += _pair(Line(Path(0.8, 3).curve(1.5, 9, 3.2, 15).points, 0.6, "light"))
    elif kind == "band" and view == "front":
        layers.append(Button(0.0, 2.4, 0.9, "metal"))
    return layers


def _leg(cut: Legs) -> FloatArray:
    """The right leg, from waist to hem."""
    knee_at = cut.rise + (cut.length - cut.rise) * 0.5
    centre = cut.gap + cut.hem
    path = Path(0, 0).line(cut.waist, 0).curve(cut.hip, cut.hip_at * 0.5, cut.hip, cut.hip_at)
    if _long(cut):
        middle = (cut.hip + cut.gap + centre + cut.hem) / 4 + 1
        path.curve((cut.hip * 1.4 + middle + cut.knee * 0.8) / 2.4, (cut.hip_at + knee_at) / 2, middle + cut.knee * 0.8, knee_at)
        path.line(centre + cut.hem, cut.length).line(centre - cut.hem, cut.length)
        path.line(middle - cut.knee * 0.8, knee_at).curve(1.2, cut.rise + 14, 0.25, cut.rise)
    else:
        path.line(cut.hip + 1.2, cut.length).line(max(0.8, cut.gap), cut.length + 0.8).line(0.25, cut.rise)
    return path.points


def _pair(line: Line) -> list[Layer]:
    """A line on the right, and its mirror image on the left."""
    return [line, replace(line, points=mirrored(line.points))]


def _stitch(cut: Legs) -> tuple[Material, float]:
    """Colour and strength of the seams: jeans show theirs."""
    return ("light", 0.8) if cut.jeans else ("dark", 0.45)


def _long(cut: Legs) -> bool:
    return cut.length > cut.rise + 30


def _hems(cut: Legs) -> list[Layer]:
    material, strength = _stitch(cut)
    y = cut.length - (3.5 if cut.cuffed else 2.0)
    centre = cut.gap + cut.hem
    if _long(cut):
        hem = as_float([(centre - cut.hem * 1.02, y), (centre + cut.hem * 1.02, y)])
    else:
        hem = as_float([(cut.gap * 0.8 + 0.6, y + 0.7), (cut.hip + 1.1, y)])
    return _pair(Line(hem, 0.5 if cut.cuffed else 0.2, material, stitched=not cut.cuffed, strength=strength))


def _on_the_legs(cut: Legs, outline: FloatArray, view: View) -> list[Layer]:
    """Side stripes, creases, tears and cargo pockets."""
    layers: list[Layer] = []
    if cut.side_stripe:
        side = outline[2:]
        layers += _pair(Line(side[: len(side) // 2] * as_float([0.97, 1]), 2.2, "second"))
    if cut.crease:
        fold = as_float([(cut.waist * 0.55, 12), (cut.gap + cut.hem, cut.length - 1)])
        layers += _pair(Line(fold, 0.35, "dark", strength=0.35))
    if cut.knee_tear and view == "front":
        middle = (cut.hip + 2 * cut.gap + 2 * cut.hem) / 4 + 1
        knee_at = cut.rise + (cut.length - cut.rise) * 0.46
        for i, side_sign in enumerate((1.0, 1.0, -1.0)):
            y = knee_at + 3 * i
            tear = as_float([(side_sign * (middle - 4), y), (side_sign * (middle + 4), y + 0.5)])
            layers.append(Line(tear, 0.9, "light", strength=0.85))
    if cut.cargo:
        at = cut.rise + (min(cut.length, 62) - cut.rise) * 0.35
        tall = min(14.0, cut.length - at - 3)
        box = rectangle(cut.hip - 10.5, at, cut.hip - 0.5, at + tall)
        flap = rectangle(cut.hip - 11, at, cut.hip - 0.2, at + tall * 0.3)
        for outline_of_pocket in (box, flap):
            layers += both_sides(Part(outline_of_pocket, "print", tone=1.03, round=0.35))
    return layers


def _front(cut: Legs) -> list[Layer]:
    """Slanted pockets and the fly."""
    material, strength = _stitch(cut)
    opening = Path(cut.waist * 0.5, 4).curve(cut.waist * 0.6, 13, cut.hip * 0.97, 15).points
    layers = _pair(Line(opening, 0.35, material, cut.jeans, strength))
    if cut.waistband == "band":
        fly = Path(3.4, 4).line(3.4, cut.rise * 0.55).curve(3, cut.rise * 0.78, 0.3, cut.rise * 0.82).points
        layers.append(Line(fly, 0.22, material, stitched=True, strength=strength))
    return layers


def _back(cut: Legs) -> list[Layer]:
    """Yoke and patch pockets of jeans, or welts."""
    x = cut.waist * 0.56
    if not cut.jeans:
        return _pair(Line(as_float([(x - 6, 12), (x + 6, 12)]), 0.9, "dark", strength=0.5))
    material, strength = _stitch(cut)
    pocket = as_float([(x - 7, 10), (x + 6.5, 9), (x + 6, 21), (x - 0.5, 24), (x - 6.5, 21.5)])
    yoke = as_float([(-cut.hip * 0.98, 6.5), (0, 10.5), (cut.hip * 0.98, 6.5)])
    seam = Line(as_float(np.concatenate([pocket, pocket[:1]])), 0.2, material, stitched=True, strength=strength)
    return [
        Line(yoke, 0.3, material, stitched=True, strength=strength),
        *both_sides(Part(pocket, "print", tone=1.04, round=0.3)),
        *_pair(seam),
    ]


def layers_of_legs(cut: Legs, view: View) -> list[Layer]:
    """Trousers, jeans or shorts in painting order."""
    outline = _leg(cut)
    layers: list[Layer] = both_sides(Part(outline, "print", grain=-1.5, round=0.85))[::-1]
    layers.append(Line(as_float([(0, 4), (0, cut.rise)]), 0.3, "dark", strength=0.5))
    layers += _on_the_legs(cut, outline, view) + _hems(cut)
    layers += _front(cut) if view == "front" else _back(cut)
    layers += _waistband(cut.waist, cut.waistband, view)
    if cut.loops:
        for share in (-0.75, -0.3, 0.3, 0.75):
            x = cut.waist * share
            layers.append(Part(rectangle(x - 0.6, -0.4, x + 0.6, 4.6), "print", tone=0.95, round=0.3))
    if cut.jeans and view == "back":
        layers.append(Part(rectangle(cut.waist * 0.4, 0.2, cut.waist * 0.4 + 7, 4), "trim", tone=0.8, round=0.1))
    return layers


def layers_of_skirt(cut: Skirt, view: View) -> list[Layer]:
    """A skirt in painting order."""
    path = Path(0, 0).line(cut.waist, 0).curve(cut.hip, cut.hip_at * 0.45, cut.hip, cut.hip_at)
    path.line(cut.hem, cut.length).curve(cut.hem * 0.5, cut.length + cut.hem_curve, 0, cut.length + cut.hem_curve)
    layers: list[Layer] = [Part(symmetric(path.points), "print", round=0.6, pleats=cut.pleats)]
    bottom = cut.length + cut.hem_curve
    for tier in range(cut.tiers):
        share = (tier + 1) / (cut.tiers + 1)
        wide = cut.hip + (cut.hem - cut.hip) * share
        layers.append(
            Line(
                as_float([(-wide, cut.length * share), (0, bottom * share), (wide, cut.length * share)]),
                0.8,
                "dark",
                strength=0.4,
            )
        )
    if view == "front" and cut.buttons:
        layers.append(Part(rectangle(-1.6, 4, 1.6, bottom), "print", tone=1.02, round=0.12))
        layers += [
            Button(0.0, 6 + (bottom - 9) * i / cut.buttons, 0.9, "metal" if cut.jeans else "dark") for i in range(cut.buttons + 1)
        ]
    if view == "back":
        layers.append(Line(as_float([(0, 4), (0, 4 + min(18.0, cut.length * 0.4))]), 0.5, "dark", strength=0.5))
    if cut.slit and view == "back":
        layers.append(Line(as_float([(0, cut.length * 0.72), (0, bottom)]), 0.9, "dark", strength=0.7))
    elif cut.slit:
        layers.append(Line(as_float([(cut.hip * 0.55, cut.length * 0.55), (cut.hem * 0.6, bottom)]), 0.6, "dark", strength=0.7))
    if cut.jeans and view == "front":
        opening = Path(cut.waist * 0.5, 4).curve(cut.waist * 0.6, 12, cut.hip * 0.97, 13).points
        layers += _pair(Line(opening, 0.3, "light", stitched=True, strength=0.8))
    layers += _waistband(cut.waist, cut.waistband, view)
    return layers
