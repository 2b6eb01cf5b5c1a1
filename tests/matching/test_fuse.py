"""Hits of several photos become articles."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.matching.make import CALIBRATION, PLAN, article, hit, memory, noisy_photo_of, points_of
from worker.catalogue.protocol import Hit, PointState
from worker.events import Attributes, derived_id
from worker.matching.fuse import fuse, margins

HITS = st.builds(
    lambda name, view, similarity, state, pending_by: Hit(
        derived_id("hit", name, view),
        similarity,
        name,
        view,
        f"s3://studio/{name}/{view}.jpg",
        state,
        Attributes(),
        f"arrival-of-{name}" if state is PointState.PENDING or pending_by else None,
    ),
    st.sampled_from([f"article-{n}" for n in range(8)]),
    st.sampled_from(["front", "back", "label"]),
    st.floats(-1.001, 1.001),
    st.sampled_from(PointState),
    st.booleans(),
)
PHOTOS = st.lists(st.lists(HITS, max_size=12), max_size=4)


def test_an_article_counts_by_its_best_pair_of_photos() -> None:
    hits = [
        [hit("shirt", 0.5), hit("coat", 0.6)],
        [hit("coat", 0.4, view="back"), hit("shirt", 0.9, view="back")],
    ]

    shirt, coat = fuse(hits, CALIBRATION)

    assert (shirt.article_id, shirt.similarity, shirt.arrival_photo, shirt.article_view) == ("shirt", 0.9, 1, "back")
    assert (coat.article_id, coat.similarity, coat.arrival_photo, coat.article_view) == ("coat", 0.6, 0, "front")
    assert shirt.article_location == "s3://studio/shirt/back.jpg"
    assert shirt.probability == CALIBRATION.probability(0.9)


def test_equal_similarities_stand_in_the_order_of_the_article_ids() -> None:
    assert [one.article_id for one in fuse([[hit("c", 0.5), hit("a", 0.5), hit("b", 0.5)]], CALIBRATION)] == ["a", "b", "c"]


def test_no_photo_and_no_hit_are_no_candidate() -> None:
    assert fuse([], CALIBRATION) == fuse([[], []], CALIBRATION) == ()


def test_a_pending_article_names_its_arrival() -> None:
    pending, loaded = fuse([[hit("twin", 0.9, pending="arrival-7"), hit("shirt", 0.5)]], CALIBRATION)

    assert (pending.pending_arrival, loaded.pending_arrival) == ("arrival-7", None)


def test_an_article_with_one_settled_photo_is_settled() -> None:
    hits = [[hit("twin", 0.9, pending="arrival-7"), hit("twin", 0.8, view="back", arrival="arrival-7")]]

    [candidate] = fuse(hits, CALIBRATION)

    assert (candidate.similarity, candidate.pending_arrival) == (0.9, None)


def test_a_cosine_that_rounding_carried_past_one_is_one() -> None:
    [candidate] = fuse([[hit("shirt", 1.0000002)]], CALIBRATION)

    assert candidate.similarity == 1.0


def test_margins_are_what_each_is_ahead_of_the_next() -> None:
    candidates = fuse([[hit("a", 0.9), hit("b", 0.5), hit("c", 0.25)]], CALIBRATION)

    assert margins(candidates) == pytest.approx((0.4, 0.25, None))
    assert margins(()) == ()


@given(PHOTOS)
def test_every_article_comes_once_with_its_best_similarity_in_a_stable_order(photos: list[list[Hit]]) -> None:
    candidates = fuse(photos, CALIBRATION)

    all_hits = [(n, one) for n, hits in enumerate(photos) for one in hits]
    assert {one.article_id for one in candidates} == {one.article_id for _, one in all_hits}
    assert len({one.article_id for one in candidates}) == len(candidates)
    for one, after in pairwise(candidates):
        assert (-one.similarity, one.article_id) < (-after.similarity, after.article_id)
    for candidate in candidates:
        mine = [(n, one) for n, one in all_hits if one.article_id == candidate.article_id]
        best = max(one.similarity for _, one in mine)
        assert candidate.similarity == max(-1.0, min(1.0, best))
        assert any(
            one.similarity == best
            and (n, one.view, one.location)
            == (
                candidate.arrival_photo,
                candidate.article_view,
                candidate.article_location,
            )
            for n, one in mine
        )
        assert (candidate.pending_arrival is None) == any(one.state is PointState.SETTLED for _, one in mine)


@given(PHOTOS, st.randoms(use_true_random=False))
def test_the_order_in_which_hits_come_changes_nothing(photos: list[list[Hit]], shuffled: random.Random) -> None:
    # One point has one state and one similarity to one photo: the same point twice in one answer is no case.
    once = [list({one.point_id: one for one in hits}.values()) for hits in photos]
    other = [list(hits) for hits in once]
    for hits in other:
        shuffled.shuffle(hits)

    assert fuse(once, CALIBRATION) == fuse(other, CALIBRATION)


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3))
def test_two_arrivals_have_the_same_similarity_whichever_asks(seed: int, mine: int, theirs: int) -> None:
    rng = np.random.default_rng(seed)
    one = [noisy_photo_of(int(rng.integers(4)), int(rng.integers(1_000))) for _ in range(mine)]
    two = [noisy_photo_of(int(rng.integers(4)), int(rng.integers(1_000))) for _ in range(theirs)]
    catalogue = memory()
    catalogue.upsert([*points_of("one", one), *points_of("two", two)])

    answers = [catalogue.search(PLAN.queries(name, vectors, Attributes())) for name, vectors in (("one", one), ("two", two))]
    [from_one], [from_two] = (fuse(hits, CALIBRATION) for hits in answers)

    assert (from_one.article_id, from_two.article_id) == ("article-two", "article-one")
    assert from_one.similarity == pytest.approx(from_two.similarity, abs=1e-6)


def test_a_loaded_article_is_found_by_any_of_its_views() -> None:
    catalogue = memory()
    catalogue.upsert([article("shirt", noisy_photo_of(1, 1)), article("shirt", noisy_photo_of(2, 1), view="back")])

    [candidate] = fuse(catalogue.search(PLAN.queries("a", [noisy_photo_of(2, 5)], Attributes())), CALIBRATION)

    assert candidate.article_view == "back"
