"""The verifier sees every broken promise: each is broken here once, on purpose."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.chaos.injections import Injections, rows
from tests.chaos.reader import Published
from tests.chaos.truth import Kind, Planned
from tests.chaos.verdict import Verdict, judge
from worker.catalogue.protocol import Point, PointState
from worker.errors import Reason
from worker.events import CatalogueInsert, DeadLetter, DecisionKind, MatchAlert, ModelFingerprint, PhotoLocation
from worker.events.catalogue_insert import EmbeddingReference
from worker.events.common import Attributes, Timings
from worker.events.dead_letter import RecordSource
from worker.events.match_alert import AlertCandidate, Explanation, MatchedPhoto

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PHOTO = PhotoLocation(bucket="bucket", key="arrivals/photo.jpg")
MODELS = ModelFingerprint(segmenter="none", embedder="e", pipeline="p", collection="c")
TIMINGS = Timings(decided_at=NOW)


def explanation(*flags: str) -> Explanation:
    return Explanation(reason="because", duplicate_threshold=0.9, review_threshold=0.7, flags=flags)


def alert(arrival_id: str, article_id: str, *flags: str) -> MatchAlert:
    photo = MatchedPhoto(arrival_view="front", arrival_key="k", article_view="front", article_location="s3://b/k")
    candidate = AlertCandidate(rank=1, article_id=article_id, similarity=0.99, probability=0.9, margin=None, matched_photo=photo)
    return MatchAlert(
        event_id=uuid4(), arrival_id=arrival_id, decision=DecisionKind.DUPLICATE, photographed_at=NOW, photos=(PHOTO,),
        attributes=Attributes(), candidates=(candidate,), explanation=explanation(*flags), models=MODELS, timings=TIMINGS,
    )  # fmt: skip


def insert(arrival_id: str) -> CatalogueInsert:
    return CatalogueInsert(
        event_id=uuid4(), arrival_id=arrival_id, article_id=f"article-{arrival_id}", photographed_at=NOW, photos=(PHOTO,),
        embedding=EmbeddingReference(point_ids=(uuid4(),), dimension=3), explanation=explanation(), models=MODELS, timings=TIMINGS,
    )  # fmt: skip


def letter(arrival_id: str, reason: Reason) -> DeadLetter:
    return DeadLetter(
        event_id=uuid4(), arrival_id=arrival_id, reason=reason, message="m", stage="decode", attempts=1, failed_at=NOW, worker="w",
        source=RecordSource(topic="t", partition=0, offset=0), original_key_base64=None, original_value_base64=None,
    )  # fmt: skip


def point(of: CatalogueInsert, state: PointState = PointState.SETTLED) -> Point:
    return Point(
        point_id=of.embedding.point_ids[0], vector=None, article_id=of.article_id, view="front", location="s3://b/k", state=state,
        fingerprint="p", written_at=NOW, attributes=Attributes(), arrival_id=of.arrival_id,
    )  # fmt: skip


@dataclass
class World:
    """Two photos of one garment, a garment on its own, a corrupt photo: everything as promised, to be spoiled."""

    planned: list[Planned] = field(
        default_factory=lambda: [
            Planned("a", Kind.GARMENT, 0, 0, 0),
            Planned("b", Kind.GARMENT, 0, 1, 0),
            Planned("c", Kind.GARMENT, 1, 0, 1),
            Planned("d", Kind.CORRUPT, -1, 0, 2),
        ]
    )
    events: list[MatchAlert | CatalogueInsert | DeadLetter] = field(
        default_factory=lambda: [insert("a"), alert("b", "article-a"), insert("c"), letter("d", Reason.PHOTO_CORRUPT)]
    )
    points: list[Point] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.points = [point(event) for event in self.events if isinstance(event, CatalogueInsert)]

    def published(self) -> list[Published]:
        return [Published(event, str(event.arrival_id).encode(), 20.0) for event in self.events]

    def verdict(self) -> Verdict:
        return judge(self.planned, Counter(each.arrival_id for each in self.planned), self.published(), self.points)


@pytest.fixture
def world() -> World:
    return World()


def test_kept_promises_are_seen_as_kept(world: World) -> None:
    verdict = world.verdict()
    assert verdict.problems() == []
    assert verdict.kept
    assert (verdict.inserts, verdict.alerts, verdict.dead_letters) == (2, 1, 1)


def test_zero_work_is_a_failure() -> None:
    assert not judge([], {}, [], []).kept


@pytest.mark.parametrize("index", range(4))
def test_a_lost_outcome_is_seen_whatever_it_was(world: World, index: int) -> None:
    lost = world.events.pop(index)
    assert world.verdict().lost == [f"{lost.arrival_id} has 0 outcomes for 1 events"]


@pytest.mark.parametrize("index", range(4))
def test_a_repeated_outcome_is_seen_with_its_id(world: World, index: int) -> None:
    again = world.events[index]
    world.events.append(again)
    assert world.verdict().repeated == [
        f"{again.arrival_id} has 2 outcomes for 1 events",
        f"the output id {again.event_id} was published 2 times",
    ]


def test_a_second_outcome_under_another_id_is_seen_too(world: World) -> None:
    world.events.append(alert("b", "article-a"))
    assert world.verdict().repeated == ["b has 2 outcomes for 1 events"]


def test_two_articles_of_one_garment_are_a_missed_match(world: World) -> None:
    second = insert("b")
    world.events[1] = second
    world.points.append(point(second))
    assert world.verdict().missed == ["garment 0 became the articles article-a, article-b"]


def test_an_alert_that_names_another_garment_is_a_missed_match(world: World) -> None:
    world.events[1] = alert("b", "article-c")
    assert world.verdict().missed == ["b is garment 0; its alert names ['article-c']"]


def test_an_alert_that_names_only_itself_is_a_missed_match(world: World) -> None:
    world.events[1] = alert("b", "article-b")
    assert world.verdict().missed == ["b is garment 0; its alert names ['article-b']"]


def test_twins_that_all_alert_are_told_apart_from_a_silent_miss(world: World) -> None:
    world.events[0] = alert("a", "article-b", "twin-in-flight")
    world.points = world.points[1:]
    world.events[1] = alert("b", "article-a", "twin-in-flight")
    verdict = world.verdict()
    assert verdict.missed == []
    assert (verdict.without_article, verdict.twin_alerts) == (1, 2)

    world.events[1] = alert("b", "article-a")  # names an article that is none, and says nothing of a twin
    assert world.verdict().missed == ["b is garment 0; its alert names ['article-a']"]


def test_an_article_without_its_insert_is_seen(world: World) -> None:
    world.points.append(replace(world.points[0], point_id=uuid4(), arrival_id="x"))
    assert world.verdict().wrong == ["x is an article without an insert"]


def test_an_insert_without_its_article_is_seen(world: World) -> None:
    world.points.pop()
    assert world.verdict().wrong == ["c was inserted and is no article"]


def test_a_pending_orphan_is_seen(world: World) -> None:
    world.points.append(point(insert("x"), PointState.PENDING))
    assert world.verdict().wrong == ["x left a pending point"]


def test_a_good_photo_that_became_a_dead_letter_is_seen(world: World) -> None:
    world.events[1] = letter("b", Reason.PHOTO_CORRUPT)
    assert world.verdict().wrong == ["b is garment and became a dead letter (photo-corrupt)"]


def test_a_spoiled_photo_that_became_an_article_or_another_dead_letter_is_seen(world: World) -> None:
    world.events[3] = letter("d", Reason.PHOTO_MISSING)
    assert world.verdict().wrong == ["d is corrupt and became a dead letter (photo-missing)"]
    made = insert("d")
    world.events[3] = made
    world.points.append(point(made))
    assert world.verdict().wrong == ["d is corrupt and became catalogue-insert"]


def test_an_outcome_of_an_arrival_that_was_never_sent_is_seen(world: World) -> None:
    world.events.append(letter("nobody", Reason.PHOTO_MISSING))
    assert world.verdict().wrong == ["nobody has an outcome and was never sent"]


def test_a_broken_promise_counts_for_every_fault_in_force_during_the_arrivals_life(world: World) -> None:
    world.events.pop(1)
    injections = Injections()
    for kind, began, ended in (("early", 1.0, 2.0), ("in time", 11.0, 12.0), ("late", 21.0, 22.0)):
        injections.begin(kind).began = began
        injections.all[-1].ended = ended
    sent_at = dict.fromkeys("abcd", 10.0)

    table = rows(["early", "in time", "late", "never"], injections, sent_at, world.published(), world.verdict())

    # the lost arrival never ended, so that a later fault could have lost it as well
    assert [(row.fault, row.injected, row.arrivals, row.lost) for row in table] == [
        ("early", 1, 0, 0),
        ("in time", 1, 4, 1),
        ("late", 1, 1, 1),
        ("never", 0, 0, 0),
    ]
