"""The seam at which tests break the worker: named points between poll and commit.

Off unless ``INTAKE_OPS__FAULTS`` is set. A plan is a comma-separated list of ``point:action[:count[:argument]]``: at the `count`-th time
`point` is reached (default 1), do `action`: ``crash`` (SIGKILL to itself), ``stop`` (SIGSTOP to itself), ``raise`` (a RetryError), ``exit``
(a StopError), ``sleep`` (`argument` seconds). ``count`` of ``*`` means every time.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from worker.errors import ConfigurationError, RetryError, StopError

# Every point at which the flow can be broken, in the order of the flow.
POINTS = (
    "after-poll",
    "before-fetch",
    "after-fetch",
    "before-decode",
    "after-decode",
    "before-segment",
    "after-segment",
    "before-embed",
    "after-embed",
    "before-search",
    "after-search",
    "before-settle",
    "after-pending-write",
    "after-second-search",
    "before-settle-write",
    "after-settle-write",
    "after-settle",
    "before-publish",
    "after-publish",
    "before-transaction",
    "after-begin",
    "after-send",
    "after-offsets",
    "before-commit",
    "after-commit",
)
ACTIONS = ("crash", "stop", "raise", "exit", "sleep")


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do at a point. `count` 0 means every time."""

    point: str
    action: str
    count: int = 1
    argument: float = 0.0


@dataclass(slots=True)
class Faults:
    """The planned faults of one process. `reach` is called at every named point; without a plan it costs one dictionary look-up."""

    plan: tuple[Fault, ...] = ()
    _seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, text: str | None) -> Faults:
        """Read a plan; raises `ConfigurationError` on an unknown point or action."""
        if not text:
            return cls()
        plan = []
        for part in text.split(","):
            words = part.strip().split(":")
            if len(words) < 2 or words[0] not in POINTS or words[1] not in ACTIONS:
                raise ConfigurationError(
                    f"INTAKE_OPS__FAULTS: {part!r} is not point:action[:count[:argument]] of known points and actions"
                )
            count = 0 if len(words) > 2 and words[2] == "*" else int(words[2]) if len(words) > 2 else 1
            plan.append(Fault(words[0], words[1], count, float(words[3]) if len(words) > 3 else 0.0))
        return cls(tuple(plan))

    def reach(self, point: str) -> None:
        """Do what is planned for `point`, if anything is."""
        if not self.plan:
            return
        with self._lock:
            self._seen[point] += 1
            seen = self._seen[point]
        for fault in self.plan:
            if fault.point == point and fault.count in (0, seen):
                self._do(fault)

    @staticmethod
    def _do(fault: Fault) -> None:
        if fault.action == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif fault.action == "sleep":
            time.sleep(fault.argument)
        elif fault.action == "raise":
            raise RetryError(f"injected at {fault.point}")
        else:
            raise StopError(f"injected at {fault.point}")
