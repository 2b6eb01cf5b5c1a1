"""The worker's life on Kafka: one thread owns consumer and producer, the assembly line does the work.

A turn of the poll loop: commit what is through the line; poll (always, also while everything is paused, so that the group keeps this
member and the rebalance timeout never passes); act on what the group changed; read held partitions again when their time has come; send
batches; look whether every partition gets on.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata
from kafka import errors as kafka_errors

from worker.errors import DeadLetterError, RetryError, StopError
from worker.ops.deadline import Deadline
from worker.ops.faults import Faults
from worker.settings import Settings
from worker.stream.assignment import Assignment
from worker.stream.backoff import Backoff
from worker.stream.batch import Batch, Item
from worker.stream.checks import check_topics, input_topics, output_topics
from worker.stream.client import is_rebalancing, open_consumer, poll, translated
from worker.stream.dead_letter import DeadLetterWriter
from worker.stream.feed import Feed
from worker.stream.limits import RefusalCounter
from worker.stream.line import AssemblyLine
from worker.stream.observer import NullObserver, RebalanceKind, StreamObserver
from worker.stream.overseer import Overseer
from worker.stream.partition import OwnedPartition
from worker.stream.settlement import Settlement, settle
from worker.stream.transaction import StaleMembership, Transactions
from worker.stream.types import Flow
from worker.stream.watchdog import CallWatchdog

_log = structlog.get_logger(__name__)

# Nothing in flight: how long a poll waits for records. Also how late a signal is seen at most.
_IDLE_POLL_S = 0.1
# While the group rebalances, polls wait longer: kafka-python forgets the answer of a join that arrives between two polls, and joins
# again. A thousand times the gap between them makes that rare.
_REBALANCING_POLL_S = 0.2
# Results are held back for so long while this member joins its group again; most rebalances are over in less.
_HOLD_COMMITS_S = 2.0
# Nothing to fetch: pause before the group is looked at again.
_NOTHING_PAUSE_S = 0.02
# Something in flight and room for more: how long results are waited for between two polls.
_BUSY_WAIT_S = 0.003
# Something in flight and no room for more: nothing but results can come.
_FULL_WAIT_S = 0.02
# Threads that wait in a stage get this long at the end of the process.
_LINE_STOP_S = 2.0
# The consumer tells the group that it leaves; if the group does not answer, its session ends by itself.
_CLOSE_S = 5.0
# Pause after a passing error of a poll.
_POLL_ERROR_PAUSE_S = 0.1
# Committed offsets of a fresh partition are waited for this long in one turn; they may be unstable for a crashed worker's transaction.
_COMMITTED_WAIT_MS = 500
# Batches settled by one transaction at most: bounds its size, and how much is read again if it fails.
_MOST_BATCHES = 16
# Exit code of a second signal, as a shell reports SIGINT.
_SECOND_SIGNAL_EXIT = 130


def transactional_id(settings: Settings) -> str:
    """The transactional id this process takes: the configured one, else one of the static member, else one of this life."""
    stream = settings.stream
    if stream.transactional_id is not None:
        return stream.transactional_id
    return f"{stream.group_id}-{stream.group_instance_id or uuid.uuid4()}"


class StreamWorker:
    """Consumes, runs a flow, publishes and commits, until `request_stop` or a signal.

    Args:
        settings: the whole tree; `kafka` and `stream` are used.
        flow: what to do with a record.
        observer: is told what happens.
        faults: planned faults, for tests.
    """

    def __init__(
        self, settings: Settings, flow: Flow, observer: StreamObserver | None = None, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self._stream = settings.stream
        self._flow = flow
        self._observer = observer or NullObserver()
        self._faults = faults or Faults()
        self._backoff = Backoff(settings.stream)
        self._assignment = Assignment()
        self._fresh: list[OwnedPartition] = []
        self._feed = Feed(self._stream.batch_size, self._stream.batch_wait_s)
        self._line = AssemblyLine(flow, self._backoff, self._observer, self._faults, self._stream.queue_depth)
        self._writer = DeadLetterWriter(settings.stream, flow)
        self._refusals = RefusalCounter(self._stream.dead_letter_limits)
        self._watchdog = CallWatchdog(self._stream.call_timeout_s)
        self._transactions = Transactions(settings, transactional_id(settings), self._watchdog, self._faults)
        self._overseer = Overseer(self._stream, self._assignment, self._feed, self._observer)
        self.progress = self._overseer.progress
        self._consumer: KafkaConsumer = None
        self._stopping = threading.Event()
        self._drain_deadline: Deadline | None = None
        self._in_flight = 0
        self._rebalancing_since: float | None = None

    def request_stop(self) -> None:
        """Finish what is in flight, commit it and return from `run`. May be called from any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            StopError: the process must end with this error's `exit_code`.
            Exception: whatever a stage raised that is no result: a bug.
        """
        with self._signals():
            self._watchdog.start()
            try:
                self._open()
                while not self._stopping.is_set():
                    self._turn()
                _log.info("stopping: finishing what is in flight", in_flight=self._in_flight)
                self._drain(self._the_deadline(), self._nothing_in_flight)
            finally:
                self._close()

    # ---- life

    def _open(self) -> None:
        check_topics(self.settings, (*input_topics(self.settings), *output_topics(self.settings)))
        self._transactions.open()
        self._consumer = open_consumer(self.settings.kafka, self._stream)
        self._line.start()
        with translated("looking for partitions", self.settings.kafka):
            for topic in input_topics(self.settings):
                self._consumer.partitions_for_topic(topic)  # or the first assignment is made of none, and the group joins twice
        self._consumer.subscribe(list(input_topics(self.settings)), listener=self._assignment)
        _log.info(
            "consuming",
            topics=input_topics(self.settings),
            group_id=self._stream.group_id,
            group_instance_id=self._stream.group_instance_id,
            transactional_id=self._transactions.transactional_id,
        )

    def _close(self) -> None:
        deadline = self._drain_deadline or Deadline.after(self._stream.drain_timeout_s)
        self._line.stop(min(_LINE_STOP_S, deadline.remaining()))
        budget = 2 * _CLOSE_S
        with self._watchdog.guard("closing", budget + self._stream.call_timeout_s):
            self._transactions.close(min(_CLOSE_S, max(1.0, deadline.remaining())))
            if self._consumer is not None:
                try:
                    self._consumer.close(autocommit=False, timeout_ms=int(_CLOSE_S * 1000))
                except Exception as error:  # noqa: BLE001  the process ends anyway; its own error is the one to show
                    _log.warning("the consumer did not close in order", error=str(error))
        self._watchdog.stop()
        self._overseer.ended(self._in_flight)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT drain; a second one ends the process at once. Only where signals can be caught: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(_number: int, _frame: FrameType | None) -> None:
            if self._stopping.is_set():
                os._exit(_SECOND_SIGNAL_EXIT)
            self._stopping.set()

        before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # ---- a turn

    def _turn(self) -> None:
        if self._may_commit():
            self._settle(self._results_wait_s())
        self._line.raise_failure()
        self._poll()
        self._follow_the_group()
        self._read_again()
        self._send_batches()
        self._pause_and_resume()
        self._overseer.look(self._consumer)
        self._overseer.report(self._consumer, self._in_flight)

    def _may_commit(self) -> bool:
        """Not while this member's own join is on its way: the group may take it at any moment, and offsets of before then are refused.

        Bounded, for a rebalance lasts as long as the slowest member drains; commits are taken until the last one has joined.
        """
        if not is_rebalancing(self._consumer):
            self._rebalancing_since = None
            return True
        now = time.monotonic()
        if self._rebalancing_since is None:
            self._rebalancing_since = now
        return now - self._rebalancing_since > _HOLD_COMMITS_S

    def _results_wait_s(self) -> float:
        if self._in_flight == 0:
            return 0.0
        return _BUSY_WAIT_S if self._feed.room and self._line.has_room else _FULL_WAIT_S

    def _poll_wait_s(self) -> float:
        """How long a poll may wait for records."""
        if is_rebalancing(self._consumer):
            return _REBALANCING_POLL_S
        if self._in_flight:
            return 0.0
        due = self._feed.due_in_s()
        if any(partition.cut is not None for partition in self._assignment.owned.values()):
            return _BUSY_WAIT_S
        return _IDLE_POLL_S if due is None else min(due, _IDLE_POLL_S)

    def _poll(self) -> None:
        wait_s = self._poll_wait_s()
        started = time.monotonic()
        try:
            records = poll(self._consumer, wait_s, max_records=max(1, self._feed.room))
        except kafka_errors.RetriableError as error:
            _log.warning("a poll failed and is repeated", error=str(error))
            time.sleep(_POLL_ERROR_PAUSE_S)
            return
        except kafka_errors.KafkaError:
            with translated("polling", self.settings.kafka):
                raise
        self._observer.turned()
        if not records:
            # With nothing to fetch (no assignment, everything paused) a poll returns at once.
            time.sleep(min(_NOTHING_PAUSE_S, max(0.0, wait_s - (time.monotonic() - started))))
        else:
            self._feed.add(records, self._assignment.owned)
            try:
                self._faults.reach("after-poll")
            except RetryError:
                for name in records:
                    partition = self._assignment.owned.get(name)
                    first = None if partition is None else self._feed.drop(partition)
                    if first is not None:
                        self._consumer.seek(name, first)

    def _send_batches(self) -> None:
        while self._line.has_room and (batch := self._feed.next_batch()) is not None:
            for item in batch.items:
                item.partition.in_flight += 1
            self._in_flight += len(batch.items)
            self._line.send(batch)

    def _pause_and_resume(self) -> None:
        """Pause everything while enough is polled, and partitions that are held until they are read again."""
        full = self._feed.room == 0
        wanted = {
            name for name, partition in self._assignment.owned.items() if full or partition.held or partition.cut is not None
        }
        paused = self._consumer.paused()
        if wanted - paused:
            self._consumer.pause(*(wanted - paused))
        if resume := (paused - wanted) & self._assignment.owned.keys():
            self._consumer.resume(*resume)

    # ---- results

    def _settle(self, wait_s: float) -> None:
        """Commit what is through the line, several batches at once if there are."""
        batches: list[Batch] = []
        while len(batches) < _MOST_BATCHES and (batch := self._line.take(0.0 if batches else wait_s)) is not None:
            batches.append(batch)
        if not batches:
            return
        self._in_flight -= sum(len(batch.items) for batch in batches)
        settlement = settle(batches, self._writer)
        for partition, item in settlement.cut:
            self._plan_retry(partition, item)
        if settlement.records:
            self._commit(settlement)
        for batch in batches:
            for item in batch.items:
                if isinstance(item.failure, RetryError):
                    self._observer.retry(type(item.failure).__name__, item.stage)
        self._overseer.moved()

    def _plan_retry(self, partition: OwnedPartition, item: Item | None) -> None:
        self._feed.drop(partition)
        delay_s = 0.0
        if item is not None and isinstance(item.failure, RetryError):
            delay_s = self._backoff.delay_s(item.failure, item.attempts)
            _log.warning(
                "a record is tried again; its partition waits",
                topic=partition.name.topic,
                partition=partition.name.partition,
                offset=item.record.offset,
                stage=item.stage,
                attempt=item.attempts,
                delay_s=round(delay_s, 3),
                error=f"{type(item.failure).__name__}: {item.failure}",
            )
        partition.resume_at = time.monotonic() + delay_s

    def _commit(self, settlement: Settlement) -> None:
        refusals = self._refusals.copy()
        refusals.count(settlement.refused)
        metadata = refusals.metadata()
        offsets = {
            partition.name: OffsetAndMetadata(offset, metadata, -1) for partition, offset in settlement.next_offsets.items()
        }
        started = time.monotonic()
        try:
            self._faults.reach("before-transaction")
            self._transactions.commit(settlement.outputs, offsets, self._consumer.group_metadata())
        except (StaleMembership, RetryError) as error:
            _log.warning("a transaction was aborted; its records are read again", error=str(error), records=settlement.records)
            self._observer.transaction_ended("aborted", settlement.records, time.monotonic() - started)
            for partition, offset in settlement.first_offsets.items():
                partition.cut = offset
                self._plan_retry(partition, None)
            return
        except StopError:
            self._observer.transaction_ended("unsafe", settlement.records, time.monotonic() - started)
            raise
        self._refusals = refusals
        for partition, offset in settlement.next_offsets.items():
            partition.committed(offset)
        self._observer.transaction_ended("committed", settlement.records, time.monotonic() - started)
        for item in settlement.dead_letters:
            if isinstance(item.failure, DeadLetterError):
                self._observer.dead_letter(item.failure.reason, item.stage)
                _log.warning(
                    "an event became a dead letter",
                    reason=item.failure.reason.value,
                    stage=item.stage,
                    attempts=item.attempts,
                    topic=item.record.topic,
                    partition=item.record.partition,
                    offset=item.record.offset,
                    error=str(item.failure),
                    **({} if item.parsed is None else self._flow.context(item.parsed)),
                )
        try:
            self._faults.reach("after-commit")
        except RetryError as error:
            raise StopError("injected after a commit: there is nothing to try again") from error

    # ---- the group

    def _follow_the_group(self) -> None:
        changes = self._assignment.take_changes()
        if changes:
            self._overseer.joined()
            self._fresh.extend(changes.assigned)
            kinds: tuple[tuple[RebalanceKind, list[OwnedPartition]], ...] = (
                ("assigned", changes.assigned),
                ("revoked", changes.revoked),
                ("lost", changes.lost),
            )
            for kind, partitions in kinds:
                if partitions:
                    _log.info(
                        "partitions " + kind, partitions=[f"{each.name.topic}/{each.name.partition}" for each in partitions]
                    )
                    self._observer.rebalanced(kind, len(partitions))
            for partition in (*changes.revoked, *changes.lost):
                self._feed.drop(partition)
                self._overseer.forget(partition)
            if changes.revoked:
                self._hand_over(changes.revoked)
        if self._fresh:
            self._take_over()

    def _hand_over(self, partitions: Sequence[OwnedPartition]) -> None:
        """Finish and commit what is in flight of revoked partitions, as far as the deadline allows; the rest is its next owner's."""
        self._drain(self._the_deadline(), lambda: all(partition.in_flight == 0 for partition in partitions))
        for partition in partitions:
            if partition.in_flight:
                _log.warning(
                    "revoked before its records were finished: they are left to the next owner",
                    topic=partition.name.topic,
                    partition=partition.name.partition,
                    records=partition.in_flight,
                )
            partition.owned = False
        if not self._stopping.is_set():
            self._drain_deadline = None

    def _take_over(self) -> None:
        """Continue the counts of refusals that the partitions' last owners committed."""
        waiting = []
        for partition in self._fresh:
            if self._assignment.owned.get(partition.name) is not partition:
                continue
            try:
                committed = self._consumer.committed(partition.name, metadata=True, timeout_ms=_COMMITTED_WAIT_MS)
            except kafka_errors.RetriableError:
                waiting.append(partition)
                continue
            except kafka_errors.KafkaError:
                with translated("reading committed offsets", self.settings.kafka):
                    raise
            if committed is not None:
                self._refusals.resume(committed.metadata)
        self._fresh = waiting

    def _read_again(self) -> None:
        """Seek back to where partitions were cut, once nothing of them is in the line and their backoff is over."""
        now = time.monotonic()
        for name, partition in self._assignment.owned.items():
            if partition.cut is not None and partition.in_flight == 0 and now >= partition.resume_at:
                self._feed.drop(partition)
                self._consumer.seek(name, partition.cut)
                partition.release()

    # ---- the end

    def _the_deadline(self) -> Deadline:
        """One deadline for revocation and shutdown: what one uses up, the other does not have."""
        if self._drain_deadline is None:
            self._drain_deadline = Deadline.after(self._stream.drain_timeout_s)
        return self._drain_deadline

    def _nothing_in_flight(self) -> bool:
        return self._in_flight == 0

    def _drain(self, deadline: Deadline, done: Callable[[], bool]) -> None:
        """Commit what comes through the line until `done` or the deadline."""
        while not done():
            self._line.raise_failure()
            if deadline.passed:
                _log.warning("not everything in flight was finished in time; it is read again", in_flight=self._in_flight)
                return
            self._settle(min(_FULL_WAIT_S, deadline.remaining()))
            self._observer.turned()
