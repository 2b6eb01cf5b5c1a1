"""Dead letters are sent again, each once; and deleted.

Redriving once: whoever redrives first takes the one transactional id of this group's redriving. That fences whoever held it before and
ends their open transaction, so what is read afterwards is decided and nobody else can add to it. Only then the markers are read, and
what is not marked is published together with its marker in one transaction. Interrupted and repeated at any point, or run twice at once,
every dead letter is published once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kafka import TopicPartition

from worker.ops.faults import Faults
from worker.settings import Settings
from worker.stream.client import open_admin, open_reader, translated
from worker.stream.letters import Selection, StoredLetter, marker, original, read_letters, read_one
from worker.stream.transaction import Transactions
from worker.stream.types import OutputRecord
from worker.stream.watchdog import CallWatchdog

# Dead letters a transaction: bounds what is done again when it fails, not how much is redriven.
_BATCH = 100


@dataclass(slots=True)
class RedriveReport:
    """What was done.

    Attributes:
        redriven: sent again now.
        already: left alone, for they were sent again before.
        gone: left alone, for their original was too large to be kept and its topic has forgotten it.
    """

    redriven: list[StoredLetter] = field(default_factory=list)
    already: list[StoredLetter] = field(default_factory=list)
    gone: list[StoredLetter] = field(default_factory=list)

    @property
    def by_reason(self) -> dict[str, int]:
        """How many were redriven, by reason."""
        return dict(Counter(each.letter.reason.value for each in self.redriven))


def redrive(settings: Settings, selection: Selection, *, dry_run: bool = False, faults: Faults | None = None) -> RedriveReport:
    """Send the selected dead letters again, in the order in which they lie, unless that was done before.

    Args:
        settings: the whole tree.
        selection: which ones.
        dry_run: publish nothing; the report says what would be done.
        faults: planned faults, for tests.

    Raises:
        AccessDenied, ConfigurationError, DeadlineExceeded, StopError: as the worker itself.
        TransactionUnsafe: somebody else began to redrive: run it again, nothing is sent twice.
    """
    if dry_run:
        return _sort_out(settings, selection)[0]
    watchdog = CallWatchdog(settings.stream.call_timeout_s)
    watchdog.start()
    transactions = Transactions(settings, f"{settings.stream.group_id}-redrive", watchdog, faults or Faults())
    try:
        transactions.open()
        report, records = _sort_out(settings, selection)
        for start in range(0, len(records), _BATCH):
            batch = records[start : start + _BATCH]
            transactions.publish([record for pair in batch for record in pair])
        return report
    finally:
        transactions.close(settings.stream.call_timeout_s)
        watchdog.stop()


def _sort_out(settings: Settings, selection: Selection) -> tuple[RedriveReport, list[tuple[OutputRecord, OutputRecord]]]:
    report, now = RedriveReport(), datetime.now(UTC)
    records: list[tuple[OutputRecord, OutputRecord]] = []
    for stored in selection.of(read_letters(settings)):
        if stored.redriven:
            report.already.append(stored)
            continue
        event = original(stored) if stored.holds_original else _from_its_topic(settings, stored)
        if event is None:
            report.gone.append(stored)
            continue
        report.redriven.append(stored)
        records.append((event, marker(stored, settings.stream, now)))
    return report, records


def _from_its_topic(settings: Settings, stored: StoredLetter) -> OutputRecord | None:
    """The original of a dead letter that does not hold it."""
    source = stored.letter.source
    found = read_one(settings, source.topic, source.partition, source.offset)
    if found is None or found[:2] == (None, None):
        return None
    key, value, headers = found
    (name,) = original(stored).headers[-1:]
    return OutputRecord(source.topic, key, value, (*headers, name))


def purgeable(settings: Settings, letters: Sequence[StoredLetter], *, everything: bool) -> dict[int, int]:
    """How far each partition of the dead letters may be deleted: partition to the first offset that stays.

    Args:
        settings: the whole tree.
        letters: what lies there.
        everything: delete all of it; otherwise only the beginning in which every dead letter was redriven.
    """
    ends = _end_offsets(settings)
    if everything:
        return ends
    kept: dict[int, int] = {}
    for each in letters:
        if not each.redriven:
            kept[each.partition] = min(each.offset, kept.get(each.partition, each.offset))
    return {partition: kept.get(partition, end) for partition, end in ends.items()}


def purge(settings: Settings, offsets: dict[int, int]) -> None:
    """Delete the records of the dead letters before `offsets`. They cannot be had back.

    Raises:
        AccessDenied, DeadlineExceeded, StopError: Kafka refuses or does not answer.
    """
    topic = settings.stream.topics.dead_letter
    admin = open_admin(settings.kafka)
    try:
        with translated(f"deleting records of {topic}", settings.kafka):
            admin.delete_records({TopicPartition(topic, partition): offset for partition, offset in offsets.items()})
    finally:
        admin.close()


def _end_offsets(settings: Settings) -> dict[int, int]:
    topic = settings.stream.topics.dead_letter
    consumer = open_reader(settings.kafka)
    try:
        with translated(f"reading {topic}", settings.kafka):
            places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            return {place.partition: end for place, end in consumer.end_offsets(places).items()}
    finally:
        consumer.close(autocommit=False)
