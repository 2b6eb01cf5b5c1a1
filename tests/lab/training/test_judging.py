"""How an embedder is judged while it learns."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from worker.lab.training.crop_photos import CropPhoto
from worker.lab.training.crops import Crops
from worker.lab.training.judging import CATALOGUE, HARSH, PHONE, UNSEEN, WEIGHTS, Judged, figures_of, judged, photographed

SIDE = 64
BLANK = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)


def item(kind: str, article: str = "") -> Judged:
    return Judged(kind, article, *BLANK)


def crops_of(*photos: CropPhoto) -> Crops:
    rgb = np.full((len(photos), SIDE, SIDE, 3), 255, np.uint8)
    mask = np.zeros((len(photos), SIDE, SIDE), np.uint8)
    rgb[:, 12:52, 16:48] = (30, 90, 160)
    mask[:, 12:52, 16:48] = 255
    return Crops(rgb, mask, photos, "digest")


def shop(view: str, part: str = "held-out") -> CropPhoto:
    return CropPhoto("luma", f"mh01-red_{view}", "Hoodie", part, "mh01-red", "mh01", view)  # type: ignore[arg-type]


def test_figures_agree_with_a_slow_obvious_reference() -> None:
    rng = np.random.default_rng(0)
    names = [f"a{n}" for n in range(12)]
    items = [item(CATALOGUE, name) for name in names]
    items += [item(kind, names[int(rng.integers(12))]) for kind in (PHONE, HARSH, "back", "other") for _ in range(15)]
    items += [item(UNSEEN) for _ in range(40)]
    vectors = rng.normal(size=(len(items), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    figures = figures_of(items, vectors)

    def best(at: int) -> tuple[float, str]:
        return max((float(vectors[at] @ vectors[other]), names[other]) for other in range(12))

    limit = float(np.quantile([best(at)[0] for at, each in enumerate(items) if each.kind == UNSEEN], 0.99))
    assert figures["limit"] == pytest.approx(limit, abs=1e-6)
    for kind in (PHONE, HARSH, "back", "other"):
        own = [at for at, each in enumerate(items) if each.kind == kind]
        right = [at for at in own if best(at)[1] == items[at].article]
        assert figures[kind] == pytest.approx(len(right) / len(own))
        if kind == PHONE:
            assert figures["found"] == pytest.approx(sum(best(at)[0] > limit for at in right) / len(own))
    wanted = {name: weight for name, weight in WEIGHTS.items() if name in figures}
    assert figures["score"] == pytest.approx(
        sum(figures[name] * weight for name, weight in wanted.items()) / sum(wanted.values())
    )


def test_a_query_whose_article_is_not_in_the_catalogue_does_not_count() -> None:
    items = [item(CATALOGUE, "a"), item(PHONE, "a"), item(PHONE, "b")]
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert figures_of(items, vectors)[PHONE] == 1.0


def test_held_out_fronts_and_backs_are_photographed_and_nothing_else_is() -> None:
    crops = crops_of(shop("main"), shop("back"), shop("alt1"), shop("main", "development"))
    kinds = [[each.kind for each in judged(crops, row, 0)] for row in range(4)]
    assert kinds == [[CATALOGUE, PHONE, HARSH], ["back", "phone_back", "harsh_back"], ["other"], [CATALOGUE]]


def test_a_phone_photo_is_an_unseen_garment() -> None:
    [found] = judged(crops_of(CropPhoto("clothing", "x", "Dress", "held-out", sender=3)), 0, 0)
    assert (found.kind, found.article) == (UNSEEN, "")


def test_a_shot_is_the_same_every_time_and_of_the_crops_side() -> None:
    crops = crops_of(shop("main"))
    first = photographed(crops.rgb[0], crops.mask[0], crops.photos[0], PHONE, 1)
    again = photographed(crops.rgb[0], crops.mask[0], crops.photos[0], PHONE, 1)
    assert first is not None
    assert again is not None
    assert first[0].shape == (SIDE, SIDE, 3)
    assert np.array_equal(first[0], again[0])


def test_an_empty_mask_is_not_photographed() -> None:
    crops = crops_of(shop("main"))
    assert photographed(crops.rgb[0], np.zeros((SIDE, SIDE), np.uint8), crops.photos[0], HARSH, 0) is None
