"""Crops grouped by article."""

from __future__ import annotations

import numpy as np

from worker.lab.training.articles import group, neighbours
from worker.lab.training.crop_photos import CropPhoto
from worker.lab.training.crops import Crops

SIDE = 24


def shop(article: str, view: str, flags: tuple[str, ...] = ()) -> CropPhoto:
    return CropPhoto(
        "luma", f"{article}_{view}", "Hoodie", "development", article, article.split("-", maxsplit=1)[0], view, flags=flags
    )


def phone(name: str, sender: int) -> CropPhoto:
    return CropPhoto("clothing", name, "Dress", "development", sender=sender)


def crops_of(*photos: CropPhoto) -> Crops:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (len(photos), SIDE, SIDE, 3), dtype=np.uint8)
    return Crops(rgb, np.full(rgb.shape[:3], 255, np.uint8), photos, "digest")


def test_photos_of_one_article_are_together_and_its_main_view_is_first() -> None:
    articles = group(crops_of(shop("mh01-red", "back"), shop("mh01-red", "main"), shop("mh01-red", "alt1"))).articles
    assert [article.photos for article in articles] == [(1, 0, 2)]
    assert articles[0].is_shop


def test_colourways_are_other_articles_of_the_same_style() -> None:
    grouped = group(crops_of(shop("mh01-red", "main"), shop("mh01-blue", "main"), shop("mh02-red", "main")))
    assert len(grouped.articles) == 3
    assert sorted(len(own) for own in grouped.by_style.values()) == [1, 2]


def test_every_phone_photo_is_a_garment_of_its_own_also_of_one_sender() -> None:
    grouped = group(crops_of(phone("a", 7), phone("b", 7)))
    assert len(grouped.articles) == 2
    assert not any(article.is_shop for article in grouped.articles)
    assert all(len(own) == 1 for own in grouped.by_style.values())


def test_photos_without_a_garment_are_left_out() -> None:
    grouped = group(crops_of(shop("mh01-red", "main"), shop("mh01-red", "alt1", ("garment-not-found",)), phone("a", 1)))
    assert [len(article.photos) for article in grouped.articles] == [1, 1]


def test_the_provenance_counts_what_was_grouped() -> None:
    made_of = group(crops_of(shop("mh01-red", "main"), phone("a", 1), phone("b", 2))).provenance
    assert (made_of["articles"], made_of["shop_articles"]) == (3, 1)
    assert made_of["photos_by_source"] == {"clothing": 2, "luma": 1}
    assert made_of["crops_sha256"] == "digest"


def test_neighbours_are_those_that_look_alike_and_never_the_picture_itself() -> None:
    rng = np.random.default_rng(1)
    bases = rng.integers(0, 255, (3, SIDE, SIDE, 3)).astype(np.int64)
    pictures = [np.clip(base + rng.integers(-9, 9, base.shape), 0, 255).astype(np.uint8) for base in bases for _ in range(3)]
    for at, found in enumerate(neighbours(pictures, 2)):
        assert set(found) == {other for other in range(9) if other // 3 == at // 3 and other != at}


def test_there_are_no_more_neighbours_than_pictures() -> None:
    pictures = [np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 9, np.uint8)]
    assert neighbours(pictures, 8) == ((1,), (0,))
