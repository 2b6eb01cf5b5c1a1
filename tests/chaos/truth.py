"""Arrivals whose outcome is known before anything is sent: new garments, more photos of them, twins at one instant, spoiled ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from worker.imaging.decode import encode_jpeg

SQUARES = 8
PIXELS = 8  # of a square's side
DARK, LIGHT = 35, 220


class Kind(StrEnum):
    """What an arrival is, and so what must become of it."""

    GARMENT = "garment"  # insert or alert
    CORRUPT = "corrupt"  # dead letter photo-corrupt
    MISSING = "missing"  # dead letter photo-missing
    UNREADABLE = "unreadable"  # dead letter event-not-json


# Share of arrivals; the rest are garments.
SPOILED = {Kind.CORRUPT: 0.03, Kind.MISSING: 0.02, Kind.UNREADABLE: 0.02}
REASONS = {Kind.CORRUPT: "photo-corrupt", Kind.MISSING: "photo-missing", Kind.UNREADABLE: "event-not-json"}
# How garments arrive: once, twice or more with others between, or as a pair or triple at one instant. (weight, arrivals at once, later)
Patterns = tuple[tuple[float, int, int], ...]
PATTERNS: Patterns = ((0.30, 1, 0), (0.30, 1, 1), (0.10, 1, 3), (0.20, 2, 0), (0.05, 3, 0), (0.05, 2, 1))


@dataclass(frozen=True, slots=True)
class Planned:
    """One arrival. `garment` and `shot` name its photo; `together` is the number of the group sent at one instant."""

    arrival_id: str
    kind: Kind
    garment: int
    shot: int
    together: int


def plan(arrivals: int, seed: int, name: str = "arrival", patterns: Patterns = PATTERNS) -> list[Planned]:
    """`arrivals` planned arrivals in the order in which they are sent; their ids begin with `name`, garments arrive as `patterns` say."""
    rng = random.Random(seed)
    groups: list[tuple[float, list[tuple[Kind, int, int]]]] = []
    planned, garment = 0, 0
    for kind, share in SPOILED.items():
        for _ in range(round(arrivals * share)):
            groups.append((rng.random(), [(kind, -1, 0)]))
            planned += 1
    while planned < arrivals:
        _, at_once, later = rng.choices(patterns, [weight for weight, _, _ in patterns])[0]
        at_once = min(at_once, arrivals - planned)
        later = min(later, arrivals - planned - at_once)
        at = rng.random()
        groups.append((at, [(Kind.GARMENT, garment, shot) for shot in range(at_once)]))
        groups += [(rng.uniform(at, 1.0), [(Kind.GARMENT, garment, at_once + shot)]) for shot in range(later)]
        planned += at_once + later
        garment += 1
    ordered = sorted(groups, key=lambda group: group[0])
    return [
        Planned(f"{name}-{together:05d}-{index}", kind, number, shot, together)
        for together, (_, members) in enumerate(ordered)
        for index, (kind, number, shot) in enumerate(members)
    ]


def photo(garment: int, shot: int, seed: int) -> bytes:
    """A photo of a garment: its pattern of squares, with the light and noise of this shot, as JPEG."""
    pattern = np.random.default_rng((seed, garment)).integers(0, 2, (SQUARES, SQUARES, 3))
    rgb = np.where(pattern == 1, LIGHT, DARK).repeat(PIXELS, 0).repeat(PIXELS, 1).astype(np.float32)
    rng = np.random.default_rng((seed, garment, shot))
    shown = rgb * rng.uniform(0.96, 1.04) + rng.normal(0.0, 4.0, rgb.shape)
    return encode_jpeg(np.ascontiguousarray(np.clip(shown, 0, 255), dtype=np.uint8), int(rng.integers(80, 96)))
