"""Which partitions this worker owns, as the group says.

kafka-python calls the listener on the consumer's own thread, while the poll loop's thread waits in `poll`. So nothing is done here but
to write down what changed; the poll loop acts on it before it polls again. Under cooperative-sticky assignment a revoked partition goes
to its next owner only when this worker joins the group again, which is in a later `poll`: until then what is in flight may be committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kafka import TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener

from worker.stream.partition import OwnedPartition


@dataclass(slots=True)
class Changes:
    """What happened since the poll loop looked."""

    assigned: list[OwnedPartition] = field(default_factory=list)
    revoked: list[OwnedPartition] = field(default_factory=list)
    lost: list[OwnedPartition] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.assigned or self.revoked or self.lost)


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # the library publishes no types
    """Owned partitions by name."""

    def __init__(self) -> None:
        self.owned: dict[TopicPartition, OwnedPartition] = {}
        self._changes = Changes()

    def take_changes(self) -> Changes:
        """What happened since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """The group gives partitions to this worker."""
        for name in assigned:
            partition = OwnedPartition(name)
            self.owned[name] = partition
            self._changes.assigned.append(partition)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The group wants partitions back; they may still be committed."""
        for name in revoked:
            partition = self.owned.pop(name, None)
            if partition is not None:
                partition.revoking = True
                self._changes.revoked.append(partition)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """The group counted this worker out: others own the partitions, nothing of them may be committed."""
        for name in lost:
            partition = self.owned.pop(name, None)
            if partition is not None:
                partition.owned = False
                self._changes.lost.append(partition)
