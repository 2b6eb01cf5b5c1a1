"""Candidates become a decision that says why."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.matching.make import CALIBRATION
from worker.events import DecisionKind
from worker.matching.decide import SEVERAL_DUPLICATES, TWIN_IN_FLIGHT, decide, decide_overdue
from worker.matching.decision import Candidate

DUPLICATE, REVIEW = CALIBRATION.duplicate_threshold, CALIBRATION.review_threshold


def candidate(article_id: str, similarity: float, pending: str | None = None) -> Candidate:
    return Candidate(
        article_id,
        similarity,
        CALIBRATION.probability(similarity),
        0,
        "front",
        f"s3://studio/{article_id}.jpg",
        pending_arrival=pending,
    )


CANDIDATES = st.lists(
    st.builds(
        lambda n, similarity, pending: candidate(f"article-{n}", similarity, f"arrival-{n}" if pending else None),
        st.integers(0, 40),
        st.one_of(st.floats(-1, 1), st.sampled_from([REVIEW, DUPLICATE])),
        st.booleans(),
    ),
    max_size=30,
    unique_by=lambda one: one.article_id,
).map(lambda found: tuple(sorted(found, key=lambda one: (-one.similarity, one.article_id))))


def test_thresholds_belong_to_the_kind_above_them() -> None:
    kinds = [decide([candidate("a", s)], CALIBRATION).kind for s in (DUPLICATE, DUPLICATE - 1e-9, REVIEW, REVIEW - 1e-9)]

    assert kinds == [DecisionKind.DUPLICATE, DecisionKind.REVIEW, DecisionKind.REVIEW, DecisionKind.NEW]


def test_a_duplicate_says_which_photos_matched_how_well_and_how_far_ahead() -> None:
    decision = decide([candidate("shirt", 0.91), candidate("coat", 0.5)], CALIBRATION, views=["back"])

    assert decision.reason == (
        "Its back view and the front view of article shirt have similarity 0.910 (probability 0.961), "
        "at or above the duplicate threshold 0.850; the next article is 0.410 behind."
    )


def test_a_review_says_between_which_thresholds_it_lies() -> None:
    decision = decide([candidate("shirt", 0.75)], CALIBRATION)

    assert decision.reason == (
        "Its photo 1 view and the front view of article shirt have similarity 0.750 (probability 0.500), "
        "between the review threshold 0.700 and the duplicate threshold 0.850."
    )


def test_new_says_what_was_nearest() -> None:
    assert decide([candidate("shirt", 0.2)], CALIBRATION).reason == (
        "The nearest article shirt has similarity 0.200, below the review threshold 0.700."
    )
    assert decide([], CALIBRATION).reason == "No article of the catalogue could be compared with it."


def test_new_lists_no_pending_neighbour() -> None:
    decision = decide([candidate("twin", 0.6, "arrival-1"), candidate("shirt", 0.2)], CALIBRATION)

    assert [one.article_id for one in decision.candidates] == ["shirt"]


def test_two_articles_that_both_look_the_same_are_flagged() -> None:
    both = decide([candidate("red", 0.95), candidate("blue", 0.9)], CALIBRATION)
    one = decide([candidate("red", 0.95), candidate("blue", 0.8)], CALIBRATION)

    assert both.flags == (SEVERAL_DUPLICATES,)
    assert one.flags == ()


def test_the_article_a_decision_rests_on_is_listed_behind_any_number_of_twins() -> None:
    twins = [candidate(f"twin-{n:02}", 0.99, f"arrival-{n}") for n in range(20)]

    decision = decide([*twins, candidate("shirt", 0.9)], CALIBRATION, limit=10)

    assert len(decision.candidates) == 10
    assert decision.candidates[-1].article_id == "shirt"
    assert decision.flags == (TWIN_IN_FLIGHT,)


def test_an_overdue_arrival_is_a_review_that_names_its_nearest_twin() -> None:
    found = [candidate("twin", 0.9, "arrival-9"), candidate("other", 0.8, "arrival-3"), candidate("shirt", 0.2)]

    decision = decide_overdue(found, CALIBRATION, waited_s=30.2, flags=["photo-dark"])

    assert decision.kind is DecisionKind.REVIEW
    assert decision.flags == ("photo-dark", TWIN_IN_FLIGHT)
    assert decision.reason == (
        "Arrival arrival-9 looks the same (similarity 0.900) and was not decided within 30 s: "
        "only a person can tell which of the two becomes the article."
    )
    assert decision.candidates == tuple(found)


@given(CANDIDATES, st.integers(1, 10))
def test_what_is_decided_rests_on_the_settled_candidates_alone(found: tuple[Candidate, ...], limit: int) -> None:
    decision = decide(found, CALIBRATION, limit=limit)

    settled = [one for one in found if one.pending_arrival is None]
    best = max((one.similarity for one in settled), default=-2.0)
    expected = DecisionKind.DUPLICATE if best >= DUPLICATE else DecisionKind.REVIEW if best >= REVIEW else DecisionKind.NEW
    assert decision.kind is expected
    assert decision.kind is decide(settled, CALIBRATION).kind
    assert len(decision.candidates) <= limit
    assert list(decision.candidates) == sorted(decision.candidates, key=lambda one: (-one.similarity, one.article_id))
    assert set(decision.candidates) <= set(found)
    assert (decision.duplicate_threshold, decision.review_threshold) == (DUPLICATE, REVIEW)
    if expected is DecisionKind.NEW:
        assert all(one.pending_arrival is None for one in decision.candidates)
        assert decision.candidates == tuple(settled[:limit])
    else:
        assert settled[0] in decision.candidates
        twins = [one for one in found if one.pending_arrival is not None and one.similarity >= REVIEW]
        assert (TWIN_IN_FLIGHT in decision.flags) == bool(twins)
    if settled:
        assert settled[0].article_id in decision.reason
        assert f"{settled[0].similarity:.3f}" in decision.reason


@given(CANDIDATES, st.floats(0, 1))
def test_a_nearer_article_never_makes_an_arrival_newer(found: tuple[Candidate, ...], similarity: float) -> None:
    rank = {DecisionKind.NEW: 0, DecisionKind.REVIEW: 1, DecisionKind.DUPLICATE: 2}
    more = sorted([*found, candidate("zz-another", similarity)], key=lambda one: (-one.similarity, one.article_id))

    assert rank[decide(more, CALIBRATION).kind] >= rank[decide(found, CALIBRATION).kind]


def test_flags_are_kept_in_order_and_never_twice() -> None:
    peers = [replace(candidate("a", 0.9)), candidate("b", 0.95, "arrival-b")]

    decision = decide(sorted(peers, key=lambda one: -one.similarity), CALIBRATION, flags=["photo-dark", "photo-dark"])

    assert decision.flags == ("photo-dark", TWIN_IN_FLIGHT)
