"""Workers that live short lives, each ended in its own way, and are started again, as a supervisor would."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.chaos.injections import Injections
from tests.chaos.life import Life
from tests.chaos.rooms import SESSION_S
from tests.integration.system import System
from worker.ops.faults import POINTS

# From the start of a process until it has partitions; on a machine with nothing else to do it is one to three seconds.
JOIN_TIMEOUT_S = 90.0
# A planned crash that was not reached by then (nothing of the kind happened to be in work) is tried again in a later life.
REACH_TIMEOUT_S = 40.0
REACH_ATTEMPTS = 4
# A worker that is ended by a signal works for up to so long for each batch that falls to a life.
WORK_S_A_BATCH = 1.5
# As a supervisor waits after a failure, so that what is down is not asked in a busy loop.
RESTART_PAUSE_S = 1.0
# A worker that was stopped past its session and finds its identity taken has to end by itself.
WOKEN_ENDS_S = 60.0
DRAIN_S = 30.0
OK_CODES = {0: "in order", 75: "restart is safe (75)", 77: "access refused (77)", -9: "SIGKILL"}


class End(StrEnum):
    """How a life ends."""

    POINT = "point"
    KILL = "kill"
    TERM = "term"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Fate:
    """What will become of a worker: `point` and `count` say where it kills itself, `work_s` how long it works before a signal."""

    end: End
    point: str = ""
    count: int = 1
    work_s: float = 0.0
    attempt: int = 1


def deck(kills: int, terms: int, stops: int, batches: float, rng: random.Random) -> deque[Fate]:
    """Lives in random order: seven of ten kills at the named points, all points equally often, the others at any moment.

    `batches` is how many fall to a life on average, so that the faults are spread over all arrivals.
    """
    most = max(2, round(2 * batches))
    at_points = max(1, round(kills * 0.7 / len(POINTS))) * len(POINTS) if kills >= len(POINTS) else round(kills * 0.8)
    points = [POINTS[number % len(POINTS)] for number in range(at_points)]
    if kills < len(POINTS):
        points = rng.sample(POINTS, at_points)
    fates = [Fate(End.POINT, point, rng.randint(1, most)) for point in points]
    for end, count in ((End.KILL, kills - at_points), (End.TERM, terms), (End.STOP, stops)):
        fates += [Fate(end, work_s=rng.uniform(0.1, most * WORK_S_A_BATCH)) for _ in range(count)]
    rng.shuffle(fates)
    return deque(fates)


def name_of(fate: Fate, *, static: bool) -> str:
    """The fault's name in the report."""
    if fate.end is End.POINT:
        return f"SIGKILL {fate.point}"
    if fate.end is End.STOP:
        return f"SIGSTOP past the session, woken ({'same' if static else 'own'} transactional id)"
    return {End.KILL: "SIGKILL at any moment", End.TERM: "SIGTERM"}[fate.end]


@dataclass(slots=True)
class Sleeper:
    """A stopped worker that will be woken at `wake_at` to find its place taken."""

    life: Life
    static: bool
    wake_at: float
    ends_by: float = 0.0


@dataclass(slots=True)
class Crew:
    """Everything the slots share: the deck, the log of faults, the sleepers, how lives ended."""

    system: System
    fates: deque[Fate]
    injections: Injections
    rng: random.Random
    sleepers: list[Sleeper] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    unreached: list[Fate] = field(default_factory=list)
    lives: int = 0
    rebalances: int = 0
    calm: bool = False

    def ended(self, life: Life, *, keep_log: bool = False) -> None:
        """Note how a life ended. Anything but a signal or an exit code that means something is a bug."""
        code = life.code
        log = life.log()
        self.rebalances += log.count("partitions assigned")
        self.codes[OK_CODES.get(code, f"exit {code}") if code is not None else "does not end"] += 1
        # Kafka's client logs tracebacks of its own when a connection breaks; a bare one is this program's.
        bug = "uncaught exception" in log or "\nTraceback" in log or (code not in OK_CODES and code != 1)
        if bug:
            tail = "\n".join(log.splitlines()[-6:])
            self.problems.append(f"a worker ended with {code} ({life.log_path.name}):\n{tail}")
        elif code == -signal.SIGKILL and not keep_log:
            life.log_path.unlink(missing_ok=True)

    def look_after_sleepers(self) -> None:
        """Wake those whose session is over; end those who were woken."""
        now = time.monotonic()
        for sleeper in list(self.sleepers):
            life = sleeper.life
            if sleeper.ends_by == 0.0 and now >= sleeper.wake_at:
                life.signal(signal.SIGCONT)
                sleeper.ends_by = now + WOKEN_ENDS_S
            elif sleeper.ends_by and life.code is not None:
                self.ended(life)
                self.sleepers.remove(sleeper)
            elif sleeper.ends_by and not sleeper.static and now >= sleeper.ends_by - WOKEN_ENDS_S + SESSION_S:
                life.signal(signal.SIGTERM)  # it joined again as a new member; enough
                sleeper.static, sleeper.ends_by = True, now + DRAIN_S
            elif sleeper.ends_by and now >= sleeper.ends_by:
                self.problems.append(f"a woken worker did not end ({life.log_path.name})")
                life.signal(signal.SIGKILL)
                life.wait(10)
                self.ended(life, keep_log=True)
                self.sleepers.remove(sleeper)


