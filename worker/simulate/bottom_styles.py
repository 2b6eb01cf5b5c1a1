"""Which cuts of trousers, shorts and skirts occur."""

from __future__ import annotations

from worker.simulate.bottoms import Legs, Skirt, Waist
from worker.simulate.categories import Category
from worker.simulate.measures import Measures


def draw_legs(category: Category, m: Measures) -> Legs:
    """Trousers, jeans or shorts."""
    jeans = category is Category.JEANS
    short = category is Category.SHORTS
    waistband: Waist = "band" if jeans else m.one({"band": 3, "drawstring": 1.4, "elastic": 0.8})
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


def draw_skirt(m: Measures) -> Skirt:
    """A skirt."""
    waist = m.between(17, 21)
    hip = waist + m.between(3, 6)
    flared = m.yes(0.6)
    pleats = int(m.rng.integers(7, 20)) if m.yes(0.4) else 0
    jeans = not pleats and m.yes(0.2)
    return Skirt(
        waist=waist, hip=hip, hip_at=m.between(16, 22), hem=hip + (m.between(5, 24) if flared else m.between(-2.5, 1.5)), length=m.between(34, 86),
        hem_curve=m.between(0, 4) if flared else 0.5, waistband=m.one({"band": 3, "elastic": 1.2}), pleats=pleats,
        buttons=int(m.rng.integers(4, 8)) if not pleats and m.yes(0.25) else 0, slit=not flared and m.yes(0.5),
        tiers=int(m.rng.integers(1, 4)) if flared and not pleats and m.yes(0.25) else 0, jeans=jeans,
    )  # fmt: skip
