"""The cut of everything worn on the upper body, and of dresses: from measures to layers."""

from __future__ import annotations

import numpy as np

from worker.simulate.arrays import FloatArray, as_float
from worker.simulate.layers import Button, Layer, Line, Material, Part, Placement, View, both_sides
from worker.simulate.necklines import inside_of_back, neckline
from worker.simulate.outlines import Path, mirrored, rectangle, symmetric
from worker.simulate.tops import Top


def body(cut: Top, view: View) -> FloatArray:
    """Outline of the body, front or back."""
    depth = cut.neck_depth if view == "front" else min(cut.neck_depth, 2.2)
    path = Path(0, depth)
    if view == "front" and cut.neckline == "v":
        path.line(cut.neck, 0)
    else:
        path.curve(cut.neck * 0.95, depth, cut.neck, 0)
    path.line(cut.shoulder, cut.drop)
    path.curve(cut.shoulder - 1.5, cut.armpit * 0.75, cut.chest, cut.armpit)
    path.curve(
        cut.chest * 0.98 if cut.waist >= cut.chest else cut.waist, (cut.armpit + cut.waist_at) / 2, cut.waist, cut.waist_at
    )
    path.curve(cut.waist + (cut.hem - cut.waist) * 0.35, cut.waist_at + (cut.length - cut.waist_at) * 0.4, cut.hem, cut.length)
    path.curve(cut.hem * 0.5, cut.length + cut.hem_curve, 0, cut.length + cut.hem_curve)
    return symmetric(path.points)


def _sleeve(cut: Top) -> tuple[FloatArray, FloatArray]:
    """Outlines of the right sleeve and of its cuff."""
    angle = np.radians(cut.sleeve_angle)
    along = np.array([np.sin(angle), np.cos(angle)])
    inward = np.array([-np.cos(angle), np.sin(angle)])
    tip = np.array([cut.shoulder, cut.drop])
    if cut.raglan:
        tip = np.array([cut.shoulder * 0.99, cut.drop * 0.98])
    end = tip + along * cut.sleeve
    inner = end + inward * cut.cuff_width
    middle = tip + along * cut.sleeve * 0.5 - inward * (cut.puff + cut.sleeve * 0.03)
    pit = np.array([cut.chest, cut.armpit])
    elbow = (pit + inner) / 2 + inward * (-1.2 - cut.puff * 0.6)
    root = np.array([cut.neck + 1, 0.4]) if cut.raglan else np.array([cut.shoulder - 3, cut.drop * 0.85])
    deep = pit + np.array([-3.5, -1.0])
    path = Path(*root).line(*tip).curve(*middle, *end).line(*inner).curve(*elbow, *pit).line(*deep)
    height = min(6.0, cut.sleeve * 0.18)
    back_end, back_inner = end - along * height, inner - along * height + inward * (-cut.puff * 0.3)
    cuff = as_float([back_end - inward * cut.puff * 0.25, end, inner, back_inner])
    return path.points, cuff


def _sleeves(cut: Top) -> list[Layer]:
    if cut.sleeve <= 0:
        return []
    outline, cuff = _sleeve(cut)
    material: Material = "second" if cut.contrast_sleeve else "print"
    layers = both_sides(Part(outline, material, grain=-cut.sleeve_angle, round=0.9, quilt=cut.quilt))
    if cut.cuff == "rib":
        layers += both_sides(Part(cuff, "trim", grain=-cut.sleeve_angle, round=0.7, rib=True))
    elif cut.cuff in {"buttoned", "elastic"}:
        layers += both_sides(Part(cuff, "print", grain=-cut.sleeve_angle, tone=0.97, round=0.6))
    else:
        hem = as_float([cuff[1] + (cuff[0] - cuff[1]) * 0.35, cuff[2] + (cuff[3] - cuff[2]) * 0.35])
        layers += [Line(hem, 0.18, "dark", stitched=True, strength=0.35), Line(mirrored(hem), 0.18, "dark", True, 0.35)]
    if cut.side_stripe:
        stripe = outline[1:14]
        layers += [Line(stripe * np.float32(0.985), 1.6, "second"), Line(mirrored(stripe * np.float32(0.985)), 1.6, "second")]
    return layers


def _closure(cut: Top, view: View) -> list[Layer]:
    if view == "back" or cut.closure == "none":
        return []
    top = cut.neck_depth + (12 if cut.neckline == "lapel" else 0.5)
    bottom = cut.length + cut.hem_curve
    layers: list[Layer] = []
    if cut.closure in {"zip", "half-zip"}:
        end = bottom if cut.closure == "zip" else top + 16
        layers.append(Line(as_float([(0, top), (0, end)]), 1.9, "dark", strength=0.35))
        layers.append(Line(as_float([(0, top), (0, end)]), 0.8, "metal", stitched=True))
        layers.append(Button(0.0, top + 1.5, 0.7, "metal"))
        return layers
    if cut.closure == "wrap":
        edge = Path(-cut.neck, 0).line(cut.waist * 0.75, cut.waist_at).points
        return [Line(edge, 0.35, "dark", strength=0.6)]
    half = 1.7
    if cut.closure == "henley":
        bottom = top + 13
    layers.append(Part(rectangle(-half, top, half, bottom), "print", tone=1.02, round=0.12))
    count = 3 if cut.closure == "henley" else cut.buttons
    columns = (-6.0, 6.0) if cut.closure == "double" else (0.0,)
    usable = bottom - top - 4
    if cut.closure == "double":
        usable *= 0.6
    for column in columns:
        layers += [
            Button(
                column,
                top + 2 + usable * i / max(1, count - 1),
                0.75 if cut.closure != "double" else 1.3,
                "dark" if cut.buttons % 2 else "light",
            )
            for i in range(count)
        ]
    return layers


