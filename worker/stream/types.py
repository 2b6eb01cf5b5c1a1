"""What the stream room takes and hands on. Stages are plain functions; they know nothing of Kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.errors import DeadLetterError, RetryError

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One consumed record, byte for byte."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One record to publish inside the batch's transaction."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Ignored:
    """What `Flow.parse` returns for a record that is no event for this worker, such as a notification that a photo was deleted.

    It goes through no stage, its offset is committed, nothing is published. `what` names it for the log.
    """

    what: str


# A stage takes the values that are still in work, in order, and returns one result for each: the next value, or the error that
# takes this one out of the batch (a DeadLetterError: it becomes a dead letter; a RetryError: its partition waits and it is read
# again). A StopError, or any other exception, is raised and ends the process. A RetryError that concerns the whole batch (the
# index does not answer) may be raised too: it then stands for every value.
StageFunction = Callable[[Sequence[Any]], Sequence[Any | DeadLetterError | RetryError]]


@dataclass(frozen=True, slots=True)
class Stage:
    """A named step. Stages with the same `line` run one after the other in one thread; each line is a thread of its own."""

    name: str
    run: StageFunction
    line: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What a worker does with a record, as the stream room sees it.

    Attributes:
        parse: record to the first stage's value, or `Ignored`; raises DeadLetterError where the record cannot be read.
        stages: in order; the last one's results are `Sequence[OutputRecord]` for each arrival.
        abandon: called with the parsed value of every arrival that becomes a dead letter, before the dead letter is committed
            (withdraws its pending points); None where parsing failed.
        context: log fields of a parsed value, such as arrival_id.
    """

    parse: Callable[[SourceRecord], Any]
    stages: tuple[Stage, ...]
    abandon: Callable[[Sequence[Any]], None]
    context: Callable[[Any], Mapping[str, str]] = field(default=lambda _value: {})
