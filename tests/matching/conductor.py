"""Runs several real settle stages in threads, one step at a time, in an order it chooses; can kill any of them at any step."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.matching.watched import Crashed
from worker.matching.requests import SettleOutcome
from worker.matching.tools import SettleTools

# What one racer does in one life: everything from its first search to an outcome for each of its arrivals.
Life = Callable[[SettleTools], dict[str, SettleOutcome]]
# Far more steps than any race needs under a fair order.
MOST_STEPS = 20_000


@dataclass
class Racer:
    """One worker: its lives, and where it stands."""

    name: str
    life: Life
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    at: str = "start"
    kill: bool = False
    outcomes: dict[str, SettleOutcome] | None = None
    error: BaseException | None = None
    thread: threading.Thread | None = None


class Conductor:
    """Only the racer it chose runs; all others stand at a seam. The same seed gives the same race."""

    def __init__(self, lives: Mapping[str, Life], rng: random.Random, kills: float = 0.0) -> None:
        """`kills`: the probability of a death at each step, at most three in a race."""
        self._racers = [Racer(name, life) for name, life in lives.items()]
        self._rng = rng
        self._kills = kills
        self._back = threading.Semaphore(0)
        self._now = 0.0
        self.deaths = 0
        self.way: list[str] = []

    def run(self, style: str) -> dict[str, SettleOutcome]:
        """Race to the end in one of three styles: random, lockstep, bursts (one runs ahead for some steps)."""
        for racer in self._racers:
            self._start(racer)
        last: Racer | None = None
        burst = 0
        for step in range(MOST_STEPS):
            alive = [racer for racer in self._racers if racer.outcomes is None]
            if not alive:
                return {name: one for racer in self._racers for name, one in (racer.outcomes or {}).items()}
            if style == "lockstep":
                racer = alive[step % len(alive)]
            elif style == "bursts" and burst > 0 and last in alive and last is not None:
                racer, burst = last, burst - 1
            else:
                racer, burst = self._rng.choice(alive), self._rng.randrange(12)
            last = racer
            self._step(racer)
        raise AssertionError(f"no end after {MOST_STEPS} steps: {self.way[-60:]}")

    def _step(self, racer: Racer) -> None:
        racer.kill = racer.at != "start" and self.deaths < 3 and self._rng.random() < self._kills
        self.way.append(f"{racer.name}:{'dies at ' if racer.kill else ''}{racer.at}")
        racer.go.release()
        if not self._back.acquire(timeout=60):
            raise AssertionError(f"{racer.name} does not come back from {racer.at}")
        if isinstance(racer.error, Crashed):
            # Its event is read again by whoever takes over.
            self.deaths += 1
            racer.error, racer.at = None, "start"
            self._start(racer)
        elif racer.error is not None:
            raise racer.error

    def _start(self, racer: Racer) -> None:
        racer.thread = threading.Thread(target=self._live, args=(racer,), daemon=True)
        racer.thread.start()

    def _live(self, racer: Racer) -> None:
        racer.go.acquire()
        try:
            racer.outcomes = racer.life(self._tools(racer))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            racer.error = error
        self._back.release()

    def _tools(self, racer: Racer) -> SettleTools:
        def stand(step: str, _arrivals: tuple[str, ...] = ()) -> None:
            racer.at = step
            self._back.release()
            racer.go.acquire()
            if racer.kill:
                raise Crashed

        def sleep(seconds: float) -> None:
            self._now += seconds
            stand("asleep")

        return SettleTools(between=stand, sleep=sleep, clock=lambda: self._now, jitter=lambda: 0.5)
