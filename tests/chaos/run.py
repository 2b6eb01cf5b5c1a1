"""One chaos run: everything breaks at once while arrivals flow; then calm; then the verdict."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.feeder import Feeder
from tests.chaos.injections import Injections, Row, rows
from tests.chaos.reader import OutcomeReader
from tests.chaos.rooms import BATCH, Rooms, open_rooms
from tests.chaos.slots import Crew, End, Fate, Slot, deck, name_of, tick_all
from tests.chaos.truth import plan
from tests.chaos.verdict import Verdict, judge
from tests.chaos.weather import KINDS, Weather, forecast
from worker.ops.faults import POINTS

TICK_S = 0.05
# Arrivals that may be sent and undecided: work for every worker, and an arrival's life short enough to tell faults apart.
MOST_AHEAD, LEAST_AHEAD = 200, 40
# Arrivals that are sent to meet a fault when nothing else is to be done; the faults hit at least every fifth request.
MEETING = 8
# Everything stands still for so long: broken, whatever the reason.
STALLED_S = 150.0
CALM_TIMEOUT_S = 240.0
STATIC_SLOTS, DYNAMIC_SLOTS = 2, 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How much chaos. `minutes` bounds the time in which things break; `weather` are faults of the surroundings, `rounds` times."""

    arrivals: int
    kills: int
    terms: int
    stops: int
    rounds: int
    seed: int
    minutes: float
    weather: Sequence[str] = KINDS

    @property
    def batches_of_a_life(self) -> float:
        """How many batches a worker sees on average before it is ended."""
        return self.arrivals / BATCH / max(1, self.kills + self.terms + self.stops)

    def kinds(self) -> tuple[str, ...]:
        """Every fault that can be injected, in the order of the report."""
        ends = [Fate(End.KILL), Fate(End.TERM)]
        stopped = [name_of(Fate(End.STOP), static=static) for static in (True, False)]
        return (
            *(f"SIGKILL {point}" for point in POINTS),
            *(name_of(fate, static=False) for fate in ends),
            *stopped,
            *KINDS,
        )


