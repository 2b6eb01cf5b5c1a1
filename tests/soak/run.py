"""A soak: steady load at a share of what the machine sustains, with rebalances and mild faults, then ten times the load, then the verdict."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.feeder import Feeder
from tests.chaos.life import Life
from tests.chaos.reader import OutcomeReader
from tests.chaos.rooms import Rooms, open_rooms
from tests.chaos.truth import plan
from tests.chaos.verdict import Verdict, judge
from tests.infra.kafka import wait_until
from tests.infra.s3_proxy import Fault, Mode
from tests.soak.measure import Samples, latencies_s, percentile

LOAD = 0.8
BURST = 10
SAMPLE_S = 1.0
TICK_S = 0.05
# Between two disturbances; each is one of DISTURBANCES in turn.
DISTURB_EVERY_S = 20.0
DISTURBANCE_S = 3.0
STALLED_S = 120.0
JOIN_S = 90.0
# After the first arrivals it is measured for as long as each disturbance takes to come once.
WARM_UP, CALIBRATION_S = 200, 5 * DISTURB_EVERY_S + 5
MOST_CALIBRATION = 60_000  # more than can be sent in that time
# Photos that lie in the bucket before they are asked for: several seconds' arrivals.
AHEAD = 200
# Arrivals that wait while it is measured what the machine sustains: enough for every partition's batch to be full.
WAITING = 300
# Less of the load than this was sent: the feeder could not keep up, and nothing else was measured.
SENT_SHARE = 0.98


# One arrival in about twenty is a new garment, the others are known ones again. The stand-in's search is exact: with every second arrival a new garment
# the index, and with it the cost of an arrival, would grow the whole time, and a load of 80 % of what went at the start would be too much at the end.
PATTERNS = ((0.5, 1, 15), (0.3, 1, 30), (0.1, 2, 14), (0.1, 3, 13))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how many workers, for how many seconds the burst lasts, and the most arrivals per second (None: 80 % of what goes)."""

    minutes: float
    workers: int
    burst_s: float
    seed: int
    most_per_s: float | None = None


