"""The small parts: records, queries, patience, what an arrival finds of itself, twins in a batch, settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.matching.make import CALIBRATION, hit, noisy_photo_of, photo_of, points_of, request
from tests.matching.memory import MemoryCatalogue
from worker.catalogue.protocol import Point, PointState
from worker.errors import EventRefused, Reason
from worker.events import Attributes
from worker.matching.fuse import fuse
from worker.matching.patience import FORGET_AFTER_BOUNDS, Patience
from worker.matching.peers import own_points, sight, twins_before
from worker.matching.queries import SearchPlan
from worker.matching.race import Own, Sight
from worker.matching.record import Record
from worker.matching.settle import Settler
from worker.settings import CatalogueSettings, MatchingSettings

# Records


@given(st.text(), st.none() | st.text())
def test_a_record_gives_back_the_event_character_for_character(body_hash: str, event: str | None) -> None:
    record = Record(body_hash, event)

    assert Record.from_text(record.to_text(), "a") == record


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "1", "{}", '{"body_hash": 1, "event": null}', '{"body_hash": "x", "event": 2}']
)
def test_what_is_no_record_is_refused(text: str | None) -> None:
    with pytest.raises(EventRefused, match="arrival a-1") as caught:
        Record.from_text(text, "a-1")
    assert caught.value.reason is Reason.EVENT_CONFLICT


# Queries


def test_each_photo_is_one_query_that_leaves_out_the_arrival_itself() -> None:
    vectors = [photo_of(1), photo_of(2)]

    queries = SearchPlan(40).queries("a", vectors, Attributes(brand="b"))

    assert [(query.limit, query.exclude_arrival, dict(query.attributes)) for query in queries] == [(40, "a", {})] * 2
    assert all(query.vector is vector for query, vector in zip(queries, vectors, strict=True))


def test_only_configured_attributes_that_the_arrival_has_narrow_a_search() -> None:
    settings = CatalogueSettings(filter_attributes=("gender", "category"), limit=10, points_per_article=4)

    [query] = SearchPlan.from_settings(settings).queries("a", [photo_of(1)], Attributes(gender="women", colour="red"))

    assert (query.limit, dict(query.attributes)) == (40, {"gender": "women"})


# Patience


def test_patience_ends_at_the_bound_counted_from_the_first_wait() -> None:
    now = [0.0]
    patience = Patience(30.0, lambda: now[0])

    ends = []
    for now[0] in (100.0, 115.0, 129.9, 130.0):
        ends.append(patience.wait("a"))

    assert ends == [False, False, False, True]
    assert patience.waited("a") == 30.0
    assert patience.waited("b") == 0.0


def test_an_arrival_that_was_decided_or_went_elsewhere_begins_anew() -> None:
    now = [0.0]
    patience = Patience(30.0, lambda: now[0])
    patience.wait("decided")
    patience.wait("elsewhere")
    patience.forget("decided")
    now[0] = 31.0
    assert patience.wait("decided") is False

    now[0] = 31.0 + 30.0 * FORGET_AFTER_BOUNDS
    assert patience.wait("elsewhere") is False


# What a search shows


def test_sight_tells_settled_peers_smaller_and_larger_pending_ones() -> None:
    found = fuse(
        [
            [
                hit("x", 0.9, pending="a"),
                hit("y", 0.8, pending="z"),
                hit("w", 0.75, pending="b"),
                hit("far", 0.3),
                hit("v", 0.2, pending="c"),
            ]
        ],
        CALIBRATION,
    )

    assert sight(found, "m", 0.7) == Sight(settled=False, smaller=("a", "b"), larger=("z",))
    assert sight(found, "m", 0.95) == Sight()
    assert sight(found, "a", 0.7) == Sight(settled=False, smaller=(), larger=("b", "z"))
    assert sight(fuse([[hit("shirt", 0.7)]], CALIBRATION), "m", 0.7) == Sight(settled=True)


def stored(state: PointState, record: Record | None, *numbers: int) -> list[Point]:
    every = points_of("a", [photo_of(1), photo_of(2), photo_of(3)])
    return [replace(every[n], state=state, record=record.to_text() if record else None) for n in numbers]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], (Own.NONE, None)),
        (stored(PointState.PENDING, Record("h"), 0, 1), (Own.PENDING, None)),
        (stored(PointState.PENDING, Record("h"), 1), (Own.PART_PENDING, None)),
        (stored(PointState.SETTLED, Record("h", "e"), 0, 1), (Own.SETTLED, "e")),
        (stored(PointState.SETTLED, Record("h", "e"), 0, 1, 2), (Own.SETTLED, "e")),
        (stored(PointState.SETTLED, Record("h", "e"), 1), (Own.PART_SETTLED, "e")),
        (stored(PointState.PENDING, Record("h"), 0) + stored(PointState.SETTLED, Record("h", "e"), 1), (Own.PART_SETTLED, "e")),
        (stored(PointState.PENDING, Record("other"), 0, 1), (Own.FOREIGN, None)),
        (stored(PointState.SETTLED, Record("other", "e"), 0, 1), (Own.FOREIGN, None)),
        (stored(PointState.SETTLED, Record("h"), 0, 1), (Own.FOREIGN, None)),
        (stored(PointState.PENDING, None, 0, 1), (Own.FOREIGN, None)),
    ],
)
def test_an_arrival_knows_its_own_points(found: list[Point], expected: tuple[Own, str | None]) -> None:
    wanted = points_of("a", [photo_of(1), photo_of(2)])

    assert own_points(found, wanted, "h") == expected


# Twins in one batch


def test_twins_of_a_batch_are_found_by_their_best_pair_and_only_backwards() -> None:
    vectors = [[photo_of(1)], [photo_of(2), noisy_photo_of(1, 3)], [photo_of(3)], [noisy_photo_of(2, 1), photo_of(3)]]

    assert twins_before(vectors, [{}] * 4, 0.7) == (frozenset(), frozenset({0}), frozenset(), frozenset({1, 2}))


def test_twins_whose_searches_cannot_see_each_other_are_none() -> None:
    vectors = [[photo_of(1)]] * 3
    dress, skirt, unknown = {"category": "dress"}, {"category": "skirt"}, dict[str, str]()

    # What is not known narrows nothing, whoever asks.
    assert twins_before(vectors, [dress, skirt, unknown], 0.7) == (frozenset(), frozenset(), frozenset({0, 1}))
    assert twins_before(vectors, [unknown, dress, skirt], 0.7) == (frozenset(), frozenset({0}), frozenset({0}))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_a_batch_sees_the_twins_its_searches_would_see(garments: list[int]) -> None:
    vectors = [[noisy_photo_of(garment, n)] for n, garment in enumerate(garments)]

    expected = tuple(frozenset(i for i in range(j) if garments[i] == garments[j]) for j in range(len(garments)))
    assert twins_before(vectors, [{}] * len(garments), 0.7) == expected


# Refusing to start or to work on nonsense


def test_a_point_without_a_vector_cannot_be_settled() -> None:
    catalogue = MemoryCatalogue("test", 64)
    good = request(catalogue, "a", photo_of(1))
    bad = replace(good, points=(replace(good.points[0], vector=None),))

    with pytest.raises(ValueError, match="no vector"):
        Settler(catalogue, CALIBRATION, MatchingSettings(), SearchPlan(40)).settle([bad])


def test_orphans_are_older_than_any_wait() -> None:
    with pytest.raises(ValidationError, match="twice twin_wait_s"):
        MatchingSettings(twin_wait_s=30, orphan_after_s=59)


def test_vectors_of_the_tests_are_normalised() -> None:
    for vector in (photo_of(1, 0.3), photo_of(2, 0.9, towards=4), noisy_photo_of(5, 5)):
        assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-6)
