"""The assembly line: each line of stages is a thread, bounded queues between them, batches come out in the order they went in.

The stages see only values. Around them: records whose partition is held or lost are left out, errors become results, times are
reported, fault points are reached. An exception that is no result ends the line; `raise_failure` hands it to the poll loop.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from worker.errors import DeadLetterError, Reason, RetriesExhausted, RetryError
from worker.ops.faults import Faults
from worker.stream.backoff import Backoff
from worker.stream.batch import Batch, Item
from worker.stream.observer import StreamObserver
from worker.stream.types import Flow, Ignored, Stage

# How long a line sleeps at most before it looks whether the worker ends.
_LOOK_S = 0.5
_Queue = queue.Queue[Batch]


@dataclass(slots=True)
class AssemblyLine:
    """Runs a flow's stages. Start it, `send` batches, `take` them when they are through.

    Attributes:
        flow: what to do.
        backoff: decides when a failing record is given up.
        depth: batches that may wait before each line.
    """

    flow: Flow
    backoff: Backoff
    observer: StreamObserver
    faults: Faults
    depth: int = 1
    clock: Callable[[], float] = time.monotonic
    _queues: list[_Queue] = field(init=False)
    _lines: list[tuple[str, tuple[Stage, ...]]] = field(init=False)
    _threads: list[threading.Thread] = field(init=False, default_factory=list)
    _ending: threading.Event = field(init=False, default_factory=threading.Event)
    _failure: BaseException | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Group the stages by line; parsing is done on the first line."""
        self._lines = [(name, tuple(stages)) for name, stages in groupby(self.flow.stages, key=lambda stage: stage.line)]
        if not self._lines:
            self._lines = [("parse", ())]
        self._queues = [queue.Queue(self.depth) for _ in self._lines]
        self._queues.append(queue.Queue())  # what is through is never held up: the poll loop bounds what is in flight

    def start(self) -> None:
        """Start a thread for each line."""
        for position, (name, _stages) in enumerate(self._lines):
            thread = threading.Thread(target=self._run_line, args=(position,), name=f"line-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def capacity(self) -> int:
        """Most batches that can be in the line: one in each thread, and those waiting before it."""
        return len(self._lines) * (1 + self.depth)

    @property
    def has_room(self) -> bool:
        """True if `send` may be called."""
        return not self._queues[0].full()

    def send(self, batch: Batch) -> None:
        """Put a batch before the first line. There must be room: the one thread that sends asks first."""
        self._queues[0].put_nowait(batch)
        self.observer.batch_sent(self._lines[0][0], len(batch.items))

    def take(self, timeout_s: float) -> Batch | None:
        """The next batch that is through; None if there is none in time."""
        try:
            return self._queues[-1].get(timeout=timeout_s) if timeout_s > 0 else self._queues[-1].get_nowait()
        except queue.Empty:
            return None

    def raise_failure(self) -> None:
        """Raise what ended a line, if something did."""
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout_s: float) -> None:
        """End the threads; what is in them is dropped. A stage that does not end in time is left behind (a daemon thread)."""
        self._ending.set()
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run_line(self, position: int) -> None:
        name, stages = self._lines[position]
        following = self._lines[position + 1][0] if position + 1 < len(self._lines) else None
        try:
            while (batch := self._next(self._queues[position])) is not None:
                self.observer.batch_taken(name, len(batch.items))
                if position == 0:
                    self._parse(batch)
                for stage in stages:
                    self._run_stage(stage, batch)
                if following is None:
                    self._close(batch)
                else:
                    self.observer.batch_sent(following, len(batch.items))
                if not self._put(self._queues[position + 1], batch):
                    return
        except BaseException as error:  # noqa: BLE001  the poll loop raises it
            if self._failure is None:
                self._failure = error

    def _next(self, waiting: _Queue) -> Batch | None:
        while not self._ending.is_set():
            try:
                return waiting.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
        return None

    def _put(self, waiting: _Queue, batch: Batch) -> bool:
        while not self._ending.is_set():
            try:
                waiting.put(batch, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def _parse(self, batch: Batch) -> None:
        for item in batch.items:
            if item.in_work:
                try:
                    parsed = self.flow.parse(item.record)
                except (DeadLetterError, RetryError) as error:
                    _fail(item, "parse", error)
                    continue
                if isinstance(parsed, Ignored):
                    item.ignored, item.value = True, ()
                else:
                    item.value = item.parsed = parsed

    def _run_stage(self, stage: Stage, batch: Batch) -> None:
        items = [item for item in batch.items if item.in_work]
        if not items:
            return
        started = self.clock()
        results: Sequence[Any]
        try:
            self.faults.reach(f"before-{stage.name}")
            results = stage.run([item.value for item in items])
            self.faults.reach(f"after-{stage.name}")
        except RetryError as error:
            results = [error] * len(items)
        if len(results) != len(items):
            raise RuntimeError(f"stage {stage.name} returned {len(results)} results for {len(items)} values")
        for item, result in zip(items, results, strict=True):
            if isinstance(result, (DeadLetterError, RetryError)):
                _fail(item, stage.name, result)
            else:
                item.value = result
        self.observer.stage_ended(stage.name, len(items), self.clock() - started)
        self.observer.moved()

    def _close(self, batch: Batch) -> None:
        """Give up what failed for too long; tell the flow what becomes a dead letter, before it does; say what may be committed."""
        for item in batch.items:
            if isinstance(item.failure, RetryError):
                self._count(item, item.failure)
            else:
                item.attempts = item.partition.attempts(item.record.offset)
        refused = [item for item in batch.items if _becomes_dead_letter(item)]
        try:
            if values := [item.parsed for item in refused if item.parsed is not None]:
                self.flow.abandon(values)
        except RetryError as error:
            for item in refused:
                _fail(item, item.stage, error)
                self._count(item, error, may_give_up=False)
        for item in batch.items:
            ignored = item.ignored and not item.partition.blocks(item.record.offset)
            item.done = item.in_work or ignored or _becomes_dead_letter(item)

    def _count(self, item: Item, error: RetryError, *, may_give_up: bool = True) -> None:
        now = self.clock()
        attempts = item.partition.failed(item.record.offset, now)
        item.attempts = attempts.count
        waited = now - attempts.first_at
        if may_give_up and self.backoff.gives_up(error, waited):
            item.failure = RetriesExhausted(
                Reason.RETRIES_EXHAUSTED, f"given up after {attempts.count} attempts in {waited:.0f} s; the last failure: {error}"
            )


def _fail(item: Item, stage: str, error: DeadLetterError | RetryError) -> None:
    item.failure = error
    item.stage = stage
    if isinstance(error, RetryError):
        item.partition.hold(item.record.offset)


def _becomes_dead_letter(item: Item) -> bool:
    return isinstance(item.failure, DeadLetterError) and not item.partition.blocks(item.record.offset)
