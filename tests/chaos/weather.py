"""What the surroundings do to the workers: S3, the index and Kafka answer errors, nothing, rubbish, or are gone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.injections import Injection, Injections
from tests.chaos.rooms import Rooms
from tests.infra.s3_proxy import Fault, Mode

WINDOW_S = 2.5
GAP_S = 1.0
# A fault is kept up until a request met it, also when all workers were just starting; so long at most.
MEET_S = 90.0
# Kafka away for so long: shorter than the session, then longer.
AWAY_S = (2.0, 6.0)
S3_FAULTS = {
    "S3 answers 503": Fault(Mode.ERROR, share=0.5),
    "S3 answers 500": Fault(Mode.ERROR, status=500, code="InternalError", share=0.7),
    "S3 does not answer": Fault(Mode.TIMEOUT, share=0.5),
    "S3 answers slowly": Fault(Mode.SLOW_HEAD, delay_s=0.4, share=0.7),
    "S3's bodies trickle": Fault(Mode.SLOW_BODY, delay_s=0.01, share=0.3),
    "S3 answers rubbish": Fault(Mode.RUBBISH, share=0.5),
    "S3's bodies are rubbish": Fault(Mode.RUBBISH_BODY, share=0.5),
    "S3 answers a web page": Fault(Mode.PAGE, share=0.5),
    "S3's bodies are cut short": Fault(Mode.SHORT, share=0.5),
    "S3 resets connections": Fault(Mode.RESET, share=0.5),
    "S3 resets in mid-body": Fault(Mode.RESET_MIDWAY, share=0.5),
    "S3's bodies never end": Fault(Mode.LYING_LENGTH, share=0.2),
}
INDEX_FAULTS: dict[str, dict[str, object]] = {
    "index answers 500": {"kind": "error-500"},
    "index answers 503": {"kind": "error-503"},
    "index limits the rate": {"kind": "rate-limit"},
    "index has a full disk": {"kind": "disk-full", "method": "PUT|POST", "path": "/points"},
    "index answers rubbish": {"kind": "rubbish"},
    "index answers a web page": {"kind": "html"},
    "index answers rubbish after doing it": {"kind": "rubbish", "after": True},
    "index resets connections": {"kind": "reset"},
    "index resets after doing it": {"kind": "reset", "after": True},
    "index does not answer": {"kind": "hang", "seconds": 3.0},
    "index does not answer after doing it": {"kind": "hang", "seconds": 3.0, "after": True},
    "index answers slowly": {"kind": "slow", "seconds": 0.3},
    "index leaves answers out": {"kind": "short", "path": "query/batch"},
    "index refuses writes": {"kind": "forbidden", "count": 3, "method": "PUT"},
}
OTHERS = ("index killed and started", "Kafka stopped and started", "Kafka killed and started")
KINDS = (*S3_FAULTS, *INDEX_FAULTS, *OTHERS)


@dataclass(slots=True)
class Weather:
    """Faults of the surroundings, one after the other: `tick` ends the one in force and begins another when it is time."""

    rooms: Rooms
    injections: Injections
    forecast: list[str]
    rng: random.Random
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    _before: int = 0
    _until: float = 0.0
    _meet_by: float = 0.0
    _current: Injection | None = None
    _undo: Callable[[], object] | None = field(default=None)

    @property
    def over(self) -> bool:
        """Whether every fault has begun and ended."""
        return self.done >= len(self.forecast) and self._current is None

    @property
    def share(self) -> float:
        """How much of the arrivals may be sent so far: for each fault that has not begun, and after the last, some are left."""
        if self.over:
            return 1.0
        return self.done / (len(self.forecast) + 1)

    def unmet(self) -> bool:
        """Whether a fault is in force that no request has met yet."""
        current = self._current
        return current is not None and current.kind not in OTHERS and self._hits(current.kind) == self._before

    def tick(self, decided: float) -> None:
        """Begin or end a fault if it is time; none begins before its share of the arrivals is decided, none ends before it was met."""
        now = self.clock()
        if now < self._until:
            return
        if self._current is not None:
            if self.unmet() and now < self._meet_by:
                return
            self.clear()
            self._until = self.clock() + GAP_S
        elif self.done < len(self.forecast) and decided > 0.0 and self.done <= decided * (len(self.forecast) + 1):
            kind = self.forecast[self.done]
            self.done += 1
            self._before = self._hits(kind)
            self._current = self.injections.begin(kind)
            length = WINDOW_S
            if kind in S3_FAULTS:
                self.rooms.proxy.set(S3_FAULTS[kind])
                self._undo = self.rooms.proxy.set
            elif kind in INDEX_FAULTS:
                self.rooms.index.fault(**INDEX_FAULTS[kind])  # type: ignore[arg-type]
                self._undo = self.rooms.index.heal
            else:
                length = self._take_away(kind)
            self._until = self.clock() + length
            self._meet_by = self.clock() + MEET_S

    def clear(self) -> None:
        """End the fault in force. One that no request met was none: it is not counted."""
        if self._current is not None and self.unmet():
            self.injections.all.remove(self._current)
            self._current = None
        if self._undo is not None:
            self._undo()
            self._undo = None
        if self._current is not None:
            self.injections.end(self._current)
            self._current = None

    def _hits(self, kind: str) -> int:
        """How many requests met this fault so far."""
        if kind in S3_FAULTS:
            return self.rooms.proxy.hits[S3_FAULTS[kind].mode]
        return self.rooms.index.hits() if kind in INDEX_FAULTS else 0

    def _take_away(self, kind: str) -> float:
        kafka, index = self.rooms.kafka, self.rooms.index
        if kind == "index killed and started":
            index.kill()
            self._undo = index.start
            return self.rng.uniform(0.5, WINDOW_S)
        (kafka.kill if kind.startswith("Kafka killed") else kafka.stop)()
        self._undo = kafka.start
        return self.rng.uniform(*AWAY_S)


def forecast(kinds: Sequence[str], rounds: int, rng: random.Random) -> list[str]:
    """Every kind so often, in random order within each round."""
    faults: list[str] = []
    for _ in range(rounds):
        faults += rng.sample(list(kinds), len(kinds))
    return faults