@dataclass(slots=True)
class Result:
    """What a run showed."""

    plan: Plan
    verdict: Verdict
    table: list[Row]
    codes: Counter[str]
    problems: list[str]
    lives: int
    rebalances: int
    chaos_s: float
    calm_s: float
    commits: bool
    not_injected: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Workers killed with SIGKILL."""
        return sum(row.injected for row in self.table if row.fault.startswith("SIGKILL"))

    @property
    def passed(self) -> bool:
        """Whether every promise was kept, everything was injected, and nothing else was odd."""
        return self.verdict.kept and self.commits and not self.problems and not self.not_injected


def run(wanted: Plan, folder: Path, say: Callable[[str], None]) -> Result:
    """Run it.

    Args:
        wanted: how much of what.
        folder: for data and logs; it must be empty.
        say: is told every few seconds how it goes.
    """
    rng = random.Random(wanted.seed)
    with open_rooms(folder, wanted.seed) as rooms:
        feeder = Feeder(rooms.system, plan(wanted.arrivals, wanted.seed), wanted.seed)
        say(f"uploading the photos of {wanted.arrivals} arrivals")
        feeder.upload()
        outputs = tuple(rooms.system.topic(name) for name in ("match-alert", "catalogue-insert", "dead-letter"))
        reader = OutcomeReader(rooms.kafka.bootstrap_servers, outputs)  # type: ignore[arg-type]
        reader.poll()  # connects while the broker is there
        injections = Injections()
        fates = deck(wanted.kills, wanted.terms, wanted.stops, wanted.batches_of_a_life, rng)
        crew = Crew(rooms.system, fates, injections, rng)
        slots = [Slot(number, number < STATIC_SLOTS, crew) for number in range(STATIC_SLOTS + DYNAMIC_SLOTS)]
        weather = Weather(rooms, injections, forecast(wanted.weather, wanted.rounds, rng), rng)
        act = _Act(wanted, rooms, feeder, reader, crew, slots, weather, say)
        try:
            began = time.monotonic()
            act.chaos()
            broke = time.monotonic()
            act.calm()
            calmed = time.monotonic()
        finally:
            for life in [slot.life for slot in slots if slot.life] + [sleeper.life for sleeper in crew.sleepers]:
                life.end()
        reader.poll(1.0)
        reader.close()
        sent = Counter((each.key or b"").decode() for each in rooms.system.kafka.read(rooms.system.topic("item-photographed")))
        verdict = judge(feeder.planned[: feeder.sent], sent, reader.found, rooms.system.points())
        table = rows(wanted.kinds(), injections, feeder.sent_at, reader.found, verdict)
        planned_kinds = {f"SIGKILL {fate.point}" for fate in (*crew.unreached, *crew.fates) if fate.end is End.POINT}
        expected = {*weather.forecast, *planned_kinds, *act.planned_ends}
        return Result(
            wanted, verdict, table, crew.codes, [*crew.problems, *act.problems], crew.lives, crew.rebalances,
            broke - began, calmed - broke, rooms.system.committed_everything(),
            [row.fault for row in table if row.fault in expected and row.injected == 0],
        )  # fmt: skip


class _Act:
    """The course of a run: chaos until every fault was injected and every arrival sent, then calm until all is decided."""

    def __init__(
        self,
        wanted: Plan,
        rooms: Rooms,
        feeder: Feeder,
        reader: OutcomeReader,
        crew: Crew,
        slots: Sequence[Slot],
        weather: Weather,
        say: Callable[[str], None],
    ) -> None:
        self.wanted, self.rooms, self.feeder, self.reader = wanted, rooms, feeder, reader
        self.crew, self.slots, self.weather, self.say = crew, slots, weather, say
        self.problems: list[str] = []
        self.planned_ends = {name_of(fate, static=False) for fate in crew.fates if fate.end is not End.STOP}
        self._fates = len(crew.fates)
        self._said = 0.0
        self._moved = (0, time.monotonic())

    def chaos(self) -> None:
        """Break everything until nothing is left to break, or the time is over."""
        end = time.monotonic() + self.wanted.minutes * 60
        while self._unfinished():
            if time.monotonic() > end:
                self.problems.append(f"after {self.wanted.minutes:g} minutes {self._state()}")
                break
            if self._round() == "stalled":
                break
            self._feed(self._share())
        self.weather.clear()

    def calm(self) -> None:
        """Send the rest, break nothing, and wait until everything sent is decided."""
        self.crew.calm = True
        for slot in self.slots:
            slot.calm_down()
        self.weather.forecast = self.weather.forecast[: self.weather.done]
        end = time.monotonic() + CALM_TIMEOUT_S + len(self.feeder.planned) / 50
        while self.feeder.sent < len(self.feeder.planned) or self.reader.poll() < self.feeder.sent or self.crew.sleepers:
            if time.monotonic() > end:
                self.problems.append(f"in calm, {self._state()}")
                break
            if self._round() == "stalled":
                break
            self._feed(1.0)
        self.feeder.finish(60.0)
        # More than one outcome for an event would come late: wait until the group has committed everything.
        while not (self.rooms.system.committed_everything() and self.reader.at_the_end()) and time.monotonic() < end:
            self._round()

    def _unfinished(self) -> bool:
        breaking = self.crew.fates or any(slot.fate is not None for slot in self.slots) or self.crew.sleepers
        return bool(breaking) or not self.weather.over

    def _share(self) -> float:
        """How much of the faults is behind us; as much of the arrivals may be sent."""
        left = len(self.crew.fates) + sum(slot.fate is not None for slot in self.slots)
        lives = 1.0 - left / max(1, self._fates)
        return max(0.0, min(lives, self.weather.share))

    def _feed(self, share: float) -> None:
        decided, planned = len(self.reader.found), len(self.feeder.planned)
        ahead = min(MOST_AHEAD, max(LEAST_AHEAD, planned // 20))
        most = min(decided + ahead, int(planned * share) + ahead)
        if decided >= self.feeder.sent and self.weather.unmet():
            most = self.feeder.sent + MEETING  # whatever else is waited for, a fault that nobody meets waits for work
        self.feeder.send_up_to(most)

    def _round(self) -> str:
        tick_all(self.slots, self.crew, lambda: self.weather.tick(len(self.reader.found) / len(self.feeder.planned)))
        found = self.reader.poll(TICK_S)
        now = time.monotonic()
        if found > self._moved[0] or found >= self.feeder.sent:
            self._moved = (found, now)
        elif now - self._moved[1] > STALLED_S:
            self.problems.append(f"nothing was decided for {STALLED_S:.0f} s: {self._state()}")
            return "stalled"
        if now - self._said > 10.0:
            self._said = now
            self.say(self._state())
        return "going"

    def _state(self) -> str:
        return (
            f"{self.feeder.sent} of {len(self.feeder.planned)} arrivals sent, {len(self.reader.found)} decided; {self.crew.lives} "
            f"lives, {len(self.crew.fates)} fates left; {self.weather.done} of {len(self.weather.forecast)} faults of the surroundings"
        )
