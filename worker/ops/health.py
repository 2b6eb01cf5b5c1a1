"""Health: is the worker getting on (live), and can it take work (ready)?

*Live* means progress, not "the process answers": a worker that holds work and moves nothing for `progress_timeout_s` is dead, however
well its web server feels, and so is one whose poll loop stopped turning. A retry counts as movement: while S3 or the index is away
the worker waits on purpose, and restarting it would not bring them back. That shows in *ready*.

*Ready* means: models warm, partitions assigned, dependencies answering. Dependencies are asked in the background; a probe only reads
the last answer, so that a slow dependency never makes a probe slow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

# Between two checks of one dependency. A readiness probe every 5 to 10 s then never reads the same answer more than twice.
DEFAULT_INTERVAL_S = 5.0
# An answer older than its interval plus this is no answer. Checks have their own, shorter timeouts; this is the net below them.
DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one probe: good or not, and why, by part."""

    ok: bool
    details: Mapping[str, str]


@dataclass(slots=True)
class Progress:
    """When the worker last moved. The stream calls `beat` each turn of its poll loop and `move` when a batch got on.

    `waiting` tells whether work waits: something is in flight, or an assigned partition has a lag. An idle worker is alive.
    """

    timeout_s: float
    waiting: Callable[[], bool] = field(default=lambda: False)
    clock: Callable[[], float] = time.monotonic
    _moved_at: float = field(init=False)
    _beat_at: float | None = field(init=False, default=None)
    _waiting_since: float | None = field(init=False, default=None)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Starting counts as a movement."""
        self._moved_at = self.clock()

    def beat(self) -> None:
        """The poll loop turned once more. After the first beat, a loop that stops turning is a dead worker, idle or not."""
        self._beat_at = self.clock()

    def move(self) -> None:
        """A batch got on: a stage ended, a transaction committed, a retry was made."""
        self._moved_at = self.clock()

    def stop_beating(self) -> None:
        """The poll loop ended on purpose (shutdown): its silence means nothing from now on."""
        self._beat_at = None

    def verdict(self) -> Verdict:
        """What `/livez` says. Work that arrives after a long idle time has the whole timeout from the moment it was seen."""
        with self._lock:
            now = self.clock()
            if not self.waiting():
                self._waiting_since = None
            elif self._waiting_since is None:
                self._waiting_since = now
            beat = self._beat_at
            if beat is not None and now - beat > self.timeout_s:
                return Verdict(ok=False, details={"progress": f"the poll loop has not turned for {now - beat:.0f} s"})
            if self._waiting_since is not None:
                still = now - max(self._moved_at, self._waiting_since)
                if still > self.timeout_s:
                    return Verdict(ok=False, details={"progress": f"work waits and nothing moved for {still:.0f} s"})
                return Verdict(ok=True, details={"progress": f"working, moved {now - self._moved_at:.0f} s ago"})
            return Verdict(ok=True, details={"progress": "idle: no work waits"})


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something the worker cannot do without. `check` returns if it answers and raises otherwise; it has its own short timeout."""

    name: str
    check: Callable[[], None]
    interval_s: float = DEFAULT_INTERVAL_S
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is known at once, such as warm models. `holds` must not block; `otherwise` says what is missing."""

    name: str
    holds: Callable[[], bool]
    otherwise: str


@dataclass(frozen=True, slots=True)
class _Answer:
    at: float
    error: str | None


class Readiness:
    """Asks the dependencies in the background (a thread each, so that one that hangs hides no other) and answers `/readyz`."""

    def __init__(
        self,
        conditions: Sequence[Condition] = (),
        dependencies: Sequence[Dependency] = (),
        *,
        on_answer: Callable[[str, bool], None] = lambda _name, _ok: None,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_answer` is told of each check (the metrics); `redact` cleans error texts, for `/readyz` shows them to anyone."""
        self._conditions = tuple(conditions)
        self._dependencies = tuple(dependencies)
        self._on_answer = on_answer
        self._redact = redact
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._stopping = threading.Event()
        self._draining = threading.Event()
        self._threads: list[threading.Thread] = []

    def watch(self, dependency: Dependency) -> None:
        """Ask this one too; before `start`. For dependencies that are opened only after the probes are served."""
        self._dependencies = (*self._dependencies, dependency)

    def start(self) -> None:
        """Begin asking."""
        for dependency in self._dependencies:
            thread = threading.Thread(target=self._ask_for_ever, args=(dependency,), name=f"ready-{dependency.name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Stop asking. A check that hangs is left behind (its thread is a daemon)."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)

    def __enter__(self) -> Self:
        """Start on entering."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop on leaving."""
        self.stop()

    def drain(self) -> None:
        """The worker is shutting down: not ready from now on, whatever answers."""
        self._draining.set()

    def verdict(self) -> Verdict:
        """What `/readyz` says. Never blocks: only what is known is read."""
        details: dict[str, str] = {}
        ok = True
        if self._draining.is_set():
            ok, details["shutdown"] = False, "draining"
        for condition in self._conditions:
            holds = condition.holds()
            ok = ok and holds
            details[condition.name] = "ok" if holds else condition.otherwise
        for dependency in self._dependencies:
            error = self._error_of(dependency)
            ok = ok and error is None
            details[dependency.name] = "ok" if error is None else error
        return Verdict(ok=ok, details=details)

    def _error_of(self, dependency: Dependency) -> str | None:
        answer = self._answers.get(dependency.name)
        if answer is None:
            return "not asked yet"
        age = self._clock() - answer.at
        if age > dependency.interval_s + dependency.timeout_s:
            return f"has not answered for {age:.0f} s"
        return answer.error

    def _ask_for_ever(self, dependency: Dependency) -> None:
        while not self._stopping.is_set():
            try:
                dependency.check()
            except Exception as error:  # noqa: BLE001  whatever is wrong, it is the answer; asking goes on
                text = self._redact(f"{type(error).__name__}: {error}")
                self._answers[dependency.name] = _Answer(self._clock(), text)
            else:
                self._answers[dependency.name] = _Answer(self._clock(), None)
            self._on_answer(dependency.name, self._answers[dependency.name].error is None)
            self._stopping.wait(dependency.interval_s)
