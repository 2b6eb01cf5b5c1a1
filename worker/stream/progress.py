"""Does every partition get on? What health checks read, and a watchdog that heals a partition that silently stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from kafka import TopicPartition

# Heal so often (seek to its own position, resume) before the process is given up.
_HEALINGS = 3


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """Where a partition stands. Offsets are those of the next record; None while unknown."""

    position: int | None
    committed: int | None
    end: int | None
    waiting: bool

    @property
    def lag(self) -> int | None:
        """Records not committed yet."""
        done = self.committed if self.committed is not None else self.position
        return None if done is None or self.end is None else max(0, self.end - done)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the worker stands. Times are monotonic seconds.

    Attributes:
        joined: True once the group has assigned (possibly no) partitions.
        turned_at: the poll loop's last turn.
        moved_at: the last time something got on (a commit or a planned retry).
        in_flight: records polled and neither committed nor put back.
    """

    joined: bool = False
    turned_at: float = 0.0
    moved_at: float = 0.0
    in_flight: int = 0
    partitions: Mapping[tuple[str, int], PartitionProgress] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def lag(self) -> int:
        """Known lag of all partitions together."""
        return sum(partition.lag or 0 for partition in self.partitions.values())


@dataclass(slots=True)
class Progress:
    """The latest `Snapshot`; may be read from any thread."""

    latest: Snapshot = field(default_factory=Snapshot)


@dataclass(slots=True)
class _Standing:
    position: int | None
    since: float
    healings: int = 0


@dataclass(slots=True)
class StandstillWatch:
    """Notices partitions whose end moves away while their position stands, although nothing holds them.

    Attributes:
        stuck_after_s: how long that may last.
    """

    stuck_after_s: float
    clock: Callable[[], float] = time.monotonic
    _standing: dict[TopicPartition, _Standing] = field(init=False, default_factory=dict)

    def look(self, name: TopicPartition, *, position: int | None, end: int, busy: bool) -> Literal["fine", "heal", "give up"]:
        """What to do about a partition.

        Args:
            name: which one.
            position: the consumer's; None while it has none.
            end: the partition's end offset, asked for independently of what was fetched.
            busy: records of it are in flight or wait, or it is paused on purpose: then it is in good hands.
        """
        before = self._standing.get(name)
        behind = position is None or position < end
        if busy or not behind or before is None or position != before.position:
            self._standing[name] = _Standing(position, self.clock())
            return "fine"
        if self.clock() - before.since < self.stuck_after_s:
            return "fine"
        if before.healings >= _HEALINGS:
            return "give up"
        self._standing[name] = _Standing(position, self.clock(), before.healings + 1)
        return "heal"

    def forget(self, name: TopicPartition) -> None:
        """The partition is not owned any more."""
        self._standing.pop(name, None)
