"""What was broken, when, and which arrivals it could have hurt."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.reader import Published
from tests.chaos.verdict import Verdict, arrival_of


@dataclass(slots=True)
class Injection:
    """One fault, from `began` to `ended` (seconds since 1970)."""

    kind: str
    began: float
    ended: float


@dataclass(slots=True)
class Injections:
    """Everything that was injected."""

    all: list[Injection] = field(default_factory=list)

    def moment(self, kind: str) -> None:
        """A fault without duration."""
        now = time.time()
        self.all.append(Injection(kind, now, now))

    def begin(self, kind: str) -> Injection:
        """A fault that lasts until `end`."""
        injection = Injection(kind, time.time(), float("inf"))
        self.all.append(injection)
        return injection

    @staticmethod
    def end(injection: Injection) -> None:
        """It is over."""
        injection.ended = time.time()

    def counts(self) -> Counter[str]:
        """How often each kind was injected."""
        return Counter(each.kind for each in self.all)


@dataclass(frozen=True, slots=True)
class Row:
    """A fault in the report. An arrival counts for every fault that was in force between its sending and its last outcome."""

    fault: str
    injected: int
    arrivals: int
    lost: int
    repeated: int
    missed: int
    wrong: int


def rows(
    kinds: Sequence[str], injections: Injections, sent_at: Mapping[str, float], found: Sequence[Published], verdict: Verdict
) -> list[Row]:
    """One row for each kind, in order; kinds that were never injected have a row of zeros."""
    ended: dict[str, float] = {}
    for each in found:
        arrival_id = arrival_of(each)
        ended[arrival_id] = max(each.at, ended.get(arrival_id, 0.0))
    lives = {name: (began, ended.get(name, float("inf"))) for name, began in sent_at.items()}
    broken = {
        kind: {name for text in texts for name in text.replace(",", " ").replace("article-", "").split() if name in lives}
        for kind, texts in (
            ("lost", verdict.lost),
            ("repeated", verdict.repeated),
            ("missed", verdict.missed),
            ("wrong", verdict.wrong),
        )
    }
    counts = injections.counts()
    table = []
    for kind in kinds:
        windows = [(each.began, each.ended) for each in injections.all if each.kind == kind]
        hurt = {name for name, (began, end) in lives.items() if any(began <= late and early <= end for early, late in windows)}
        table.append(Row(kind, counts[kind], len(hurt), *(len(hurt & names) for names in broken.values())))
    return table
