"""When so many events are refused that the worker, not the events, must be broken: it stops before it commits one more.

The counts travel in the metadata of the committed offsets, in the same transaction as the dead letters. So a supervisor that restarts
the worker again and again does not grant it a fresh allowance each time: the topic is not emptied into the dead letters.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from worker.errors import StopError
from worker.settings.stream import DeadLetterLimits

_METADATA = re.compile(r"run=(\d+);refused=(\d+)/(\d+)")


class DeadLetterLimitReached(StopError):
    """So many events are refused that something other than the events must be wrong."""


@dataclass(slots=True)
class RefusalCounter:
    """Counts refusals in the order of commits.

    Attributes:
        run: dead letters since the last success.
        window: the last `rate_window` events, True for a refused one.
    """

    limits: DeadLetterLimits
    run: int = 0
    window: deque[bool] = field(init=False)

    def __post_init__(self) -> None:
        """An empty window."""
        self.window = deque(maxlen=self.limits.rate_window)

    def copy(self) -> RefusalCounter:
        """An independent copy: counts are tried out before the transaction that makes them true."""
        twin = RefusalCounter(self.limits, self.run)
        twin.window.extend(self.window)
        return twin

    def count(self, refused: Iterable[bool]) -> None:
        """Count events in their order.

        Raises:
            DeadLetterLimitReached: a limit would be passed; nothing of this transaction may be committed.
        """
        for each in refused:
            self.run = self.run + 1 if each else 0
            self.window.append(each)
            if each:
                self._check()

    def _check(self) -> None:
        if self.run > self.limits.run_length:
            raise DeadLetterLimitReached(
                f"more than {self.limits.run_length} events in a row were refused: the worker stops, nothing was lost. Look at "
                "`intake dead-letters list`; if the events themselves are bad, raise INTAKE_STREAM__DEAD_LETTER_LIMITS__RUN_LENGTH"
            )
        if len(self.window) == self.limits.rate_window:
            share = sum(self.window) / self.limits.rate_window
            if share >= self.limits.rate:
                raise DeadLetterLimitReached(
                    f"{share:.0%} of the last {self.limits.rate_window} events were refused: the worker stops, nothing was lost. Look "
                    "at `intake dead-letters list`; if the events themselves are bad, raise INTAKE_STREAM__DEAD_LETTER_LIMITS__RATE"
                )

    def metadata(self) -> str:
        """The counts as offset metadata."""
        return f"run={self.run};refused={sum(self.window)}/{len(self.window)}"

    def resume(self, metadata: str | None) -> None:
        """Continue from the counts another process committed, if they are worse than this one's."""
        found = _METADATA.fullmatch(metadata or "")
        if found is None:
            return
        run, refused, seen = (int(number) for number in found.groups())
        self.run = max(self.run, run)
        if not self.window:
            # The order inside the window is not kept: the refused ones last, so that they are forgotten last.
            self.window.extend([False] * (seen - refused) + [True] * refused)
