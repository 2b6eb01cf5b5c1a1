"""What finished batches come to: outputs, offsets and dead letters for one transaction; and which partitions are cut.

A partition is cut at its first record that must be tried again: what came before it is committed, everything from it on is discarded,
also in the batches behind, and read again later. Other partitions are not touched. So no event overtakes its own key, and no partition
waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from worker.errors import DeadLetterError, RetryError
from worker.stream.batch import Batch, Item
from worker.stream.dead_letter import DeadLetterWriter
from worker.stream.partition import OwnedPartition
from worker.stream.types import OutputRecord


@dataclass(slots=True)
class Settlement:
    """What one transaction holds.

    Attributes:
        outputs: in the order of the records they come from.
        next_offsets: of each partition that gets on.
        first_offsets: of each partition of the settlement, its first record: where to read again if nothing is committed.
        refused: for each settled event whether it became a dead letter, in order; what was ignored says nothing of the worker.
        dead_letters: the refused ones.
        cut: partitions that were cut by these batches, with the record that must be tried again, if it is that.
        records: how many records are settled.
    """

    outputs: list[OutputRecord] = field(default_factory=list)
    next_offsets: dict[OwnedPartition, int] = field(default_factory=dict)
    first_offsets: dict[OwnedPartition, int] = field(default_factory=dict)
    refused: list[bool] = field(default_factory=list)
    dead_letters: list[Item] = field(default_factory=list)
    cut: list[tuple[OwnedPartition, Item | None]] = field(default_factory=list)
    records: int = 0


def settle(batches: Iterable[Batch], writer: DeadLetterWriter) -> Settlement:
    """Sort out finished batches, in their order. Counts their records out of `in_flight` and cuts partitions."""
    settlement = Settlement()
    for batch in batches:
        for item in batch.items:
            partition = item.partition
            partition.in_flight -= 1
            if not partition.owned or partition.cut is not None:
                continue
            if not item.done:
                partition.cut = item.record.offset
                settlement.cut.append((partition, item if isinstance(item.failure, RetryError) else None))
                continue
            settlement.first_offsets.setdefault(partition, item.record.offset)
            settlement.next_offsets[partition] = item.record.offset + 1
            _take(item, settlement, writer)
    for partition, next_offset in settlement.next_offsets.items():
        # Given up after a hold: what came behind it was left out, so it is read again, without waiting.
        if partition.held and partition.cut is None and partition.in_flight == 0:
            partition.cut = next_offset
            settlement.cut.append((partition, None))
    return settlement


def _take(item: Item, settlement: Settlement, writer: DeadLetterWriter) -> None:
    settlement.records += 1
    if isinstance(item.failure, DeadLetterError):
        settlement.outputs.append(writer.record(item, item.failure))
        settlement.dead_letters.append(item)
        settlement.refused.append(True)
    elif not item.ignored:
        settlement.outputs.extend(item.value)
        settlement.refused.append(False)
