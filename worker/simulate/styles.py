"""Styles: for each category which cuts, fabrics and prints occur, drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from worker.simulate.arrays import Rng
from worker.simulate.bottoms import Legs, Skirt, Waist
from worker.simulate.fabric import FabricName
from worker.simulate.graphics import GraphicName
from worker.simulate.prints import REPEATS, PrintName
from worker.simulate.tops import Closure, Cuff, Neck, Pockets, Top

T = TypeVar("T")


class Category(StrEnum):
    """What kind of garment a style is; also the event's `category` attribute."""

    TSHIRT = "t-shirt"
    LONGSLEEVE = "long-sleeve"
    POLO = "polo"
    SHIRT = "shirt"
    BLOUSE = "blouse"
    SWEATER = "sweater"
    HOODIE = "hoodie"
    JACKET = "jacket"
    COAT = "coat"
    VEST = "vest"
    DRESS = "dress"
    SKIRT = "skirt"
    TROUSERS = "trousers"
    JEANS = "jeans"
    SHORTS = "shorts"


# Weights of a mixed shop's range.
_SHARES: dict[Category, float] = {
    Category.TSHIRT: 1.6, Category.LONGSLEEVE: 0.8, Category.POLO: 0.6, Category.SHIRT: 1.3, Category.BLOUSE: 0.9,
    Category.SWEATER: 1.1, Category.HOODIE: 0.9, Category.JACKET: 1.0, Category.COAT: 0.7, Category.VEST: 0.5,
    Category.DRESS: 1.5, Category.SKIRT: 0.9, Category.TROUSERS: 1.0, Category.JEANS: 0.8, Category.SHORTS: 0.8,
}  # fmt: skip

_KNITTED: dict[PrintName, float] = {
    "plain": 4,
    "melange": 2,
    "stripes": 2,
    "breton": 1.5,
    "chevron": 0.8,
    "geometric": 0.8,
    "tartan": 0.3,
}
_JERSEY: dict[PrintName, float] = {
    "plain": 5, "melange": 1.5, "stripes": 1.6, "breton": 1.6, "dots": 0.7, "floral": 0.7, "camouflage": 0.4, "tie-dye": 0.6,
    "animal": 0.4, "geometric": 0.6, "confetti": 0.4,
}  # fmt: skip
_WOVEN: dict[PrintName, float] = {
    "plain": 3.5, "stripes": 1.0, "pinstripe": 1.4, "gingham": 1.5, "tartan": 1.8, "dots": 1.0, "floral": 1.4, "geometric": 0.6,
    "animal": 0.3, "confetti": 0.4,
}  # fmt: skip
_DRAPED: dict[PrintName, float] = {
    "plain": 3, "floral": 3, "dots": 1.3, "stripes": 0.8, "gingham": 0.7, "animal": 0.8, "chevron": 0.5, "geometric": 0.8,
    "tie-dye": 0.3, "confetti": 0.6, "tartan": 0.4,
}  # fmt: skip
_OUTER: dict[PrintName, float] = {"plain": 7, "tartan": 0.8, "houndstooth": 0.7, "camouflage": 0.7, "melange": 1.0}
_SUITING: dict[PrintName, float] = {
    "plain": 5,
    "pinstripe": 1,
    "tartan": 1,
    "houndstooth": 0.6,
    "melange": 1.2,
    "camouflage": 0.4,
}


@dataclass(frozen=True, slots=True)
class Style:
    """Everything about an article but its colours."""

    category: Category
    cut: Top | Legs | Skirt
    fabric: FabricName
    print_name: PrintName
    repeat_cm: float
    print_turn: float
    graphic: GraphicName
    denim: bool


def _one(rng: Rng, choices: Mapping[T, float]) -> T:
    weights = list(choices.values())
    total = sum(weights)
    return list(choices)[int(rng.choice(len(weights), p=[w / total for w in weights]))]