@dataclass(slots=True)
class Slot:
    """One place for a worker. `static`: with a group instance id, and so a stable transactional id."""

    number: int
    static: bool
    crew: Crew
    life: Life | None = None
    fate: Fate | None = None
    _since: float = 0.0
    _working: bool = False
    _told: bool = False
    _start_at: float = 0.0

    def tick(self) -> None:
        """See what became of the worker; do to it what is planned; start the next one."""
        if self.life is None:
            if time.monotonic() >= self._start_at:
                self._start()
        elif self.life.code is not None:
            self._after(self.life)
        elif self.fate is not None or not self._working:
            self._during(self.life)

    def calm_down(self) -> None:
        """No more faults: end what would break, let a calm worker take the place."""
        if self.life is not None and self.fate is not None:
            self.life.signal(signal.SIGKILL)
            self.life.wait(10)
            self.crew.ended(self.life)
            self.life = None

    def _start(self) -> None:
        crew = self.crew
        self.fate = crew.fates.popleft() if crew.fates and not crew.calm else None
        more: dict[str, str] = {}
        if self.static:
            more["INTAKE_STREAM__GROUP_INSTANCE_ID"] = f"{crew.system.name}-{self.number}"
        if self.fate is not None and self.fate.end is End.POINT:
            more["INTAKE_OPS__FAULTS"] = f"{self.fate.point}:crash:{self.fate.count}"
        crew.lives += 1
        log = crew.system.folder / f"life-{crew.lives:04d}-slot-{self.number}.log"
        self.life = Life(crew.system.environment() | more, log).start()
        self._since, self._working, self._told = time.monotonic(), False, False

    def _during(self, life: Life) -> None:
        now = time.monotonic()
        if not self._working:
            self._working = life.working
            if self._working or now - self._since < JOIN_TIMEOUT_S:
                self._since = now if self._working else self._since
                return
            self.crew.problems.append(f"a worker got no partition in {JOIN_TIMEOUT_S:.0f} s ({life.log_path.name})")
        fate = self.fate
        if fate is None or self._told:
            if self._told and now - self._since > DRAIN_S:
                self.crew.problems.append(f"a worker did not end on SIGTERM in {DRAIN_S:.0f} s ({life.log_path.name})")
                life.signal(signal.SIGKILL)
        elif fate.end is End.POINT:
            if now - self._since > REACH_TIMEOUT_S:
                self._put_back(fate)
        elif now - self._since > fate.work_s:
            self._signal(life, fate)

    def _signal(self, life: Life, fate: Fate) -> None:
        self._told, self._since = True, time.monotonic()
        self.crew.injections.moment(name_of(fate, static=self.static))
        if fate.end is End.STOP:
            life.signal(signal.SIGSTOP)
            self.crew.sleepers.append(Sleeper(life, self.static, time.monotonic() + 2 * SESSION_S))
            self.life = None  # the next tick starts its successor, under the same identity where it has one
        else:
            life.signal(signal.SIGKILL if fate.end is End.KILL else signal.SIGTERM)

    def _put_back(self, fate: Fate) -> None:
        """The point was not reached: a life in vain. The next attempt strikes at the first time."""
        if fate.attempt < REACH_ATTEMPTS:
            self.crew.fates.append(Fate(End.POINT, fate.point, 1, attempt=fate.attempt + 1))
        else:
            self.crew.unreached.append(fate)
        self.fate = Fate(End.KILL)

    def _after(self, life: Life) -> None:
        if self.fate is not None and self.fate.end is End.POINT:
            if life.code == -signal.SIGKILL:
                self.crew.injections.moment(name_of(self.fate, static=self.static))
            else:  # it ended for another reason, such as a broker that was away, before its point was reached
                self.crew.fates.append(self.fate)
        elif self.fate is not None and not self._told:
            self.crew.fates.append(self.fate)
        self._start_at = time.monotonic() + (RESTART_PAUSE_S if (life.code or 0) > 0 else 0.0)
        self.crew.ended(life)
        self.life = None


def tick_all(slots: Sequence[Slot], crew: Crew, also: Callable[[], object]) -> None:
    """One round over everything that lives."""
    for slot in slots:
        slot.tick()
    crew.look_after_sleepers()
    also()
