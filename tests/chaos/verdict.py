"""The promises recomputed from what anyone can see: the input topic, the committed outputs, the index.

Nothing here asks the worker what it did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.reader import OutcomeEvent, Published
from tests.chaos.truth import REASONS, Kind, Planned
from worker.catalogue.protocol import Point, PointState
from worker.events import CatalogueInsert, DeadLetter, MatchAlert

TWIN_FLAG = "twin-in-flight"


@dataclass(slots=True)
class Verdict:
    """Broken promises, by the arrival they concern; empty everywhere if all were kept.

    Attributes:
        lost: arrivals without an outcome.
        repeated: arrivals with more outcomes than events, and output ids published twice.
        missed: garments that became two articles, and alerts that name neither the article nor a twin.
        wrong: outcomes of the wrong kind, articles without insert, inserts without article, pending points.
        without_article: garments all of whose photos were sent to people because the twin in flight was never decided in time.
    """

    arrivals: int = 0
    alerts: int = 0
    inserts: int = 0
    dead_letters: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    without_article: int = 0
    twin_alerts: int = 0

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, and there was something to keep."""
        return self.inserts > 0 and self.alerts > 0 and not (self.lost or self.repeated or self.missed or self.wrong)

    def problems(self) -> list[str]:
        """Every broken promise in a line."""
        kinds = {"lost": self.lost, "repeated": self.repeated, "missed": self.missed, "wrong": self.wrong}
        return [f"{kind}: {text}" for kind, texts in kinds.items() for text in texts]


def arrival_of(published: Published) -> str:
    """Which arrival an outcome is about: the record's key, which a dead letter of an unreadable event keeps too."""
    return (published.key or b"").decode()


def judge(planned: Sequence[Planned], sent: Mapping[str, int], found: Sequence[Published], points: Sequence[Point]) -> Verdict:
    """Compare what happened with what had to happen.

    Args:
        planned: the truth.
        sent: how many records of each arrival are in the input topic.
        found: every committed outcome.
        points: every point of the index.
    """
    events: defaultdict[str, list[OutcomeEvent]] = defaultdict(list)
    for each in found:
        events[arrival_of(each)].append(each.event)
    verdict = Verdict(
        arrivals=sum(sent.values()),
        alerts=sum(isinstance(each.event, MatchAlert) for each in found),
        inserts=sum(isinstance(each.event, CatalogueInsert) for each in found),
        dead_letters=sum(isinstance(each.event, DeadLetter) for each in found),
    )
    _count(verdict, sent, events)
    _kinds(verdict, planned, events)
    _garments(verdict, planned, events)
    _index(verdict, [each.event for each in found], points)
    return verdict


def _count(verdict: Verdict, sent: Mapping[str, int], events: Mapping[str, list[OutcomeEvent]]) -> None:
    for arrival_id, count in sent.items():
        outcomes = len(events.get(arrival_id, ()))
        if outcomes < count:
            verdict.lost.append(f"{arrival_id} has {outcomes} outcomes for {count} events")
        if outcomes > count:
            verdict.repeated.append(f"{arrival_id} has {outcomes} outcomes for {count} events")
    for arrival_id in events.keys() - sent.keys():
        verdict.wrong.append(f"{arrival_id} has an outcome and was never sent")
    ids = Counter(str(event.event_id) for outcomes in events.values() for event in outcomes)
    verdict.repeated += [f"the output id {name} was published {count} times" for name, count in ids.items() if count > 1]


def _kinds(verdict: Verdict, planned: Iterable[Planned], events: Mapping[str, list[OutcomeEvent]]) -> None:
    for arrival in planned:
        for event in events.get(arrival.arrival_id, ()):
            reason = event.reason.value if isinstance(event, DeadLetter) else None
            if reason != REASONS.get(arrival.kind):
                became = f"a dead letter ({reason})" if reason else event.EVENT_NAME
                verdict.wrong.append(f"{arrival.arrival_id} is {arrival.kind.value} and became {became}")


def _garments(verdict: Verdict, planned: Iterable[Planned], events: Mapping[str, list[OutcomeEvent]]) -> None:
    garments: defaultdict[int, list[OutcomeEvent]] = defaultdict(list)
    arrivals: defaultdict[int, set[str]] = defaultdict(set)
    for arrival in planned:
        if arrival.kind is Kind.GARMENT:
            garments[arrival.garment] += events.get(arrival.arrival_id, ())
            arrivals[arrival.garment].add(arrival.arrival_id)
    for garment, outcomes in garments.items():
        articles = {event.article_id for event in outcomes if isinstance(event, CatalogueInsert)}
        if len(articles) > 1:
            verdict.missed.append(f"garment {garment} became the articles {', '.join(sorted(articles))}")
        verdict.without_article += bool(outcomes) and not articles
        for event in outcomes:
            if not isinstance(event, MatchAlert):
                continue
            twins = TWIN_FLAG in event.explanation.flags
            verdict.twin_alerts += twins
            # An article in flight has the id it will have; it is of the same garment if its arrival is.
            named = {candidate.article_id for candidate in event.candidates}
            own = {f"article-{arrival}" for arrival in arrivals[garment]} - {f"article-{event.arrival_id}"}
            if not named & own or not (articles or twins):
                verdict.missed.append(f"{event.arrival_id} is garment {garment}; its alert names {sorted(named)}")


def _index(verdict: Verdict, events: Sequence[OutcomeEvent], points: Sequence[Point]) -> None:
    inserts = [event for event in events if isinstance(event, CatalogueInsert)]
    promised = {point_id for insert in inserts for point_id in insert.embedding.point_ids}
    made = {point.point_id: point for point in points}
    for point in points:
        if point.state is PointState.PENDING:
            verdict.wrong.append(f"{point.arrival_id} left a pending point")
        elif point.point_id not in promised:
            verdict.wrong.append(f"{point.arrival_id} is an article without an insert")
    verdict.wrong += [
        f"{insert.arrival_id} was inserted and is no article"
        for insert in inserts
        if not all(point_id in made for point_id in insert.embedding.point_ids)
    ]
