"""What a soak looks at: memory, lag, how long arrivals take."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from tests.chaos.reader import Published
from tests.chaos.verdict import arrival_of

PAGE_KB = 4
# Share of the samples at either end that memory is compared over.
ENDS = 0.15
# Less than this is the allocator's business, not a leak.
FLAT_SHARE, FLAT_MB = 0.10, 16.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. `at` in seconds since the soak began; `machine_load` is the load average over a minute, of everything that runs."""

    at: float
    rss_mb: float
    lag: int
    machine_load: float = 0.0


@dataclass(slots=True)
class Samples:
    """All looks at the worker that lives through the whole soak."""

    began: float = field(default_factory=time.monotonic)
    all: list[Sample] = field(default_factory=list)

    def look(self, pid: int, lag: int) -> None:
        """Take one."""
        self.all.append(Sample(time.monotonic() - self.began, rss_mb(pid), lag, os.getloadavg()[0]))

    def warm_and_end_mb(self) -> tuple[float, float]:
        """Median memory at the beginning and at the end."""
        count = max(1, int(len(self.all) * ENDS))
        return median(one.rss_mb for one in self.all[:count]), median(one.rss_mb for one in self.all[-count:])

    @property
    def flat(self) -> bool:
        """Whether the memory did not grow."""
        warm, end = self.warm_and_end_mb()
        return end - warm <= max(FLAT_SHARE * warm, FLAT_MB)

    def most_lag(self) -> int:
        """Most arrivals that were sent and not decided."""
        return max((one.lag for one in self.all), default=0)

    def machine_load(self) -> float:
        """Median load average: how many processes wanted a core."""
        return median(one.machine_load for one in self.all) if self.all else 0.0


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MB; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB / 1000.0
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def latencies_s(sent_at: Mapping[str, float], found: Sequence[Published]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds from the sending of an event to its outcome's record, sorted."""
    taken = [each.at - sent_at[arrival_of(each)] for each in found if arrival_of(each) in sent_at]
    return np.sort(np.asarray(taken, np.float64))


def percentile(taken: np.ndarray[tuple[int], np.dtype[np.float64]], share: float) -> float:
    """The value below which `share` of the latencies are; 0 without any."""
    return float(np.quantile(taken, share)) if len(taken) else 0.0
