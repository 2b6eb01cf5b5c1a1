"""Which cuts of tops and dresses occur: a draft with common measures, and what each category makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.simulate.categories import Category
from worker.simulate.measures import Measures
from worker.simulate.tops import Closure, Cuff, Graphic, Neck, Pockets, Top


@dataclass(slots=True)
class _Draft:
    """Measures of an ordinary top (centimetres), to be changed by its category. Names as in `Top`."""

    neck: float
    shoulder: float
    chest: float
    fitted: bool
    sleeve: float
    angle: float
    length: float
    flare: float
    curve: float
    cuff_width: float
    depth: float
    raglan: bool
    neckline: Neck = "crew"
    closure: Closure = "none"
    pockets: Pockets = "none"
    cuff: Cuff = "plain"
    graphic: Graphic = "none"
    puff: float = 0.0
    ribbed: bool = False
    quilt: float = 0.0
    pleats: int = 0
    belt: bool = False
    yoke: bool = False
    tiers: int = 0


def _draft(m: Measures) -> _Draft:
    between, yes = m.between, m.yes
    return _Draft(
        neck=between(7, 9.5), shoulder=between(20, 24), chest=between(24, 29), fitted=yes(0.35), sleeve=between(56, 63),
        angle=between(14, 30), length=between(62, 72), flare=between(-1.5, 1.5), curve=between(0, 1.2),
        cuff_width=between(8.5, 10.5), depth=between(7, 11), raglan=yes(0.12),
    )  # fmt: skip


def _tshirt(d: _Draft, m: Measures) -> None:
    d.neckline = m.one({"crew": 5, "v": 2, "scoop": 1, "boat": 0.6})
    d.sleeve, d.angle, d.cuff_width = m.between(15, 26), m.between(28, 55), m.between(15, 18)
    d.closure = m.one({"none": 9, "henley": 1})
    d.graphic = m.one({"none": 3, "full": 3, "chest": 1.6, "both": 0.5})
    d.pockets = "chest" if d.graphic == "none" and m.yes(0.25) else "none"
    d.length = m.between(52, 74)


def _longsleeve(d: _Draft, m: Measures) -> None:
    d.neckline = m.one({"crew": 4, "v": 1, "turtle": 1.5, "boat": 1})
    d.closure = m.one({"none": 4, "henley": 1})
    if d.neckline in {"turtle", "boat"}:
        d.closure = "none"
    d.cuff = m.one({"plain": 2, "rib": 1})
    d.graphic = m.one({"none": 4, "full": 1, "chest": 1})


def _polo(d: _Draft, m: Measures) -> None:
    d.neckline, d.closure = "polo", "henley"
    d.cuff = m.one({"rib": 2, "plain": 1})
    d.sleeve, d.angle, d.cuff_width = m.between(18, 25), m.between(30, 50), m.between(14, 17)
    d.graphic = m.one({"none": 2, "chest": 2})


def _shirt(d: _Draft, m: Measures) -> None:
    d.neckline, d.closure, d.cuff, d.yoke, d.depth = "shirt", "buttons", "buttoned", True, m.between(5, 7)
    d.pockets = m.one({"none": 2, "chest": 2, "two-chest": 1.5})
    d.curve, d.length = m.between(2, 7), m.between(68, 80)
    if m.yes(0.3):
        d.sleeve, d.angle, d.cuff_width, d.cuff = m.between(20, 26), m.between(30, 48), m.between(16, 18), "plain"


def _blouse(d: _Draft, m: Measures) -> None:
    d.neckline = m.one({"v": 3, "bow": 2, "scoop": 1.5, "boat": 1, "shirt": 1})
    d.closure = m.one({"none": 3, "buttons": 2, "wrap": 1})
    d.puff = m.between(0, 6)
    d.cuff = m.one({"elastic": 2, "plain": 1})
    d.length, d.flare = m.between(54, 66), m.between(0, 5)
    d.sleeve = m.one({m.between(20, 30): 1, m.between(40, 60): 2})
    d.tiers = int(m.yes(0.2))


def _sweater(d: _Draft, m: Measures) -> None:
    d.neckline, d.cuff, d.ribbed = m.one({"crew": 4, "v": 2, "turtle": 2.2, "boat": 0.6}), "rib", True
    d.closure = "buttons" if d.neckline == "v" and m.yes(0.45) else "none"
    d.puff, d.raglan = m.between(0.5, 2.5), m.yes(0.3)


def _hoodie(d: _Draft, m: Measures) -> None:
    d.neckline, d.cuff, d.ribbed, d.pockets = "hood", "rib", True, "kangaroo"
    d.closure = m.one({"none": 2, "zip": 1.4})
    d.graphic = m.one({"none": 2, "full": 2, "chest": 1, "back": 1})
    if d.closure == "zip" and d.graphic == "full":
        d.graphic = "chest"
    d.puff = m.between(0.5, 2)


# What goes with a jacket's neckline.
_JACKETS: dict[Neck, tuple[Closure, Pockets]] = {
    "stand": ("zip", "slanted"), "shirt": ("buttons", "two-chest"), "hood": ("zip", "slanted"), "lapel": ("buttons", "flap"),
}  # fmt: skip


def _jacket(d: _Draft, m: Measures) -> None:
    d.neckline = m.one({"stand": 3, "shirt": 2.4, "hood": 1.2, "lapel": 2})
    d.closure, d.pockets = _JACKETS[d.neckline]
    d.cuff, d.ribbed = ("rib", True) if d.neckline == "stand" and m.yes(0.5) else ("buttoned", False)
    if d.neckline in {"stand", "hood"} and m.yes(0.5):
        d.quilt, d.length = m.between(5, 11), m.between(60, 72)
    else:
        d.length, d.yoke = m.between(56, 72), m.yes(0.5)
    d.puff = 2.5 if d.quilt else 1.0
    d.chest += 2
    d.shoulder += 1


def _coat(d: _Draft, m: Measures) -> None:
    d.neckline = m.one({"lapel": 4, "stand": 1.2, "hood": 1.4, "shirt": 1})
    d.closure = m.one({"buttons": 2, "double": 2}) if d.neckline != "hood" else "zip"
    d.pockets = m.one({"flap": 2, "slanted": 2})
    d.length, d.flare = m.between(88, 118), m.between(1, 8)
    d.belt, d.puff = m.yes(0.4), 1.0
    d.chest += 2


def _vest(d: _Draft, m: Measures) -> None:
    kinds: dict[tuple[Neck, Closure], float] = {
        ("stand", "zip"): 2, ("v", "buttons"): 2, ("hood", "zip"): 1, ("lapel", "buttons"): 0.6,
    }  # fmt: skip
    d.neckline, d.closure = m.one(kinds)
    d.sleeve, d.quilt = 0.0, (m.between(5, 10) if d.neckline in {"stand", "hood"} else 0.0)
    d.pockets, d.length, d.depth = "slanted" if d.quilt else "flap", m.between(56, 68), m.between(8, 14)
    d.shoulder -= 2


def _dress(d: _Draft, m: Measures) -> None:
    d.neckline = m.one({"scoop": 2, "v": 3, "crew": 1.5, "boat": 1.5, "shirt": 1.5, "straps": 1.8, "turtle": 0.4})
    d.closure = "buttons" if d.neckline == "shirt" else m.one({"none": 5, "wrap": 1.0})
    d.length, d.flare, d.puff = m.between(82, 132), m.between(0, 24), m.between(0, 3.5)
    d.sleeve = 0.0 if d.neckline == "straps" else m.one({0.0: 2, m.between(14, 24): 3, m.between(40, 58): 2})
    if d.sleeve < 30:
        d.angle, d.cuff_width = m.between(24, 45), m.between(12, 16)
    d.belt, d.tiers, d.fitted, d.curve = m.yes(0.35), int(m.rng.choice([0, 0, 0, 1, 2])), m.yes(0.75), m.between(0, 3)
    d.pleats = int(m.rng.integers(8, 18)) if m.yes(0.25) else 0
    d.chest -= 3
    d.shoulder -= 2


_CHANGES: dict[Category, Callable[[_Draft, Measures], None]] = {
    Category.TSHIRT: _tshirt, Category.LONGSLEEVE: _longsleeve, Category.POLO: _polo, Category.SHIRT: _shirt,
    Category.BLOUSE: _blouse, Category.SWEATER: _sweater, Category.HOODIE: _hoodie, Category.JACKET: _jacket,
    Category.COAT: _coat, Category.VEST: _vest, Category.DRESS: _dress,
}  # fmt: skip


def _fit_neckline(d: _Draft, m: Measures) -> None:
    """Depth and width of the neck opening, as the neckline wants them."""
    if d.neckline == "straps":
        d.shoulder, d.depth = d.chest * 0.72, m.between(3, 8)
    elif d.neckline == "v":
        d.depth = m.between(13, 21)
    elif d.neckline == "scoop":
        d.depth, d.neck = m.between(12, 17), m.between(9.5, 12)
    elif d.neckline == "boat":
        d.depth, d.neck = m.between(3, 5), m.between(12, 15)
    elif d.neckline in {"turtle", "stand"}:
        d.depth = 3.0


def draw_top(category: Category, m: Measures) -> Top:
    """A top or a dress."""
    d = _draft(m)
    _CHANGES[category](d, m)
    _fit_neckline(d, m)
    waist_at = m.between(38, 43)
    waist = d.chest - (m.between(1.5, 3.5) if d.fitted else m.between(-0.5, 0.8))
    if category is Category.DRESS:
        waist = d.chest - m.between(3, 6.5) if d.fitted else d.chest + d.flare * 0.15
    straps = d.neckline == "straps"
    return Top(
        neck=d.neck, shoulder=d.shoulder, drop=2.0 if straps else m.between(3, 5.5), chest=d.chest,
        armpit=m.between(10, 14) if straps else m.between(20, 24), waist=waist, waist_at=waist_at, hem=d.chest + d.flare,
        length=d.length, hem_curve=d.curve, neck_depth=d.depth, sleeve=d.sleeve, sleeve_angle=d.angle, cuff_width=d.cuff_width,
        puff=d.puff, neckline=d.neckline, closure=d.closure, pockets=d.pockets, cuff=d.cuff, ribbed_hem=d.ribbed, quilt=d.quilt,
        pleats=d.pleats, belt=d.belt, yoke=d.yoke, graphic=d.graphic, raglan=d.raglan and d.sleeve > 0,
        contrast_sleeve=category in {Category.TSHIRT, Category.LONGSLEEVE, Category.HOODIE, Category.JACKET} and m.yes(0.12),
        side_stripe=category in {Category.HOODIE, Category.LONGSLEEVE} and m.yes(0.12), buttons=int(m.rng.integers(4, 9)),
        tiers=d.tiers,
    )  # fmt: skip
