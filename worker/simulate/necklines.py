"""Necklines: ribs, collars, hoods, lapels, straps, front and back. `n` is half the neck's width, `d` its depth, centimetres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worker.simulate.arrays import FloatArray, as_float
from worker.simulate.layers import Layer, Line, Part, View, both_sides
from worker.simulate.outlines import Path, mirrored, rectangle, symmetric
from worker.simulate.tops import Neck, Top


def inside_of_back(cut: Top) -> list[Layer]:
    """The inside of the back, seen through the front neck opening, with its label."""
    inside = symmetric(
        Path(0, 1.2)
        .curve(cut.neck * 0.9, 1.0, cut.neck + 0.6, -0.2)
        .line(cut.neck + 0.8, 1.6)
        .curve(cut.neck, cut.neck_depth + 1.5, 0, cut.neck_depth + 1.5)
        .points
    )
    label = rectangle(-1.6, 1.9, 1.6, 3.6)
    return [Part(inside, "inside", tone=0.62, round=0.1), Part(label, "light", tone=0.95, round=0.0)]


def _band(cut: Top, view: View, width: float) -> FloatArray:
    """A band of rib around the neckline."""
    depth = cut.neck_depth if view == "front" else 2.2
    inner = Path(0, depth)
    outer = Path(0, depth + width)
    if view == "front" and cut.neckline == "v":
        inner.line(cut.neck, 0)
        outer.line(cut.neck + width, 0.7)
    else:
        inner.curve(cut.neck * 0.95, depth, cut.neck, -0.2)
        outer.curve(cut.neck + width, depth + width, cut.neck + width, 0.6)
    half = np.concatenate([outer.points, inner.points[::-1]])
    return as_float(np.concatenate([half, mirrored(half)[::-1]]))


def _ribbed(cut: Top, view: View) -> list[Layer]:
    return [Part(_band(cut, view, 2.0 if cut.neckline == "crew" else 1.3), "trim", round=0.4, rib=True)]


def _turtle(cut: Top, _view: View) -> list[Layer]:
    n = cut.neck
    tube = symmetric(Path(0, -7).curve(n * 0.6, -7.4, n * 0.92, -6.6).line(n + 1, 0.8).curve(n * 0.6, 3.4, 0, 3.4).points)
    fold = symmetric(Path(0, -3).line(n * 0.97, -2.6).points)[:4]
    return [Part(tube, "trim", round=0.8, rib=True), Line(fold, 0.3, "dark", strength=0.4)]


def _stand(cut: Top, view: View) -> list[Layer]:
    n, d = cut.neck, cut.neck_depth
    path = Path(0, -4.2 if view == "back" else -1.0).line(n * 0.9, -4.0).line(n + 0.8, 0.6).curve(n * 0.6, d + 1, 0, d + 1.4)
    return [Part(symmetric(path.points), "print", tone=0.93, round=0.5)]


def _collar(cut: Top, view: View) -> list[Layer]:
    n, d = cut.neck, cut.neck_depth
    if view == "back":
        path = Path(0, -2.6).curve(n * 0.7, -2.8, n, -1.2).line(n + 1.6, 2.2).curve(n * 0.5, 3.6, 0, 3.6)
        return [Part(symmetric(path.points), "trim", tone=0.97, round=0.5)]
    stand = Path(0, -1.6).curve(n * 0.8, -2.2, n, -1.2).line(n, 0.8).curve(n * 0.5, 2.4, 0, 2.6)
    flap = Path(n * 0.98, -1.8).line(n + 2.2, 1.2).line(n * 0.85, d + 5.2).line(0.2, d * 0.9)
    flap.curve(n * 0.55, d * 0.55, n * 0.98, -1.8)
    return [Part(symmetric(stand.points), "trim", tone=0.78, round=0.3), *both_sides(Part(flap.points, "trim", round=0.35))]


def _bow(cut: Top, view: View) -> list[Layer]:
    d = cut.neck_depth
    layers = _collar(cut, view)
    if view == "front":
        loop = Path(0, d + 1).curve(6, d - 4, 9, d + 0.5).curve(6, d + 5, 0, d + 2.4)
        tail = Path(-0.2, d + 2).line(1.6, d + 2).curve(4, d + 12, 6.5, d + 20).line(3, d + 21).curve(1, d + 12, -0.2, d + 2)
        layers += both_sides(Part(tail.points, "trim", round=0.6)) + both_sides(Part(loop.points, "trim", round=0.8))
    return layers


def _hood(cut: Top, view: View) -> list[Layer]:
    """In front the first two layers lie behind the body: the hood and its dark opening; then come the cords."""
    n, d = cut.neck, cut.neck_depth
    if view == "back":
        hood = symmetric(Path(0, -7).curve(n * 1.7, -7, n * 1.8, 2).curve(n * 1.5, 15, 0, 19).points)
        return [Part(hood, "print", round=1.0), Line(as_float([(0, -6.8), (0, 18.5)]), 0.2, "dark", strength=0.5)]
    outer = symmetric(Path(0, -9).curve(n * 1.9, -10, n * 1.55, -1).curve(n * 1.4, 4, 0.4, d + 3).points)
    opening = symmetric(Path(0, -5.5).curve(n * 1.25, -6, n * 0.98, -0.5).curve(n * 0.7, d * 0.7, 0.1, d + 1.6).points)
    cord = Path(n * 0.5, d * 0.8).curve(n * 0.55, d + 7, n * 0.42, d + 13).points
    return [
        Part(outer, "print", round=0.9),
        Part(opening, "inside", tone=0.55, round=0.3),
        Line(cord, 0.55, "light"),
        Line(mirrored(cord), 0.55, "light"),
    ]


def _lapel(cut: Top, view: View) -> list[Layer]:
    n, d = cut.neck, cut.neck_depth
    if view == "back":
        path = Path(0, -2.4).curve(n * 0.7, -2.6, n, -1).line(n + 2, 2.6).curve(n * 0.5, 4.2, 0, 4.2)
        return [Part(symmetric(path.points), "print", tone=0.95, round=0.5)]
    reach = d + 14
    lining = Part(symmetric(Path(0, 0).line(n, -0.4).line(0.3, reach).points), "inside", tone=0.6, round=0.1)
    lapel = Path(n, -0.8).line(n + 3.2, 3).line(n + 0.8, d + 0.5).line(n + 4.2, d + 2.2)
    lapel.curve(n, reach * 0.7, 0.3, reach).curve(n * 0.9, d * 0.8, n, -0.8)
    return [lining, *both_sides(Part(lapel.points, "trim", tone=1.04, round=0.3))]


def _straps(cut: Top, _view: View) -> list[Layer]:
    edge = cut.shoulder
    strap = Path(edge, cut.drop).line(edge - 1.8, -7).line(edge - 3.6, -7).line(edge - 2.6, cut.drop + 0.5)
    return both_sides(Part(strap.points, "trim", round=0.3))


_DRAWERS: dict[Neck, Callable[[Top, View], list[Layer]]] = {
    "crew": _ribbed, "v": _ribbed, "boat": _ribbed, "scoop": _ribbed, "turtle": _turtle, "stand": _stand, "polo": _collar,
    "shirt": _collar, "bow": _bow, "hood": _hood, "lapel": _lapel, "straps": _straps,
}  # fmt: skip


def neckline(cut: Top, view: View) -> list[Layer]:
    """The neckline's layers."""
    return _DRAWERS[cut.neckline](cut, view)
