"""What the settle stage takes from the world: clocks, a fence, and the seams at which tests break and interleave it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from worker.ops.faults import Faults

# Called before and after every step with its name ("before-write", ...) and the arrivals it is for.
Between = Callable[[str, tuple[str, ...]], None]


def _nothing(_step: str, _arrival_ids: tuple[str, ...]) -> None:
    """Nobody looks on."""


def _still_ours() -> None:
    """Nobody overtakes."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SettleTools:
    """What the settle stage takes from the world.

    Attributes:
        faults: named points at which the worker can be broken.
        between: the seam at which interleavings are forced.
        fence: called just before points are written or settled; raises where this worker may have been overtaken (its partitions
            are another's, or it stood still for longer than its session lasts).
        wall_clock: the time, to compare with `Point.written_at`.
        clock: monotonic seconds.
        sleep: waits so many seconds.
        jitter: 0..1, so that two workers do not poll in step.
    """

    faults: Faults = field(default_factory=Faults)
    between: Between = _nothing
    fence: Callable[[], None] = _still_ours
    wall_clock: Callable[[], datetime] = _now
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
