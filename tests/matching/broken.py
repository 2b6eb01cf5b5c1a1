"""The race protocol with one rule broken each: the model must catch every one of them."""

from __future__ import annotations

from dataclasses import replace

from worker.matching.race import Claim, Ending, Own, Phase, Race, Sight, _done, _go


class NoSecondSearch(Race):
    """Settles as soon as its points are written."""

    def written(self, claim: Claim) -> Claim:
        return _go(claim, Phase.SETTLE)


class SearchBeforeWrite(Race):
    """The second search comes before the points are written."""

    def looked(self, claim: Claim, own: Own, first: Sight | None, *, alone: bool) -> Claim:
        after = super().looked(claim, own, first, alone=alone)
        return _go(claim, Phase.ASK) if after.phase is Phase.WRITE else after

    def written(self, claim: Claim) -> Claim:
        return _go(claim, Phase.SETTLE)


class IgnoresSmallerPending(Race):
    """Does not mind peers in flight with smaller ids."""

    def proved(self, claim: Claim, sight: Sight) -> Claim:
        return super().proved(claim, replace(sight, smaller=()))


class IgnoresLargerPending(Race):
    """Does not mind peers in flight with larger ids."""

    def proved(self, claim: Claim, sight: Sight) -> Claim:
        return super().proved(claim, replace(sight, larger=()))


class WaitsWithItsPoints(Race):
    """Waits for a smaller id without withdrawing."""

    def proved(self, claim: Claim, sight: Sight) -> Claim:
        return super().proved(claim, Sight(sight.settled, (), (*sight.smaller, *sight.larger)))


class BothWithdraw(Race):
    """Withdraws for every pending peer, whatever its id."""

    def proved(self, claim: Claim, sight: Sight) -> Claim:
        return super().proved(claim, Sight(sight.settled, (*sight.smaller, *sight.larger), ()))


class AlertsWithItsPoints(Race):
    """Alerts without withdrawing."""

    def proved(self, claim: Claim, sight: Sight) -> Claim:
        return _done(claim, Ending.ALERTED) if sight.settled else super().proved(claim, sight)


class LeavesWithItsPoints(Race):
    """At the bound it alerts without withdrawing."""

    def expired(self, claim: Claim, ending: Ending) -> Claim:
        return _done(claim, ending)


class ForgetsItself(Race):
    """A replay does not look for its own points."""

    def looked(self, claim: Claim, own: Own, first: Sight | None, *, alone: bool) -> Claim:
        return super().looked(claim, Own.NONE, first, alone=alone)


class TrustsItsPendingPoints(Race):
    """A replay that finds its own pending points settles them without the second search."""

    def looked(self, claim: Claim, own: Own, first: Sight | None, *, alone: bool) -> Claim:
        return _go(claim, Phase.SETTLE) if own is Own.PENDING else super().looked(claim, own, first, alone=alone)


class SettlesHalfAnArrival(Race):
    """A replay takes some of its points for all of them."""

    def looked(self, claim: Claim, own: Own, first: Sight | None, *, alone: bool) -> Claim:
        whole = {Own.PART_PENDING: Own.PENDING, Own.PART_SETTLED: Own.SETTLED}.get(own, own)
        return super().looked(claim, whole, first, alone=alone)


class TakesSettlingForGranted(Race):
    """Publishes without reading back that its points were settled."""

    def settled(self, claim: Claim) -> Claim:
        return _done(claim, Ending.SETTLED)
