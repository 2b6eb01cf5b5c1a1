"""One micro-batch on its way through the race protocol: the calls to the catalogue that its arrivals share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import structlog

from worker.calibration import Calibration
from worker.catalogue.protocol import Catalogue, Point, PointState
from worker.errors import CatalogueUnavailable, EventRefused, Reason, TwinInFlight
from worker.matching.decide import decide, decide_overdue
from worker.matching.decision import Candidate, Decision
from worker.matching.fuse import fuse
from worker.matching.patience import Patience
from worker.matching.peers import own_points, sight, twins_before
from worker.matching.queries import SearchPlan
from worker.matching.race import Answer, Claim, Claims, Ending, Own, Phase, Race, Sight, Step, StepKind
from worker.matching.record import Record
from worker.matching.requests import Alert, Settled, SettleOutcome, SettleRequest
from worker.matching.tools import SettleTools
from worker.settings import MatchingSettings

# A peer in another worker needs two or three calls of a few milliseconds each to decide; later waits need not be that short.
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 0.1
_DOUBLINGS = 5  # 5 ms doubled so often is above the longest poll


class Batch:
    """The scratch of one `settle` call: what each arrival saw last, and the event it settled with."""

    def __init__(
        self,
        requests: Sequence[SettleRequest],
        catalogue: Catalogue,
        calibration: Calibration,
        settings: MatchingSettings,
        plan: SearchPlan,
        tools: SettleTools,
        patience: Patience,
    ) -> None:
        self._requests = requests
        self._catalogue = catalogue
        self._calibration = calibration
        self._settings = settings
        self._tools = tools
        self._patience = patience
        self._queries = [
            plan.queries(request.arrival_id, [_vector(point) for point in request.points], request.attributes)
            for request in requests
        ]
        self._seen: list[tuple[Candidate, ...]] = [fuse(request.hits, calibration) for request in requests]
        self._events: list[str | None] = [None] * len(requests)
        self._settled_here: set[int] = set()
        self._waited_since: float | None = None
        self._polls = 0
        self._swept: set[str] = set()
        self._race = Race(self._same_before(), self._twins_before())

    def run(self) -> list[SettleOutcome]:
        """Step by step until every arrival is done."""
        claims = self._race.start()
        while (step := self._race.next_step(claims)) is not None:
            if step.kind is StepKind.WAIT:
                claims = self._wait(claims, step)
                continue
            names = self._names(step.who)
            self._tools.between(f"before-{step.kind}", names)
            answers = self._call(claims, step)
            self._tools.between(f"after-{step.kind}", names)
            claims = self._race.advance(claims, step, answers)
        return [self._outcome(i, claim) for i, claim in enumerate(claims)]

    # What the batch knows of itself.

    def _same_before(self) -> tuple[frozenset[int], ...]:
        ids = [request.arrival_id for request in self._requests]
        return tuple(frozenset(i for i in range(j) if ids[i] == ids[j]) for j in range(len(ids)))

    def _twins_before(self) -> tuple[frozenset[int], ...]:
        vectors = [[query.vector for query in queries] for queries in self._queries]
        filters = [queries[0].attributes for queries in self._queries]
        return twins_before(vectors, filters, self._calibration.review_threshold)

    def _names(self, who: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._requests[i].arrival_id for i in who)

    # The calls.

    def _call(self, claims: Claims, step: Step) -> Mapping[int, Answer]:
        if step.kind is StepKind.LOOK:
            return self._look(step.who)
        if step.kind is StepKind.CONFIRM:
            return self._own(step.who)
        if step.kind is StepKind.SEARCH:
            return self._search(claims, step.who)
        if step.kind is StepKind.WRITE:
            self._write(claims, step.who)
        elif step.kind is StepKind.SETTLE:
            self._settle(step.who)
        else:
            self._catalogue.withdraw(self._names(step.who))
        return {}

    def _look(self, who: Sequence[int]) -> Mapping[int, Answer]:
        # The hits of an event that came twice were found before its first copy was decided: they are no longer true.
        return {i: (own, None if self._race.same[i] else self._sight(i)) for i, own in self._own(who).items()}

    def _own(self, who: Sequence[int]) -> dict[int, Own]:
        found = self._catalogue.points_of_arrivals(self._names(who))
        owns = {}
        for i in who:
            request = self._requests[i]
            owns[i], event = own_points(found.get(request.arrival_id, ()), request.points, request.body_hash)
            self._events[i] = event
        return owns

    def _search(self, claims: Claims, who: Sequence[int]) -> Mapping[int, Answer]:
        hits = iter(self._catalogue.search([query for i in who for query in self._queries[i]]))
        for i in who:
            self._seen[i] = fuse([next(hits) for _ in self._queries[i]], self._calibration)
        if any(claims[i].phase is Phase.PROVE for i in who):
            self._tools.faults.reach("after-second-search")
        return {i: self._sight(i) for i in who}

    def _write(self, claims: Claims, who: Sequence[int]) -> None:
        points = []
        for i in who:
            # After a crash in the middle of settling, the recorded decision stands: what is missing is written settled.
            event = self._events[i] if claims[i].phase is Phase.REPAIR else None
            state = PointState.PENDING if event is None else PointState.SETTLED
            record = Record(self._requests[i].body_hash, event).to_text()
            points += [replace(point, state=state, record=record) for point in self._requests[i].points]
        self._tools.fence()
        self._catalogue.upsert(points)
        self._tools.faults.reach("after-pending-write")

    def _settle(self, who: Sequence[int]) -> None:
        records = {}
        for i in who:
            request = self._requests[i]
            records[request.arrival_id] = Record(request.body_hash, request.record(self._decide(i))).to_text()
            self._settled_here.add(i)
        self._tools.faults.reach("before-settle-write")
        self._tools.fence()
        self._catalogue.settle(records)
        self._tools.faults.reach("after-settle-write")

    def _decide(self, i: int) -> Decision:
        request = self._requests[i]
        views = [point.view for point in request.points]
        return decide(self._seen[i], self._calibration, views=views, flags=request.flags, limit=self._settings.candidates)

    def _sight(self, i: int) -> Sight:
        return sight(self._seen[i], self._requests[i].arrival_id, self._calibration.review_threshold)

    # Waiting.

    def _wait(self, claims: Claims, step: Step) -> Claims:
        """Everything left waits for others: sleep a little and look again, or end what waited long enough."""
        now = self._tools.clock()
        self._waited_since = now if self._waited_since is None else self._waited_since
        overdue = {i for i in step.who if self._patience.wait(self._requests[i].arrival_id)}
        if overdue:
            if self._sweep(claims, overdue):
                return self._race.advance(claims, step, {})
            return self._race.expire(claims, dict.fromkeys(overdue, Ending.OVERDUE))
        if now - self._waited_since >= self._settings.settle_wait_s:
            return self._race.expire(claims, dict.fromkeys(step.who, Ending.LEFT))
        self._tools.between("before-wait", self._names(step.who))
        longest = min(LONGEST_POLL_S, FIRST_POLL_S * 2 ** min(self._polls, _DOUBLINGS))
        self._polls += 1
        self._tools.sleep(longest * (0.5 + 0.5 * self._tools.jitter()))
        return self._race.advance(claims, step, {})

    def _sweep(self, claims: Claims, overdue: set[int]) -> bool:
        """Withdraw pending points so old that nobody is at work on them; True if there were any.

        They are left by a worker that was stopped, overtaken, and killed just after it woke up and wrote. Should their owner live
        after all, it finds them gone when it confirms, and asks again: a withdrawal never makes two articles of one.
        """
        blockers = sorted({blocker for i in overdue for blocker in claims[i].blockers} - self._swept)
        if not blockers:
            return False
        oldest = self._tools.wall_clock() - timedelta(seconds=self._settings.orphan_after_s)
        found = self._catalogue.points_of_arrivals(blockers)
        orphans = [name for name, points in found.items() if max(point.written_at for point in points) < oldest]
        if orphans:
            structlog.get_logger(__name__).warning("withdrawing pending points nobody settles", arrivals=orphans)
            self._catalogue.withdraw(orphans)
            self._swept.update(orphans)
        return bool(orphans)

    # The end.

    def _outcome(self, i: int, claim: Claim) -> SettleOutcome:
        request = self._requests[i]
        waited_s = self._patience.waited(request.arrival_id)
        if claim.ending is not Ending.LEFT:
            self._patience.forget(request.arrival_id)
        event = self._events[i]
        if claim.ending is Ending.SETTLED and event is not None:
            return Settled(event, replayed=i not in self._settled_here)
        if claim.ending is Ending.ALERTED:
            return Alert(self._decide(i))
        if claim.ending is Ending.OVERDUE:
            decision = decide_overdue(
                self._seen[i], self._calibration, waited_s=waited_s, flags=request.flags, limit=self._settings.candidates
            )
            return Alert(decision, overdue=True)
        return _error(request.arrival_id, claim)


def _vector(point: Point) -> npt.NDArray[np.float32]:
    if point.vector is None:
        raise ValueError(f"point {point.point_id} of arrival {point.arrival_id} has no vector to search by")
    return point.vector


def _error(arrival_id: str, claim: Claim) -> TwinInFlight | EventRefused | CatalogueUnavailable:
    if claim.ending is Ending.REFUSED:
        return EventRefused(
            Reason.EVENT_CONFLICT,
            f"arrival {arrival_id} was seen before with another body, or its record cannot be read: give the new event an id of its "
            "own; to replace the article, delete it from the catalogue and redrive",
        )
    if claim.ending is Ending.LEFT:
        behind = ", ".join(claim.blockers) or "its earlier copy"
        return TwinInFlight(f"arrival {arrival_id} waits for {behind}, which looks the same and is not decided yet")
    return CatalogueUnavailable(
        f"the points of arrival {arrival_id} vanish while it is settled: is another worker, or a clean-up, deleting them?"
    )