class _Measures:
    """Draws measures: `between` a range, `yes` with a chance."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def yes(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)


def _top(category: Category, rng: Rng) -> Top:
    m = _Measures(rng)
    between, yes = m.between, m.yes
    neck, shoulder, chest = between(7, 9.5), between(20, 24), between(24, 29)
    fitted, sleeve, angle = yes(0.35), between(56, 63), between(14, 30)
    neckline: Neck = "crew"
    closure: Closure = "none"
    pockets: Pockets = "none"
    cuff: Cuff = "plain"
    length, flare, curve, puff, wide = between(62, 72), between(-1.5, 1.5), between(0, 1.2), 0.0, between(15, 18)
    cuff_width, depth = between(8.5, 10.5), between(7, 11)
    ribbed, quilt, pleats, belt, yoke, tiers, raglan = False, 0.0, 0, False, False, 0, yes(0.12)
    graphic = "none"
    if category is Category.TSHIRT:
        neckline = _one(rng, {"crew": 5, "v": 2, "scoop": 1, "boat": 0.6})
        sleeve, angle, cuff_width, closure = (
            between(15, 26),
            between(28, 55),
            between(15, 18),
            _one(rng, {"none": 9, "henley": 1}),
        )
        graphic = _one(rng, {"none": 3, "full": 3, "chest": 1.6, "both": 0.5})
        pockets = "chest" if graphic == "none" and yes(0.25) else "none"
        length = between(52, 74)
    elif category is Category.LONGSLEEVE:
        neckline, closure = _one(rng, {"crew": 4, "v": 1, "turtle": 1.5, "boat": 1}), _one(rng, {"none": 4, "henley": 1})
        closure = "none" if neckline in {"turtle", "boat"} else closure
        cuff, graphic = _one(rng, {"plain": 2, "rib": 1}), _one(rng, {"none": 4, "full": 1, "chest": 1})
    elif category is Category.POLO:
        neckline, closure, cuff = "polo", "henley", _one(rng, {"rib": 2, "plain": 1})
        sleeve, angle, cuff_width, graphic = between(18, 25), between(30, 50), between(14, 17), _one(rng, {"none": 2, "chest": 2})
    elif category is Category.SHIRT:
        neckline, closure, cuff, yoke, depth = "shirt", "buttons", "buttoned", True, between(5, 7)
        pockets, curve, length = _one(rng, {"none": 2, "chest": 2, "two-chest": 1.5}), between(2, 7), between(68, 80)
        if yes(0.3):
            sleeve, angle, cuff_width, cuff = between(20, 26), between(30, 48), between(16, 18), "plain"
    elif category is Category.BLOUSE:
        neckline, closure = (
            _one(rng, {"v": 3, "bow": 2, "scoop": 1.5, "boat": 1, "shirt": 1}),
            _one(rng, {"none": 3, "buttons": 2, "wrap": 1}),
        )
        puff, cuff, length, flare = between(0, 6), _one(rng, {"elastic": 2, "plain": 1}), between(54, 66), between(0, 5)
        sleeve, tiers = _one(rng, {between(20, 30): 1, between(40, 60): 2}), int(yes(0.2))
    elif category is Category.SWEATER:
        neckline, cuff, ribbed = _one(rng, {"crew": 4, "v": 2, "turtle": 2.2, "boat": 0.6}), "rib", True
        closure = "buttons" if neckline == "v" and yes(0.45) else "none"
        puff, raglan = between(0.5, 2.5), yes(0.3)
    elif category is Category.HOODIE:
        neckline, closure, cuff, ribbed = "hood", _one(rng, {"none": 2, "zip": 1.4}), "rib", True
        pockets, graphic, puff = "kangaroo", _one(rng, {"none": 2, "full": 2, "chest": 1, "back": 1}), between(0.5, 2)
        graphic = "chest" if closure == "zip" and graphic == "full" else graphic
        wide = between(17, 20)
    elif category is Category.JACKET:
        neckline = _one(rng, {"stand": 3, "shirt": 2.4, "hood": 1.2, "lapel": 2})
        closure = {"stand": "zip", "shirt": "buttons", "hood": "zip", "lapel": "buttons"}[neckline]  # type: ignore[assignment]
        pockets = {"stand": "slanted", "shirt": "two-chest", "hood": "slanted", "lapel": "flap"}[neckline]  # type: ignore[assignment]
        cuff, ribbed = ("rib", True) if neckline == "stand" and yes(0.5) else ("buttoned", False)
        quilt, length, yoke = (
            (between(5, 11), between(60, 72), False)
            if neckline in {"stand", "hood"} and yes(0.5)
            else (0.0, between(56, 72), yes(0.5))
        )
        puff, chest, shoulder = (2.5 if quilt else 1.0), chest + 2, shoulder + 1
    elif category is Category.COAT:
        neckline = _one(rng, {"lapel": 4, "stand": 1.2, "hood": 1.4, "shirt": 1})
        closure = _one(rng, {"buttons": 2, "double": 2}) if neckline != "hood" else "zip"
        pockets, cuff, length, flare = _one(rng, {"flap": 2, "slanted": 2}), "plain", between(88, 118), between(1, 8)
        belt, puff, chest = yes(0.4), 1.0, chest + 2
    elif category is Category.VEST:
        neckline, closure = _one(rng, {("stand", "zip"): 2, ("v", "buttons"): 2, ("hood", "zip"): 1, ("lapel", "buttons"): 0.6})  # type: ignore[assignment]
        sleeve, quilt = 0.0, (between(5, 10) if neckline in {"stand", "hood"} else 0.0)
        pockets, length, depth = "slanted" if quilt else "flap", between(56, 68), between(8, 14)
        shoulder -= 2
    elif category is Category.DRESS:
        neckline = _one(rng, {"scoop": 2, "v": 3, "crew": 1.5, "boat": 1.5, "shirt": 1.5, "straps": 1.8, "turtle": 0.4})
        closure = "buttons" if neckline == "shirt" else _one(rng, {"none": 5, "wrap": 1.0})
        length, flare, puff = between(82, 132), between(0, 24), between(0, 3.5)
        sleeve = 0.0 if neckline == "straps" else _one(rng, {0.0: 2, between(14, 24): 3, between(40, 58): 2})
        angle, cuff_width = (between(24, 45), between(12, 16)) if sleeve < 30 else (angle, cuff_width)
        belt, tiers, fitted, curve = yes(0.35), int(rng.choice([0, 0, 0, 1, 2])), yes(0.75), between(0, 3)
        pleats, chest, shoulder = (int(rng.integers(8, 18)) if yes(0.25) else 0), chest - 3, shoulder - 2
    if neckline == "straps":
        shoulder, depth = chest * 0.72, between(3, 8)
    if neckline == "v":
        depth = between(13, 21)
    elif neckline == "scoop":
        depth, neck = between(12, 17), between(9.5, 12)
    elif neckline == "boat":
        depth, neck = between(3, 5), between(12, 15)
    elif neckline in {"turtle", "stand"}:
        depth = 3.0
    waist_at = between(38, 43)
    waist = chest - (between(1.5, 3.5) if fitted else between(-0.5, 0.8))
    if category is Category.DRESS:
        waist = chest - between(3, 6.5) if fitted else chest + flare * 0.15
    return Top(
        neck=neck, shoulder=shoulder, drop=between(3, 5.5) if neckline != "straps" else 2.0, chest=chest,
        armpit=between(20, 24) if neckline != "straps" else between(10, 14), waist=waist, waist_at=waist_at,
        hem=chest + flare, length=length, hem_curve=curve, neck_depth=depth, sleeve=sleeve, sleeve_angle=angle, sleeve_width=wide,
        cuff_width=cuff_width, puff=puff, neckline=neckline, closure=closure, pockets=pockets, cuff=cuff, ribbed_hem=ribbed,
        quilt=quilt, pleats=pleats, belt=belt, yoke=yoke, graphic=graphic, raglan=raglan and sleeve > 0,  # type: ignore[arg-type]
        contrast_sleeve=category in {Category.TSHIRT, Category.LONGSLEEVE, Category.HOODIE, Category.JACKET} and yes(0.12),
        side_stripe=category in {Category.HOODIE, Category.LONGSLEEVE} and yes(0.12), buttons=int(rng.integers(4, 9)), tiers=tiers,
    )  # fmt: skip


def _legs(category: Category, rng: Rng) -> Legs:
    m = _Measures(rng)
    jeans = category is Category.JEANS
    short = category is Category.SHORTS
    waistband: Waist = "band" if jeans else _one(rng, {"band": 3, "drawstring": 1.4, "elastic": 0.8})
    rise = m.between(24, 32)
    knee = m.between(10.5, 14)
    hem = knee * m.between(0.72, 0.95) if m.yes(0.7) else knee * m.between(1.0, 1.35)
    waist = m.between(18, 22)
    return Legs(
        waist=waist, hip=waist + m.between(3, 6.5), hip_at=m.between(17, 22), rise=rise, length=rise + (m.between(9, 24) if short else m.between(62, 80)),
        knee=knee, hem=hem, gap=m.between(1.2, 6), waistband=waistband, jeans=jeans or (short and m.yes(0.3)),
        cargo=not jeans and m.yes(0.2), crease=not jeans and not short and m.yes(0.35), cuffed=m.yes(0.2),
        side_stripe=waistband == "drawstring" and m.yes(0.4), knee_tear=jeans and m.yes(0.18), loops=waistband == "band",
    )  # fmt: skip


def _skirt(rng: Rng) -> Skirt:
    m = _Measures(rng)
    waist = m.between(17, 21)
    hip = waist + m.between(3, 6)
    flared = m.yes(0.6)
    pleats = int(rng.integers(7, 20)) if m.yes(0.4) else 0
    jeans = not pleats and m.yes(0.2)
    return Skirt(
        waist=waist, hip=hip, hip_at=m.between(16, 22), hem=hip + (m.between(5, 24) if flared else m.between(-2.5, 1.5)), length=m.between(34, 86),
        hem_curve=m.between(0, 4) if flared else 0.5, waistband=_one(rng, {"band": 3, "elastic": 1.2}), pleats=pleats,
        buttons=int(rng.integers(4, 8)) if not pleats and m.yes(0.25) else 0, slit=not flared and m.yes(0.5),
        tiers=int(rng.integers(1, 4)) if flared and not pleats and m.yes(0.25) else 0, jeans=jeans,
    )  # fmt: skip


_FABRICS: dict[Category, dict[FabricName, float]] = {
    Category.TSHIRT: {"jersey": 1}, Category.LONGSLEEVE: {"jersey": 2, "rib": 1}, Category.POLO: {"jersey": 1, "canvas": 1},
    Category.SHIRT: {"canvas": 3, "linen": 1.5, "corduroy": 0.4, "satin": 0.3}, Category.BLOUSE: {"satin": 2, "linen": 1, "canvas": 1},
    Category.SWEATER: {"knit": 3, "rib": 1}, Category.HOODIE: {"fleece": 1}, Category.JACKET: {"canvas": 2, "leather": 1, "denim": 1.2, "corduroy": 0.6},
    Category.COAT: {"tweed": 2, "fleece": 2, "canvas": 1}, Category.VEST: {"canvas": 1, "tweed": 0.8, "satin": 0.6},
    Category.DRESS: {"satin": 1.2, "linen": 1.2, "jersey": 1.4, "canvas": 1}, Category.SKIRT: {"satin": 0.8, "linen": 1, "tweed": 0.6, "leather": 0.5, "corduroy": 0.4},
    Category.TROUSERS: {"canvas": 2, "linen": 1, "corduroy": 0.8, "tweed": 0.6, "jersey": 0.8}, Category.JEANS: {"denim": 1},
    Category.SHORTS: {"canvas": 1, "linen": 1, "jersey": 1},
}  # fmt: skip

_PRINTS: dict[Category, dict[PrintName, float]] = {
    Category.TSHIRT: _JERSEY, Category.LONGSLEEVE: _JERSEY, Category.POLO: _JERSEY, Category.SHIRT: _WOVEN, Category.BLOUSE: _DRAPED,
    Category.SWEATER: _KNITTED, Category.HOODIE: _JERSEY, Category.JACKET: _OUTER, Category.COAT: _OUTER, Category.VEST: _OUTER,
    Category.DRESS: _DRAPED, Category.SKIRT: _DRAPED, Category.TROUSERS: _SUITING, Category.JEANS: {"plain": 1}, Category.SHORTS: _WOVEN,
}  # fmt: skip


def style(rng: Rng, category: Category | None = None) -> Style:
    """Draw a style; `category` fixes its kind."""
    kind = category or _one(rng, _SHARES)
    cut: Top | Legs | Skirt
    if kind in {Category.TROUSERS, Category.JEANS, Category.SHORTS}:
        cut = _legs(kind, rng)
    elif kind is Category.SKIRT:
        cut = _skirt(rng)
    else:
        cut = _top(kind, rng)
    fabric = _one(rng, _FABRICS[kind])
    print_name = _one(rng, _PRINTS[kind])
    jeans = isinstance(cut, Legs | Skirt) and cut.jeans
    if jeans:
        fabric = "denim"
    denim = fabric == "denim"
    if denim or fabric == "leather":
        print_name = "plain"
    if (
        isinstance(cut, Top)
        and cut.graphic != "none"
        and print_name not in {"plain", "melange", "tie-dye"}
        and rng.random() < 0.8
    ):
        print_name = "plain"
    low, high = REPEATS[print_name]
    graphic: GraphicName = _one(
        rng, {"word": 3, "number": 1, "badge": 1.3, "emblem": 2, "landscape": 1.5, "bars": 1, "star": 0.6, "heart": 0.6}
    )
    return Style(
        category=kind, cut=cut, fabric=fabric, print_name=print_name, repeat_cm=float(low * (high / low) ** rng.random()),
        print_turn=float(rng.choice([0.0, 0.0, 0.0, 45.0])) if print_name in {"gingham", "tartan", "houndstooth", "dots"} else 0.0,
        graphic=graphic, denim=denim,
    )  # fmt: skip
