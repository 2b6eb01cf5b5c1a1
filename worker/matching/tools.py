"""What tests put in the place of the world, in the settle stage."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.ops.faults import Faults

# Called before and after every step with its name ("before-write", ...) and the arrivals it is for.
Between = Callable[[str, tuple[str, ...]], None]


def _nothing(_step: str, _arrival_ids: tuple[str, ...]) -> None:
    """Nobody looks on."""


@dataclass(frozen=True, slots=True)
class SettleTools:
    """What tests put in the place of the world.

    Attributes:
        faults: named points at which the worker can be broken.
        between: the seam at which interleavings are forced.
        clock: monotonic seconds.
        sleep: waits so many seconds.
        jitter: 0..1, so that two workers do not poll in step.
    """

    faults: Faults = field(default_factory=Faults)
    between: Between = _nothing
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
