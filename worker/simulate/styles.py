"""Styles: for each category which cuts, fabrics and prints occur, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

from worker.simulate.arrays import Rng
from worker.simulate.bottom_styles import draw_legs, draw_skirt
from worker.simulate.bottoms import Legs, Skirt
from worker.simulate.categories import Category
from worker.simulate.fabric import FabricName
from worker.simulate.graphics import GraphicName
from worker.simulate.measures import Measures
from worker.simulate.prints import REPEATS, PrintName
from worker.simulate.top_styles import draw_top
from worker.simulate.tops import Top

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
    m = Measures(rng)
    kind = category or m.one(_SHARES)
    cut: Top | Legs | Skirt
    if kind in {Category.TROUSERS, Category.JEANS, Category.SHORTS}:
        cut = draw_legs(kind, m)
    elif kind is Category.SKIRT:
        cut = draw_skirt(m)
    else:
        cut = draw_top(kind, m)
    fabric = m.one(_FABRICS[kind])
    print_name = m.one(_PRINTS[kind])
    jeans = isinstance(cut, Legs | Skirt) and cut.jeans
    if jeans:
        fabric = "denim"
    denim = fabric == "denim"
    if denim or fabric == "leather":
        print_name = "plain"
    if isinstance(cut, Top) and cut.graphic != "none" and print_name not in {"plain", "melange", "tie-dye"} and m.yes(0.8):
        print_name = "plain"
    low, high = REPEATS[print_name]
    graphic: GraphicName = m.one(
        {"word": 3, "number": 1, "badge": 1.3, "emblem": 2, "landscape": 1.5, "bars": 1, "star": 0.6, "heart": 0.6}
    )
    return Style(
        category=kind, cut=cut, fabric=fabric, print_name=print_name, repeat_cm=float(low * (high / low) ** m.between(0, 1)),
        print_turn=float(rng.choice([0.0, 0.0, 0.0, 45.0])) if print_name in {"gingham", "tartan", "houndstooth", "dots"} else 0.0,
        graphic=graphic, denim=denim,
    )  # fmt: skip
