"""A micro-batch on its way through the assembly line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.errors import DeadLetterError, RetryError
from worker.stream.partition import OwnedPartition
from worker.stream.types import SourceRecord


@dataclass(slots=True)
class Item:
    """One record and what has become of it so far.

    Attributes:
        record: as consumed.
        partition: the ownership it was polled under.
        parsed: what `Flow.parse` made of it; None before, and where it could not be read.
        value: what the last stage made of it; after the line's end, the output records.
        failure: what took it out of the batch.
        stage: the stage that `failure` comes from.
        attempts: how often it was tried, this time included; set at the line's end.
        ignored: True if `Flow.parse` found nothing to do; no stage sees it.
        done: True once it may be committed: it went through every stage, or it is a dead letter the flow knows of.
    """

    record: SourceRecord
    partition: OwnedPartition
    parsed: Any = None
    value: Any = None
    failure: DeadLetterError | RetryError | None = None
    stage: str = "parse"
    attempts: int = 1
    ignored: bool = False
    done: bool = False

    @property
    def in_work(self) -> bool:
        """True while the next stage may work on it."""
        return self.failure is None and not self.ignored and not self.partition.blocks(self.record.offset)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order they were polled; a key occurs once, so that no event meets its own follower in one stage."""

    items: Sequence[Item]
