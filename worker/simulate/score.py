"""Scores outcomes against the truth.

A pure function; the rules:

===============  =============================================  ========================================  ==================
kind             right                                          near                                      wrong
===============  =============================================  ========================================  ==================
re-photographed  an alert whose first candidate is the article  an alert with the article among its ten   anything else
back-view        the same                                       the same                                  anything else
multi-photo      the same                                       the same                                  anything else
new              an insert, or an alert for review              (none)                                    `duplicate`
colourway        an insert, or an alert for review              (none)                                    `duplicate`
twin             of the pair exactly one is inserted, and the   both alert, and one of them names the     two inserts, or an
                 other alerts with that article first           other or its article (a person joins      alert that names
                                                                them); or the article is not first        neither
corrupt,         a dead letter with a right reason              a dead letter with another reason         anything else
missing
repeat           all outcomes of the arrival have one id        (none)                                    several ids
===============  =============================================  ========================================  ==================

An arrival without any outcome is `lost`, whatever its kind. An arrival with outcomes of several ids is `contradicted` and wrong.
Found as `duplicate` (settled without a person) and as `review` are counted apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from worker.simulate.outcomes import Outcome
from worker.simulate.truth import Kind, Truth

Verdict = Literal["right", "near", "wrong", "lost"]


class KindScore(BaseModel):
    """One line of the score. `duplicate`, `review`, `new` and `dead_letter` count what came out; the rest how good that was."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    count: int
    right: int
    near: int
    wrong: int
    lost: int
    duplicate: int
    review: int
    new: int
    dead_letter: int

    @property
    def share(self) -> float:
        """Share that is right, 0..1."""
        return self.right / self.count if self.count else 0.0


class Miss(BaseModel):
    """One arrival that is not right, and what came instead."""

    model_config = ConfigDict(frozen=True)

    arrival_id: str
    kind: Kind
    verdict: Verdict
    expected: str
    got: str
    similarity: float | None = None


class ScoreReport(BaseModel):
    """The score.

    Attributes:
        kinds: a line for each kind that occurs.
        misses: every arrival that is not right, in the order of the truth.
        arrivals: distinct arrivals of the truth.
        lost: arrivals without an outcome.
        contradicted: arrivals with outcomes of several ids.
        strangers: outcomes of arrivals that are not in the truth (another run on the same topics).
    """

    model_config = ConfigDict(frozen=True)

    kinds: tuple[KindScore, ...]
    misses: tuple[Miss, ...]
    arrivals: int
    lost: int
    contradicted: int
    strangers: int

    @property
    def right(self) -> int:
        """Lines of the truth that came out right."""
        return sum(line.right for line in self.kinds)

    @property
    def count(self) -> int:
        """Lines of the truth."""
        return sum(line.count for line in self.kinds)

    @property
    def complete(self) -> bool:
        """Every arrival has exactly one outcome (replays of it aside): nothing lost, nothing contradicted."""
        return not self.lost and not self.contradicted


def score(truth: Sequence[Truth], outcomes: Iterable[Outcome]) -> ScoreReport:
    """Score `outcomes` (in any order, replays and strangers among them) against `truth`, by the rules of this module."""
    known = {line.arrival_id for line in truth}
    by_arrival: dict[str, dict[str, Outcome]] = defaultdict(dict)
    strangers = 0
    for outcome in outcomes:
        if outcome.arrival_id in known:
            by_arrival[outcome.arrival_id][outcome.event_id] = outcome
        else:
            strangers += 1
    lines: dict[Kind, Counter[str]] = {}
    misses: list[Miss] = []
    for line in truth:
        found = list(by_arrival.get(line.arrival_id, {}).values())
        verdict = _verdict(line, found, by_arrival)
        counter = lines.setdefault(line.kind, Counter())
        counter[verdict] += 1
        if found:
            counter[found[0].got] += 1
        if verdict != "right":
            misses.append(_miss(line, found, verdict))
    return ScoreReport(
        kinds=tuple(_line(kind, lines[kind]) for kind in Kind if kind in lines),
        misses=tuple(misses),
        arrivals=len(known),
        lost=len(known - by_arrival.keys()),
        contradicted=sum(len(found) > 1 for found in by_arrival.values()),
        strangers=strangers,
    )


def _verdict(line: Truth, found: Sequence[Outcome], by_arrival: Mapping[str, Mapping[str, Outcome]]) -> Verdict:
    if len(found) != 1:
        return "wrong" if found else "lost"
    outcome = found[0]
    if line.kind is Kind.REPEAT:
        return "right"
    if line.kind is Kind.TWIN:
        others = list(by_arrival.get(line.twin or "", {}).values())
        return _twin_verdict(line, outcome, others[0] if len(others) == 1 else None)
    if line.expected == "dead-letter":
        return _refused_verdict(line, outcome)
    if line.expected == "new":
        return "right" if outcome.got in {"new", "review"} else "wrong"
    return _found_verdict(line, outcome)


def _refused_verdict(line: Truth, outcome: Outcome) -> Verdict:
    if outcome.got != "dead-letter":
        return "wrong"
    return "right" if not line.reasons or outcome.reason in line.reasons else "near"


def _found_verdict(line: Truth, outcome: Outcome) -> Verdict:
    if outcome.got not in {"duplicate", "review"} or line.article_id not in outcome.articles:
        return "wrong"
    return "right" if outcome.articles[0] == line.article_id else "near"


def _twin_verdict(line: Truth, own: Outcome, other: Outcome | None) -> Verdict:
    """A pair is judged together, so that both get the same verdict unless one is lost."""
    if other is None or "dead-letter" in {own.got, other.got}:
        return "wrong"
    inserts = [outcome for outcome in (own, other) if outcome.got == "new"]
    alerts = [outcome for outcome in (own, other) if outcome.got != "new"]
    if len(inserts) == 1:
        created, named = inserts[0].article_id, alerts[0].articles
        if created in named:
            return "right" if named[0] == created else "near"
        return "wrong"
    if not inserts:
        # An alert names a twin in flight by the article it would become, which ends with its arrival's id.
        first, second = (alert.articles for alert in alerts)
        names_other = any(name.endswith(other.arrival_id) for name in first) or any(
            name.endswith(line.arrival_id) for name in second
        )
        return "near" if names_other else "wrong"
    return "wrong"


def _line(kind: Kind, counter: Mapping[str, int]) -> KindScore:
    verdicts = {name: counter.get(name, 0) for name in ("right", "near", "wrong", "lost")}
    return KindScore(
        kind=kind,
        count=sum(verdicts.values()),
        **verdicts,
        duplicate=counter.get("duplicate", 0),
        review=counter.get("review", 0),
        new=counter.get("new", 0),
        dead_letter=counter.get("dead-letter", 0),
    )


def _miss(line: Truth, found: Sequence[Outcome], verdict: Verdict) -> Miss:
    expected = line.expected
    wanted = f"{expected} {line.article_id or ''}".strip() if line.kind is not Kind.REPEAT else "one outcome"
    if line.reasons:
        wanted += f" ({' or '.join(line.reasons)})"
    got = "; ".join(_said(outcome) for outcome in found) or "nothing"
    return Miss(
        arrival_id=line.arrival_id,
        kind=line.kind,
        verdict=verdict,
        expected=wanted,
        got=got,
        similarity=found[0].similarity if found else None,
    )


def _said(outcome: Outcome) -> str:
    if outcome.got == "dead-letter":
        return f"dead letter ({outcome.reason})"
    if outcome.got == "new":
        return f"new ({outcome.article_id})"
    return f"{outcome.got} ({outcome.articles[0]})" if outcome.articles else outcome.got
