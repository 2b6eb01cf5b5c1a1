"""The race protocol: two photos of one garment, arriving at once in two workers, never both become articles.

Pure rules over immutable values: `Race.next_step` says which call to the catalogue comes next and for whom, `Race.advance` takes
what the call answered. `Settler` makes the calls; the tests put the very same rules into every possible order, with a crash at every
step. One arrival's way::

    LOOK ──► ASK ──► WRITE ──► PROVE ──► SETTLE ──► CONFIRM ──► settled
      │       │                  │
      │       └─ a settled peer: │ alerted
      │                          ├─ a settled peer: WITHDRAW, alerted
      │                          ├─ a pending peer with a smaller id: WITHDRAW, wait, ASK again
      │                          └─ only pending peers with larger ids: wait, PROVE again
      └─ own points of an earlier life: settled, publish their record; pending, PROVE (or WRITE again what is missing)

Why it holds: a peer is seen both ways (the measure is symmetric), and whoever settles searched after its own points were written and
saw nobody. Of two peers, the one that wrote later searched later still, with the other's points in place, so it did see somebody; the
earlier one's points go away only when the earlier one itself withdraws, and then it does not settle. Nobody waits in a circle:
whoever waits for a smaller id holds no points, and whoever holds points waits for larger ids only, of which the largest, seeing a
smaller one, withdraws.

A peer is an article or arrival whose similarity reaches the review threshold: what looks new must be below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

# How often an arrival may find its settled points gone (another life of its event withdrew them) before it gives up for now.
MOST_LOST_CLAIMS = 3


class Phase(StrEnum):
    """What an arrival does next."""

    LOOK = "look"  # for its own points
    ASK = "ask"  # the first search, again
    WRITE = "write"  # its points, pending
    PROVE = "prove"  # the second search: its points are written
    SETTLE = "settle"
    CONFIRM = "confirm"  # that its points are settled, and by which record
    REPAIR = "repair"  # write again, as settled, what a crash left half settled
    WITHDRAW = "withdraw"
    DONE = "done"


class Ending(StrEnum):
    """How an arrival ends in this batch."""

    SETTLED = "settled"
    ALERTED = "alerted"
    OVERDUE = "overdue"  # waited for a pending peer until the bound
    LEFT = "left"  # its partition waits and comes back
    REFUSED = "refused"  # another body under the same id
    LOST = "lost"  # its points vanish again and again


class Own(StrEnum):
    """What an arrival finds of its own points."""

    NONE = "none"
    PENDING = "pending"
    PART_PENDING = "part-pending"
    SETTLED = "settled"
    PART_SETTLED = "part-settled"
    FOREIGN = "foreign"  # of an event with the same id and another body


@dataclass(frozen=True, slots=True)
class Sight:
    """What a search showed: is there a settled peer, and the ids of pending ones."""

    settled: bool = False
    smaller: tuple[str, ...] = ()
    larger: tuple[str, ...] = ()


class StepKind(StrEnum):
    """A call to the catalogue, or waiting."""

    LOOK = "look"
    WITHDRAW = "withdraw"
    SETTLE = "settle"
    CONFIRM = "confirm"
    WRITE = "write"
    SEARCH = "search"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Step:
    """The next call, shared by `who` (indexes in the batch)."""

    kind: StepKind
    who: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """Where one arrival stands.

    Attributes:
        waiting: it searches again only after a wait.
        blockers: arrival ids it waits for.
        then: where WITHDRAW leads: back to ASK, or to an ending.
        ending: set when the phase is DONE.
        lost: how often its settled points were gone.
    """

    phase: Phase = Phase.LOOK
    waiting: bool = False
    blockers: tuple[str, ...] = ()
    then: Phase | Ending | None = None
    ending: Ending | None = None
    lost: int = 0


Claims = tuple[Claim, ...]
# What a step answered for one arrival: its own points (LOOK, with what the first search showed; CONFIRM), or a search's sight.
Answer = tuple[Own, Sight | None] | Own | Sight | None

# In this order: what is decided leaves first, so that peers elsewhere wait least; searches of all are shared.
_STEP_OF_PHASE = (
    (StepKind.LOOK, (Phase.LOOK,)),
    (StepKind.WITHDRAW, (Phase.WITHDRAW,)),
    (StepKind.SETTLE, (Phase.SETTLE,)),
    (StepKind.CONFIRM, (Phase.CONFIRM,)),
    (StepKind.WRITE, (Phase.WRITE, Phase.REPAIR)),
    (StepKind.SEARCH, (Phase.ASK, Phase.PROVE)),
)


@dataclass(frozen=True, slots=True)
class Race:
    """The rules for one micro-batch.

    Attributes:
        same: for each arrival the earlier ones of the batch with the same id (an event that came twice): it starts after them.
        twins: for each arrival the earlier ones of the batch that look the same: it writes nothing before they are done.
    """

    same: tuple[frozenset[int], ...]
    twins: tuple[frozenset[int], ...]

    def start(self) -> Claims:
        """Nobody has done anything."""
        return tuple(Claim() for _ in self.same)

    def next_step(self, claims: Claims) -> Step | None:
        """The next call and who shares it; WAIT when all that is left waits; None when all are done."""
        for kind, phases in _STEP_OF_PHASE:
            who = tuple(i for i, claim in enumerate(claims) if claim.phase in phases and self._may_go(i, claims))
            if who:
                return Step(kind, who)
        waiting = tuple(i for i, claim in enumerate(claims) if claim.waiting)
        if waiting:
            return Step(StepKind.WAIT, waiting)
        if any(claim.phase is not Phase.DONE for claim in claims):
            raise RuntimeError(f"the race protocol has no next step for {claims}")
        return None

    def advance(self, claims: Claims, step: Step, answers: Mapping[int, Answer]) -> Claims:
        """The claims after `step` answered. WAIT needs no answer: everybody looks again."""
        after = list(claims)
        for i in step.who:
            after[i] = self._one(i, claims[i], step.kind, answers.get(i))
        for i, claim in enumerate(after):
            # An event that came twice stays behind its first copy: if that one waits outside, so does this one.
            if claim.phase is Phase.LOOK and any(after[j].ending in {Ending.LEFT, Ending.LOST} for j in self.same[i]):
                after[i] = _done(claim, Ending.LEFT)
        return tuple(after)

    def expire(self, claims: Claims, endings: Mapping[int, Ending]) -> Claims:
        """Those who waited long enough stop waiting: they withdraw what they hold and end as told (LEFT or OVERDUE)."""
        after = list(claims)
        for i, ending in endings.items():
            after[i] = self.expired(claims[i], ending)
        return tuple(after)

    def _may_go(self, i: int, claims: Claims) -> bool:
        claim = claims[i]
        if claim.waiting and claim.phase is not Phase.WITHDRAW:
            return False
        behind = {Phase.LOOK: self.same[i], Phase.ASK: self.twins[i]}.get(claim.phase, frozenset[int]())
        if claim.phase is Phase.ASK and any(claims[j].ending is Ending.SETTLED for j in behind):
            return True  # it will see that one settled: no need to hear of the others
        return all(claims[j].phase is Phase.DONE for j in behind)

    def _one(self, i: int, claim: Claim, kind: StepKind, answer: Answer) -> Claim:
        if kind is StepKind.LOOK and isinstance(answer, tuple):
            return self.looked(claim, *answer, alone=not (self.same[i] or self.twins[i]))
        if kind is StepKind.SEARCH and isinstance(answer, Sight):
            return self.asked(claim, answer) if claim.phase is Phase.ASK else self.proved(claim, answer)
        if kind is StepKind.CONFIRM and isinstance(answer, Own):
            return self.confirmed(claim, answer)
        plain: dict[StepKind, Callable[[Claim], Claim]] = {
            StepKind.WRITE: self.written,
            StepKind.WITHDRAW: self.withdrawn,
            StepKind.SETTLE: self.settled,
            StepKind.WAIT: self.woken,
        }
        return plain[kind](claim)

    # One arrival's rules, in the order of its way.

    def looked(self, claim: Claim, own: Own, first: Sight | None, *, alone: bool) -> Claim:
        """Its own points are looked up. `first`: what the first search showed, unless that is stale. `alone`: nobody is ahead."""
        if own is Own.NONE:
            if first is not None and first.settled:
                return _done(claim, Ending.ALERTED)
            if first is None or first.smaller or not alone:
                return _go(claim, Phase.ASK)
            return _go(claim, Phase.WRITE)
        if own in {Own.PENDING, Own.PART_PENDING} and first is not None and first.settled:
            return _go(claim, Phase.WITHDRAW, then=Ending.ALERTED)
        return self._resumed(claim, own)

    def asked(self, claim: Claim, sight: Sight) -> Claim:
        """The first search was made again: it holds no points."""
        if sight.settled:
            return _done(claim, Ending.ALERTED)
        if sight.smaller:
            return replace(claim, waiting=True, blockers=sight.smaller)
        return _go(claim, Phase.WRITE)

    def written(self, claim: Claim) -> Claim:
        """Its points are written and every later search sees them."""
        return _go(claim, Phase.CONFIRM if claim.phase is Phase.REPAIR else Phase.PROVE)

    def proved(self, claim: Claim, sight: Sight) -> Claim:
        """It searched after its own write."""
        if sight.settled:
            return _go(claim, Phase.WITHDRAW, then=Ending.ALERTED)
        if sight.smaller:
            return replace(claim, phase=Phase.WITHDRAW, then=Phase.ASK, waiting=True, blockers=sight.smaller)
        if sight.larger:
            return replace(claim, waiting=True, blockers=sight.larger)
        return _go(claim, Phase.SETTLE)

    def settled(self, claim: Claim) -> Claim:
        """Its points were told to settle; whether they did, and with which record, is read back."""
        return _go(claim, Phase.CONFIRM)

    def confirmed(self, claim: Claim, own: Own) -> Claim:
        """Its points were read back: an event is published only for points that are there."""
        if own is Own.SETTLED:
            return _done(claim, Ending.SETTLED)
        if claim.lost + 1 >= MOST_LOST_CLAIMS:
            return _go(claim, Phase.WITHDRAW, then=Ending.LOST)
        claim = replace(claim, lost=claim.lost + 1)
        return _go(claim, Phase.ASK) if own is Own.NONE else self._resumed(claim, own)

    def withdrawn(self, claim: Claim) -> Claim:
        """It holds no pending points any more."""
        if isinstance(claim.then, Ending):
            return _done(claim, claim.then)
        return replace(claim, phase=Phase.ASK, then=None)

    def woken(self, claim: Claim) -> Claim:
        """A wait is over: search again."""
        return replace(claim, waiting=False, blockers=())

    def expired(self, claim: Claim, ending: Ending) -> Claim:
        """It waited long enough. Outside the stage nobody holds points, so a pending point means work in hand or a crash."""
        if claim.phase is Phase.PROVE:
            return replace(claim, phase=Phase.WITHDRAW, then=ending, waiting=False)
        return _done(claim, ending)

    @staticmethod
    def _resumed(claim: Claim, own: Own) -> Claim:
        """It goes on from points that are there already."""
        if own is Own.FOREIGN:
            return _done(claim, Ending.REFUSED)
        if own is Own.SETTLED:
            return _done(claim, Ending.SETTLED)
        way = {Own.PART_SETTLED: Phase.REPAIR, Own.PENDING: Phase.PROVE, Own.PART_PENDING: Phase.WRITE}
        return _go(claim, way[own])


def _go(claim: Claim, phase: Phase, *, then: Ending | None = None) -> Claim:
    return replace(claim, phase=phase, then=then, waiting=False, blockers=())


def _done(claim: Claim, ending: Ending) -> Claim:
    return replace(claim, phase=Phase.DONE, ending=ending, then=None, waiting=False)
