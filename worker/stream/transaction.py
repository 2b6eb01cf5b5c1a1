"""One transaction of outputs and offsets, behind a guard that never believes a commit it has not seen through.

kafka-python 3's `commit_transaction` can return without having committed anything: when its producer epoch is bumped while something
is in flight (another producer with the same transactional id, or a lost sequence), it drops the transaction and then finds nothing to
end. The guard therefore flushes, looks at the future of every send, sends the offsets, checks that the transaction it began is still
open under the same producer id and epoch, commits, and checks again. Anything off is a `TransactionUnsafe`, which ends the process: its
successor reads the events again from the committed offsets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors
from kafka.producer.transaction_manager import TransactionState

from worker.errors import AccessDenied, IntakeError, RetryError, StopError, TransactionUnsafe
from worker.ops.faults import Faults
from worker.settings import Settings
from worker.stream.client import open_producer, translated
from worker.stream.types import OutputRecord
from worker.stream.watchdog import CallWatchdog

_log = structlog.get_logger(__name__)


class StaleMembership(Exception):
    """The group does not take this worker's offsets any more: it was counted out. The transaction is aborted; read again."""


@dataclass(frozen=True, slots=True)
class _Identity:
    producer_id: int
    epoch: int


@dataclass(slots=True)
class Transactions:
    """The worker's transactional producer.

    Attributes:
        transactional_id: stable over restarts, or new in every process life; see `transactional_id` of the runner.
    """

    settings: Settings
    transactional_id: str
    watchdog: CallWatchdog
    faults: Faults
    _producer: KafkaProducer = field(init=False, default=None)

    def open(self) -> None:
        """Open the producer and take the transactional id; a transaction its last holder left open is ended.

        Raises:
            AccessDenied, DeadlineExceeded, StopError: see `translated`.
        """
        self._producer = open_producer(self.settings.kafka, self.settings.stream, self.transactional_id)
        with (
            translated(f"taking the transactional id {self.transactional_id}", self.settings.kafka),
            # It waits at most max_block_ms by itself; the watchdog is for when that does not hold.
            self.watchdog.guard("init_transactions", 2 * self.settings.stream.call_timeout_s),
        ):
            self._producer.init_transactions()

    def commit(self, outputs: Sequence[OutputRecord], offsets: Mapping[TopicPartition, OffsetAndMetadata], group: Any) -> None:
        """Publish `outputs` and commit `offsets` as one transaction; returns only if both are certain.

        Args:
            outputs: in the order in which they are published.
            offsets: next offset to read, by partition.
            group: `consumer.group_metadata()`, by which the group fences members it has counted out.

        Raises:
            StaleMembership: the group has counted this member out; nothing was committed, the transaction is aborted.
            RetryError: a fault was injected; nothing was committed, the transaction is aborted.
            TransactionUnsafe: the transaction's fate is unknown, or another producer holds this one's id.
            AccessDenied: a grant is missing; nothing was committed.
        """
        if group.generation_id < 0 or not group.member_id:
            # A broker takes transactional offsets without a member as coming from outside the group, and fences nothing.
            raise StaleMembership("the consumer is not a member of its group")
        self._run(outputs, lambda: self._send_offsets(offsets, group))

    def publish(self, outputs: Sequence[OutputRecord]) -> None:
        """Publish `outputs` as one transaction that has no offsets. Raises as `commit` does."""
        self._run(outputs, lambda: None)

    def _run(self, outputs: Sequence[OutputRecord], send_offsets: Callable[[], None]) -> None:
        try:
            identity = self._begin()
            self._publish(outputs)
            send_offsets()
            self._still_ours(identity, TransactionState.IN_TRANSACTION)
            self.faults.reach("before-commit")
            with self.watchdog.guard("commit_transaction"):
                self._producer.commit_transaction()
            self._still_ours(identity, TransactionState.READY)
        except kafka_errors.CommitFailedError as error:
            self._start_over()
            raise StaleMembership(str(error)) from error
        except RetryError:
            self._start_over()
            raise
        except IntakeError:
            raise
        except kafka_errors.KafkaError as error:
            self._raise(error)

    def close(self, timeout_s: float) -> None:
        """Close the producer; a transaction still open is left to its timeout."""
        if self._producer is not None:
            with contextlib.suppress(kafka_errors.KafkaError):
                self._producer.close(timeout=timeout_s)
            self._producer = None

    def _begin(self) -> _Identity:
        identity = self._identity()
        self._producer.begin_transaction()
        self.faults.reach("after-begin")
        return identity

    def _publish(self, outputs: Sequence[OutputRecord]) -> None:
        # send() waits for the metadata of a topic it has not seen, and for room in its buffer.
        with self.watchdog.guard("send", 2 * self.settings.stream.call_timeout_s):
            futures = [
                self._producer.send(output.topic, key=output.key, value=output.value, headers=_headers(output))
                for output in outputs
            ]
            self.faults.reach("after-send")
            self._producer.flush(timeout=self.settings.stream.call_timeout_s)
        for future in futures:
            if not future.is_done:
                raise TransactionUnsafe("a record is not delivered although everything was flushed: the process must restart")
            if future.exception is not None:
                raise future.exception

    def _send_offsets(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: Any) -> None:
        with self.watchdog.guard("send_offsets_to_transaction"):
            self._producer.send_offsets_to_transaction(dict(offsets), group)
        self.faults.reach("after-offsets")

    def _identity(self) -> _Identity:
        current = self._producer._transaction_manager.producer_id_and_epoch  # noqa: SLF001  the only place it is told
        return _Identity(current.producer_id, current.epoch)

    def _still_ours(self, identity: _Identity, state: TransactionState) -> None:
        """Raise unless the producer is in `state` under the identity the transaction began with."""
        manager = self._producer._transaction_manager  # noqa: SLF001  see the module: only here a dropped transaction shows
        now = self._identity()
        open_as_expected = state is not TransactionState.IN_TRANSACTION or manager._transaction_started  # noqa: SLF001
        if now != identity or manager._current_state is not state or not open_as_expected:  # noqa: SLF001
            raise TransactionUnsafe(
                f"the transaction of {self.transactional_id} is not what was begun (producer {identity.producer_id} epoch "
                f"{identity.epoch}, now {now.producer_id} epoch {now.epoch}, {manager._current_state.name}): "  # noqa: SLF001
                "another producer may have its transactional id; the process must restart and read again"
            )

    def _start_over(self) -> None:
        """Abort, and begin again with a new producer.

        kafka-python keeps offsets of an aborted transaction that were not acknowledged and adds them to the next one; a new producer
        forgets them.
        """
        try:
            with self.watchdog.guard("abort_transaction"):
                self._producer.abort_transaction()
        except kafka_errors.KafkaError as error:
            raise TransactionUnsafe(f"a transaction could not be aborted: {error}; the process must restart") from error
        self.close(self.settings.stream.call_timeout_s)
        self.open()

    def _raise(self, error: kafka_errors.KafkaError) -> None:
        cause = _cause(error)
        try:
            with translated("publishing a transaction", self.settings.kafka):
                raise cause
        except (AccessDenied, TransactionUnsafe):
            raise
        except StopError as translation:
            if isinstance(cause, (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)):
                raise
            raise TransactionUnsafe(f"{translation}; the process must restart and read again") from error


def _headers(output: OutputRecord) -> list[tuple[str, bytes]]:
    return [(name, value if value is not None else b"") for name, value in output.headers]


def _cause(error: BaseException) -> BaseException:
    """The error that stands behind a KafkaError that only says that there was one."""
    for argument in getattr(error, "args", ()):
        if isinstance(argument, kafka_errors.KafkaError):
            return _cause(argument)
    return error
