"""The worker's life on Kafka: one thread owns consumer and producer, the assembly line does the work.

A turn of the poll loop: commit what is through the line; poll (always, also while everything is paused, so that the group keeps this
member and the rebalance timeout never passes); act on what the group changed; read held partitions again when their time has come; send
batches; look whether every partition gets on.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence

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
from worker.stream.client import open_consumer, poll, translated
from worker.stream.dead_letter import DeadLetterWriter
from worker.stream.feed import Feed
from worker.stream.limits import RefusalCounter
from worker.stream.line import AssemblyLine
from worker.stream.membership import Membership
from worker.stream.observer import NullObserver, StreamObserver
from worker.stream.overseer import Overseer
from worker.stream.pace import FULL_WAIT_S, Pace
from worker.stream.partition import OwnedPartition
from worker.stream.settlement import Settlement, settle
from worker.stream.signals import set_by_signals
from worker.stream.transaction import StaleMembership, Transactions
from worker.stream.types import Flow
from worker.stream.watchdog import CallWatchdog

_log = structlog.get_logger(__name__)

# Nothing to fetch: pause before the group is looked at again.
_NOTHING_PAUSE_S = 0.02
# Threads that wait in a stage get this long at the end of the process.
_LINE_STOP_S = 2.0
# The consumer tells the group that it leaves; if the group does not answer, its session ends by itself.
_CLOSE_S = 5.0
# Pause after a passing error of a poll.
_POLL_ERROR_PAUSE_S = 0.1
# Batches settled by one transaction at most: bounds its size, and how much is read again if it fails.
_MOST_BATCHES = 16


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
        self._feed = Feed(self._stream.batch_size, self._stream.batch_wait_s)
        self._line = AssemblyLine(flow, self._backoff, self._observer, self._faults, self._stream.queue_depth)
        self._writer = DeadLetterWriter(settings.stream, flow)
        self._refusals = RefusalCounter(self._stream.dead_letter_limits)
        self._watchdog = CallWatchdog(self._stream.call_timeout_s)
        self._transactions = Transactions(settings, transactional_id(settings), self._watchdog, self._faults)
        self._overseer = Overseer(self._stream, self._assignment, self._feed, self._observer)
        self.progress = self._overseer.progress
        self._pace = Pace(self._feed, self._line, self._assignment)
        self._membership = Membership(
            settings, self._assignment, self._feed, self._overseer, self._observer, self._hand_over, self._resume_refusals
        )
        self._consumer: KafkaConsumer = None
        self._stopping = threading.Event()
        self._drain_deadline: Deadline | None = None
        self._in_flight = 0

    def request_stop(self) -> None:
        """Finish what is in flight, commit it and return from `run`. May be called from any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            StopError: the process must end with this error's `exit_code`.
            Exception: whatever a stage raised that is no result: a bug.
        """
        with set_by_signals(self._stopping):
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

    # ---- a turn

    def _turn(self) -> None:
        if self._pace.may_commit(self._consumer):
            self._settle(self._pace.results_wait_s(self._in_flight))
        self._line.raise_failure()
        self._poll()
        self._membership.follow(self._consumer)
        self._read_again()
        self._send_batches()
        self._pause_and_resume()
        self._overseer.look(self._consumer)
        self._overseer.report(self._consumer, self._in_flight)

    def _poll(self) -> None:
        wait_s = self._pace.poll_wait_s(self._consumer, self._in_flight)
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

    def _resume_refusals(self, metadata: str) -> None:
        self._refusals.resume(metadata)

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
            self._settle(min(FULL_WAIT_S, deadline.remaining()))
            self._observer.turned()
