"""The cut of trousers, jeans, shorts and skirts: from measures to layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from worker.simulate.arrays import FloatArray, as_float
from worker.simulate.layers import Button, Layer, Line, Material, Part, View
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
        for side in (-1.0, 1.0):
            layers.append(Line(Path(side * 0.8, 3).curve(side * 1.5, 9, side * 3.2, 15).points, 0.6, "light"))
    elif kind == "band" and view == "front":
        layers.append(Button(0.0, 2.4, 0.9, "metal"))
    return layers


def _leg(cut: Legs) -> FloatArray:
    """The right leg, from waist to hem."""
    knee_at = cut.rise + (cut.length - cut.rise) * 0.5
    centre = cut.gap + cut.hem
    path = Path(0, 0).line(cut.waist, 0).curve(cut.hip, cut.hip_at * 0.5, cut.hip, cut.hip_at)
    if cut.length > cut.rise + 30:
        middle = (cut.hip + cut.gap + centre + cut.hem) / 4 + 1
        path.curve((cut.hip * 1.4 + middle + cut.knee * 0.8) / 2.4, (cut.hip_at + knee_at) / 2, middle + cut.knee * 0.8, knee_at)
        path.line(centre + cut.hem, cut.length).line(centre - cut.hem, cut.length)
        path.line(middle - cut.knee * 0.8, knee_at).curve(1.2, cut.rise + 14, 0.25, cut.rise)
    else:
        path.line(cut.hip + 1.2, cut.length).line(max(0.8, cut.gap), cut.length + 0.8).line(0.25, cut.rise)
    return path.points


def layers_of_legs(cut: Legs, view: View) -> list[Layer]:
    """Trousers, jeans or shorts in painting order."""
    outline = _leg(cut)
    stitch: Material = "light" if cut.jeans else "dark"
    strength = 0.8 if cut.jeans else 0.45
    layers: list[Layer] = [
        Part(mirrored(outline), "print", grain=1.5, round=0.85),
        Part(outline, "print", grain=-1.5, round=0.85),
    ]
    side = outline[2:]
    outer = side[: len(side) // 2] * as_float([0.97, 1])
    if cut.side_stripe:
        layers += [Line(outer, 2.2, "second"), Line(mirrored(outer), 2.2, "second")]
    layers.append(Line(as_float([(0, 4), (0, cut.rise)]), 0.3, "dark", strength=0.5))
    hem_y = cut.length - (3.5 if cut.cuffed else 2.0)
    centre = cut.gap + cut.hem
    if cut.length > cut.rise + 30:
        hem = as_float([(centre - cut.hem * 1.02, hem_y), (centre + cut.hem * 1.02, hem_y)])
    else:
        hem = as_float([(cut.gap * 0.8 + 0.6, hem_y + 0.7), (cut.hip + 1.1, hem_y)])
    for line in (hem, mirrored(hem)):
        layers.append(Line(line, 0.5 if cut.cuffed else 0.2, stitch, stitched=not cut.cuffed, strength=strength))
    if cut.crease:
        fold = as_float([(cut.waist * 0.55, 12), (centre, cut.length - 1)])
        layers += [Line(fold, 0.35, "dark", strength=0.35), Line(mirrored(fold), 0.35, "dark", strength=0.35)]
    if cut.knee_tear and view == "front":
        middle = (cut.hip + cut.gap + centre + cut.hem) / 4 + 1
        knee_at = cut.rise + (cut.length - cut.rise) * 0.46
        for i, side_sign in enumerate((1.0, 1.0, -1.0)):
            tear = as_float([(side_sign * (middle - 4), knee_at + 3 * i), (side_sign * (middle + 4), knee_at + 3 * i + 0.5)])
            layers.append(Line(tear, 0.9, "light", strength=0.85))
    if cut.cargo:
        at = cut.rise + (min(cut.length, 62) - cut.rise) * 0.35
        tall = min(14.0, cut.length - at - 3)
        box = rectangle(cut.hip - 10.5, at, cut.hip - 0.5, at + tall)
        flap = rectangle(cut.hip - 11, at, cut.hip - 0.2, at + tall * 0.3)
        for part in (box, flap):
            layers += [Part(part, "print", tone=1.03, round=0.35), Part(mirrored(part), "print", tone=1.03, round=0.35)]
    if view == "front":
        opening = Path(cut.waist * 0.5, 4).curve(cut.waist * 0.6, 13, cut.hip * 0.97, 15).points
        layers += [Line(opening, 0.35, stitch, cut.jeans, strength), Line(mirrored(opening), 0.35, stitch, cut.jeans, strength)]
        fly = Path(3.4, 4).line(3.4, cut.rise * 0.55).curve(3, cut.rise * 0.78, 0.3, cut.rise * 0.82).points
        if cut.waistband == "band":
            layers.append(Line(fly, 0.22, stitch, stitched=True, strength=strength))
    else:
        x = cut.waist * 0.56
        if cut.jeans:
            pocket = as_float([(x - 7, 10), (x + 6.5, 9), (x + 6, 21), (x - 0.5, 24), (x - 6.5, 21.5)])
            yoke = as_float([(-cut.hip * 0.98, 6.5), (0, 10.5), (cut.hip * 0.98, 6.5)])
            layers.append(Line(yoke, 0.3, stitch, stitched=True, strength=strength))
            for part in (pocket, mirrored(pocket)):
                layers.append(Part(part, "print", tone=1.04, round=0.3))
                layers.append(Line(np.concatenate([part, part[:1]]), 0.2, stitch, stitched=True, strength=strength))
        else:
            welt = as_float([(x - 6, 12), (x + 6, 12)])
            layers += [Line(welt, 0.9, "dark", strength=0.5), Line(mirrored(welt), 0.9, "dark", strength=0.5)]
    layers += _waistband(cut.waist, cut.waistband, view)
    if cut.loops:
        for x in (-cut.waist * 0.75, -cut.waist * 0.3, cut.waist * 0.3, cut.waist * 0.75):
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
        for side in (-1.0, 1.0):
            opening = Path(side * cut.waist * 0.5, 4).curve(side * cut.waist * 0.6, 12, side * cut.hip * 0.97, 13).points
            layers.append(Line(opening, 0.3, "light", stitched=True, strength=0.8))
    layers += _waistband(cut.waist, cut.waistband, view)
    return layers