@dataclass(slots=True)
class Result:
    """What was measured."""

    plan: Plan
    sustained: float = 0.0
    load: float = 0.0
    soaked: int = 0
    machine_load: float = 0.0
    warm_mb: float = 0.0
    end_mb: float = 0.0
    flat: bool = False
    most_lag: int = 0
    lag_at_end: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    burst: int = 0
    burst_rate: float = 0.0
    drained_s: float = 0.0
    disturbances: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    commits: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def bounded(self) -> bool:
        """Whether the load was kept up with: at the end no more was waiting than a few seconds' arrivals."""
        return self.lag_at_end <= 10 * self.load

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, memory is flat and lag bounded."""
        return self.verdict.kept and self.commits and self.flat and self.bounded and not self.problems


class Soak:
    """One soak on open rooms."""

    def __init__(self, wanted: Plan, rooms: Rooms, say: Callable[[str], None]) -> None:
        self.wanted, self.rooms, self.say = wanted, rooms, say
        self.result = Result(wanted)
        self.feeders: list[Feeder] = []
        self.workers: list[Life] = []
        self.started = 0
        topics = tuple(rooms.system.topic(name) for name in ("match-alert", "catalogue-insert", "dead-letter"))
        self.reader = OutcomeReader(rooms.kafka.bootstrap_servers, topics)  # type: ignore[arg-type]

    def run(self) -> Result:
        """Everything, in order."""
        try:
            self.workers = [self.start_worker() for _ in range(self.wanted.workers)]
            for worker in self.workers:
                wait_until(lambda worker=worker: worker.working, "a worker's partitions", JOIN_S)  # type: ignore[misc]
            self._calibrate()
            self._steady()
            self._burst()
        finally:
            for worker in self.workers:
                worker.end()
        self._judge()
        return self.result

    @property
    def sent(self) -> int:
        """Arrivals sent so far."""
        return sum(feeder.sent for feeder in self.feeders)

    @property
    def lag(self) -> int:
        """Arrivals sent and not decided."""
        return self.sent - len(self.reader.found)

    def start_worker(self) -> Life:
        """One more worker."""
        self.started += 1
        return Life(self.rooms.system.environment(), self.rooms.system.folder / f"soak-{self.started:03d}.log").start()

    def _feeder(self, arrivals: int, name: str, ahead: int = AHEAD) -> Feeder:
        seed = self.wanted.seed + len(self.feeders)
        feeder = Feeder(self.rooms.system, plan(arrivals, seed, name, PATTERNS), seed)
        self.say(f"{name}: {arrivals} arrivals, uploading the first {min(ahead, arrivals)} photos")
        feeder.begin_uploads(ahead)
        self.feeders.append(feeder)
        return feeder

    def _wait(self, what: str) -> None:
        """Until everything that was sent is decided."""
        moved, at = len(self.reader.found), time.monotonic()
        while self.lag > 0:
            found = self.reader.poll(TICK_S)
            if found > moved:
                moved, at = found, time.monotonic()
            elif time.monotonic() - at > STALLED_S:
                self.result.problems.append(f"{what}: nothing was decided for {STALLED_S:.0f} s, {self.lag} wait")
                return

    def _calibrate(self) -> None:
        """What the machine sustains with everything that the soak asks of it: uploads at the same rate, and each of the disturbances once.

        Without them it would be what goes at best: 80 % of that is more than a sender on the same cores keeps up for half an hour.
        """
        feeder = self._feeder(MOST_CALIBRATION, "calibration")
        disturb = _Disturbances(self)
        began, before, found, moved = 0.0, 0, 0, time.monotonic()
        while before == 0 or time.monotonic() - began < CALIBRATION_S:
            feeder.send_up_to(found + WAITING)
            now_found = self.reader.poll(TICK_S)
            if now_found > found:
                found, moved = now_found, time.monotonic()
            elif time.monotonic() - moved > STALLED_S:
                raise RuntimeError(f"nothing was decided for {STALLED_S:.0f} s while measuring what the machine sustains")
            if before == 0 and found >= WARM_UP:
                began, before = time.monotonic(), found
            if before:
                disturb.tick(time.monotonic() - began)
        self.result.sustained = (found - before) / (time.monotonic() - began)
        disturb.clear()
        self._wait("calibration")
        feeder.finish(30)
        self.result.load = min(LOAD * self.result.sustained, self.wanted.most_per_s or float("inf"))
        self.say(f"sustained {self.result.sustained:.1f} arrivals/s; soaking at {self.result.load:.1f}/s")

    def _steady(self) -> None:
        result, seconds = self.result, self.wanted.minutes * 60
        feeder = self._feeder(int(result.load * seconds), "soak")
        before = len(self.reader.found)
        disturb = _Disturbances(self)
        samples = Samples()
        next_look = next_word = 0.0
        while (elapsed := time.monotonic() - samples.began) < seconds:
            feeder.send_up_to(int(elapsed * result.load))
            self.reader.poll(TICK_S)
            disturb.tick(elapsed)
            if elapsed >= next_look:
                samples.look(self.workers[0].pid, self.lag)
                next_look = elapsed + SAMPLE_S
            if elapsed >= next_word:
                self.say(f"{elapsed:.0f} of {seconds:.0f} s, lag {self.lag}, {samples.all[-1].rss_mb:.0f} MB, {disturb.counts}")
                next_word = elapsed + 30
        disturb.clear()
        result.lag_at_end, result.most_lag = self.lag, samples.most_lag()
        self._wait("soak")
        feeder.finish(30)
        if feeder.sent < SENT_SHARE * result.load * seconds:
            result.problems.append(
                f"only {feeder.sent} of {result.load * seconds:.0f} arrivals were sent: the feeder was too slow"
            )
        taken = latencies_s(feeder.sent_at, self.reader.found[before:])
        result.soaked, result.p50_s, result.p99_s = feeder.sent, percentile(taken, 0.5), percentile(taken, 0.99)
        result.warm_mb, result.end_mb = samples.warm_and_end_mb()
        result.machine_load = samples.machine_load()
        result.flat, result.disturbances = samples.flat, disturb.counts
        if self.workers[0].code is not None:
            result.problems.append(f"the worker that should live through the soak ended with {self.workers[0].code}")

    def _burst(self) -> None:
        rate = BURST * self.result.load
        # A burst is one of events whose photos lie there: all are uploaded before it.
        arrivals = int(rate * self.wanted.burst_s)
        feeder = self._feeder(arrivals, "burst", ahead=arrivals)
        began = time.monotonic()
        while feeder.sent < len(feeder.planned):
            feeder.send_up_to(int((time.monotonic() - began) * rate) + 1)
            self.reader.poll(TICK_S / 5)
        took = time.monotonic() - began
        self.result.burst, self.result.burst_rate = feeder.sent, feeder.sent / took
        self.say(f"burst: {feeder.sent} arrivals in {took:.1f} s, lag {self.lag}")
        self._wait("burst")
        self.result.drained_s = time.monotonic() - began - took

    def _judge(self) -> None:
        for feeder in self.feeders:
            feeder.finish(30)
        self.reader.poll(1.0)
        self.reader.close()
        system = self.rooms.system
        sent = Counter((each.key or b"").decode() for each in system.kafka.read(system.topic("item-photographed")))
        by_seed = itertools.count()
        planned = []
        for feeder in self.feeders:
            # Garments of different seeds are different garments.
            shift = next(by_seed) * 1_000_000
            planned += [
                type(each)(each.arrival_id, each.kind, each.garment + shift, each.shot, each.together)
                for each in feeder.planned[: feeder.sent]
            ]
        self.result.verdict = judge(planned, sent, self.reader.found, system.points())
        self.result.commits = system.committed_everything()


class _Disturbances:
    """What happens every twenty seconds: workers come and go, S3 and the index are a little ill."""

    def __init__(self, soak: Soak) -> None:
        self.soak = soak
        self.counts: Counter[str] = Counter()
        self._next = DISTURB_EVERY_S
        self._clear_at: float | None = None
        self._turn = itertools.cycle(
            ("worker restarted", "S3 answers 503", "worker joined and left", "index answers slowly", "worker killed")
        )
        self._leaving: Life | None = None

    def tick(self, elapsed: float) -> None:
        """Begin or end one if it is time."""
        if self._clear_at is not None and elapsed >= self._clear_at:
            self.clear()
        if elapsed >= self._next:
            self._next = elapsed + DISTURB_EVERY_S
            self._begin(next(self._turn))
            self._clear_at = elapsed + DISTURBANCE_S

    def clear(self) -> None:
        """End it."""
        self.soak.rooms.proxy.set()
        self.soak.rooms.index.heal()
        if self._leaving is not None:
            self._leaving.signal(signal.SIGTERM)
            self._leaving = None
        self._clear_at = None

    def _begin(self, what: str) -> None:
        self.counts[what] += 1
        soak = self.soak
        if what == "S3 answers 503":
            soak.rooms.proxy.set(Fault(Mode.ERROR, share=0.1))
        elif what == "index answers slowly":
            soak.rooms.index.fault("slow", seconds=0.05)
        elif what == "worker joined and left":
            self._leaving = soak.start_worker()
        elif what == "worker killed":
            soak.workers[-1].signal(signal.SIGKILL)
            soak.workers[-1] = soak.start_worker()
        else:
            soak.workers[-1].signal(signal.SIGTERM)
            soak.workers[-1] = soak.start_worker()


def run(wanted: Plan, folder: Path, say: Callable[[str], None]) -> Result:
    """Start the servers, soak, judge. `folder` is for data and logs."""
    with open_rooms(folder, wanted.seed) as rooms:
        return Soak(wanted, rooms, say).run()
