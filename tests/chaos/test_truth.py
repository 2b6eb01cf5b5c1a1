"""What the runs rest on: a plan of the promised size, and photos that the small embedder tells apart without doubt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.chaos.model import DUPLICATE, REVIEW, register
from tests.chaos.truth import SPOILED, Kind, photo, plan
from worker.embedding import PhotoEmbedder
from worker.events import PhotoLocation
from worker.imaging.decode import make_decoder
from worker.imaging.types import Photo, Pixels
from worker.settings import ImagingSettings, VisionSettings
from worker.vision import load_models

GARMENTS, SHOTS = 120, 3


def test_a_plan_has_the_size_asked_for_and_every_kind_of_arrival() -> None:
    planned = plan(2000, seed=3)
    kinds = Counter(each.kind for each in planned)
    assert len(planned) == len({each.arrival_id for each in planned}) == 2000
    assert all(kinds[kind] == round(2000 * share) for kind, share in SPOILED.items())
    together = Counter(each.together for each in planned if each.kind is Kind.GARMENT)
    assert {1, 2, 3} <= set(together.values())
    assert plan(2000, seed=3) == planned
    assert plan(2000, seed=4) != planned


def test_patterns_say_how_many_garments_are_new() -> None:
    planned = plan(2000, seed=3, patterns=((1.0, 1, 19),))
    garments = [each.garment for each in planned if each.kind is Kind.GARMENT]
    assert len(planned) == 2000
    assert len(garments) / len(set(garments)) == pytest.approx(20, rel=0.05)


def test_photos_of_one_garment_are_duplicates_and_photos_of_two_are_not_even_alike(tmp_path: Path) -> None:
    settings = register(tmp_path)
    vision = VisionSettings(
        segmenter=settings["INTAKE_VISION__SEGMENTER"],
        embedder=settings["INTAKE_VISION__EMBEDDER"],
        registry_dir=Path(settings["INTAKE_VISION__REGISTRY_DIR"]),
        cache_dir=tmp_path / "cache",
        threads=1,
    )
    models = load_models(vision)
    decoder = make_decoder(ImagingSettings(isolation="none", target_side=64))
    embedder = PhotoEmbedder(decoder, models.segmenter, models.embedder, models.crop_side)
    place = PhotoLocation(bucket="bucket", key="k")
    photos = [Photo(place, photo(garment, shot, 1)) for garment in range(GARMENTS) for shot in range(SHOTS)]
    pixels = [each for each in embedder.decode(photos) if isinstance(each, Pixels)]
    crops = [cut.crop for cut in embedder.cut_out(pixels, [None] * len(pixels)) if not isinstance(cut, Exception)]
    vectors = embedder.embed(crops).reshape(GARMENTS, SHOTS, -1)

    similar = np.einsum("asd,btd->abst", vectors, vectors)
    same = similar[np.arange(GARMENTS), np.arange(GARMENTS)]
    others = similar[~np.eye(GARMENTS, dtype=bool)]
    assert same.min() > DUPLICATE + 0.05
    assert others.max() < REVIEW - 0.15