def _pockets(cut: Top, view: View) -> list[Layer]:
    if view == "back":
        return []
    x, y = cut.chest * 0.48, cut.armpit + 4
    pocket = rectangle(x - 5, y, x + 5, y + 11.5)
    layers: list[Layer] = []
    if cut.pockets in {"chest", "two-chest"}:
        right: list[Layer] = [
            Part(pocket, "print", tone=1.03, round=0.2),
            Line(pocket[[0, 1]] + as_float([0, 1.8]), 0.15, "dark", True, 0.5),
        ]
        layers += right
        if cut.pockets == "two-chest":
            layers += [
                Part(mirrored(pocket), "print", tone=1.03, round=0.2),
                Line(mirrored(pocket[[0, 1]]) + as_float([0, 1.8]), 0.15, "dark", True, 0.5),
            ]
    elif cut.pockets == "kangaroo":
        low = cut.length - 7
        pouch = symmetric(
            Path(0, low - 17)
            .line(cut.hem * 0.42, low - 17)
            .line(cut.hem * 0.66, low - 4)
            .line(cut.hem * 0.66, low)
            .line(0, low)
            .points
        )
        layers.append(Part(pouch, "print", tone=1.03, round=0.25))
    elif cut.pockets == "slanted":
        slit = as_float([(cut.waist * 0.78, cut.length * 0.62), (cut.waist * 0.58, cut.length * 0.62 + 14)])
        layers += [Line(slit, 0.9, "dark", strength=0.5), Line(mirrored(slit), 0.9, "dark", strength=0.5)]
    elif cut.pockets == "flap":
        at = cut.length * 0.64
        flap = rectangle(cut.hem * 0.3, at, cut.hem * 0.3 + 13, at + 5.5)
        layers += both_sides(Part(flap, "print", tone=1.02, round=0.4))
    return layers


def _hem(cut: Top) -> list[Layer]:
    base, curve = cut.length, cut.hem_curve
    if cut.ribbed_hem:
        band = symmetric(
            Path(0, base + curve - 6)
            .line(cut.hem * 1.02, base - 6)
            .line(cut.hem * 0.95, base)
            .curve(cut.hem * 0.5, base + curve, 0, base + curve)
            .points
        )
        return [Part(band, "trim", round=0.5, rib=True)]
    stitch = symmetric(Path(cut.hem * 0.985, base - 2.2).curve(cut.hem * 0.5, base + curve - 2.2, 0, base + curve - 2.2).points)
    return [
        Line(stitch[: len(stitch) // 2], 0.16, "dark", True, 0.35),
        Line(stitch[len(stitch) // 2 :], 0.16, "dark", True, 0.35),
    ]


def _extras(cut: Top, view: View) -> list[Layer]:
    layers: list[Layer] = []
    if cut.yoke:
        y = cut.armpit * (0.55 if view == "back" else 0.38)
        layers.append(Line(as_float([(-cut.shoulder + 1, y), (0, y + 1.5), (cut.shoulder - 1, y)]), 0.25, "dark", strength=0.45))
    for tier in range(cut.tiers):
        y = cut.waist_at + (cut.length - cut.waist_at) * (tier + 1) / (cut.tiers + 1)
        wide = cut.waist + (cut.hem - cut.waist) * (tier + 1) / (cut.tiers + 1)
        layers.append(Line(as_float([(-wide, y), (0, y + 2), (wide, y)]), 0.8, "dark", strength=0.4))
    if cut.belt:
        strip = symmetric(
            Path(0, cut.waist_at - 2)
            .line(cut.waist + 0.6, cut.waist_at - 2.4)
            .line(cut.waist + 0.6, cut.waist_at + 1.8)
            .line(0, cut.waist_at + 2.2)
            .points
        )
        layers.append(Part(strip, "trim", tone=0.95, round=0.3))
        if view == "front":
            layers.append(
                Part(
                    rectangle(-2.6, cut.waist_at - 2.8, 2.6, cut.waist_at + 3),
                    "metal" if cut.buttons % 2 else "trim",
                    tone=0.9,
                    round=0.3,
                )
            )
    where = cut.graphic
    if (view == "front" and where in {"chest", "full", "both"}) or (view == "back" and where in {"back", "both"}):
        if where == "chest":
            layers.append(Placement(cut.chest * 0.45, cut.armpit + 2, 8))
        else:
            layers.append(
                Placement(0, cut.armpit + cut.length * 0.16, cut.chest * (1.15 if where != "both" or view == "back" else 0.8))
            )
    return layers


def layers_of_top(cut: Top, view: View) -> list[Layer]:
    """The garment's layers in painting order."""
    layers: list[Layer] = []
    covered = cut.neckline in {"turtle", "stand"} or view == "back"
    if not covered and cut.neckline != "hood":
        layers += inside_of_back(cut)
    if cut.neckline == "hood" and view == "front":
        layers += neckline(cut, view)[:2]
    sleeves = _sleeves(cut)
    if not cut.raglan:
        layers += sleeves
    layers.append(Part(body(cut, view), "print", round=0.55, pleats=cut.pleats, quilt=cut.quilt))
    if cut.raglan:
        layers += sleeves
    layers += [*_hem(cut), *_extras(cut, view), *_closure(cut, view), *_pockets(cut, view)]
    around = neckline(cut, view)
    layers += around[2:] if cut.neckline == "hood" and view == "front" else around
    return layers
