"""The dead letters that lie in the topic: read them, find one, see which were sent again.

That a dead letter was redriven is said by a marker record in the same topic, written in the same transaction as the redriven event. So it
lives exactly as long as what it marks, and no other store can disagree with it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from worker.errors import ConfigurationError, DeadlineExceeded, EventRefused, Reason
from worker.events import DeadLetter, DeadLetterRedriven, derived_id
from worker.events.codec import decode_event, encode_event
from worker.events.reading import EventLimits
from worker.ops.deadline import Deadline
from worker.settings import Settings, StreamSettings
from worker.stream.client import open_reader, translated
from worker.stream.sizes import max_dead_letter_bytes
from worker.stream.types import Headers, OutputRecord

MARKER_TYPE = DeadLetterRedriven.ce_type().encode()
# What a redriven event carries: the id of the dead letter it was.
REDRIVE_HEADER = "intake-dead-letter-id"
_POLL_S = 0.2
# Dead letters are objects of a known, shallow shape.
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter where it lies.

    Attributes:
        partition, offset: in the topic of the dead letters.
        letter: what it says.
        redriven: True if it was sent again.
    """

    partition: int
    offset: int
    letter: DeadLetter
    redriven: bool

    @property
    def letter_id(self) -> str:
        """The id people name it by."""
        return str(self.letter.event_id)

    @property
    def holds_original(self) -> bool:
        """False if the original was too large to be kept in it."""
        return self.letter.original_value_base64 is not None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: all conditions that are set must hold.

    Attributes:
        ids: ids, or unambiguous beginnings of them.
    """

    reason: Reason | None = None
    ids: tuple[str, ...] = ()

    def of(self, letters: Sequence[StoredLetter]) -> list[StoredLetter]:
        """The selected ones, in order.

        Raises:
            ConfigurationError: an id names none, or more than one.
        """
        named = {self._one(letters, each).letter_id for each in self.ids} if self.ids else None
        return [
            each
            for each in letters
            if (self.reason is None or each.letter.reason is self.reason) and (named is None or each.letter_id in named)
        ]

    @staticmethod
    def _one(letters: Sequence[StoredLetter], start: str) -> StoredLetter:
        found = {each.letter_id: each for each in letters if each.letter_id.startswith(start.lower())}
        if len(found) != 1:
            raise ConfigurationError(
                f"{'no dead letter has' if not found else f'{len(found)} dead letters have'} an id that begins with {start!r}"
            )
        return next(iter(found.values()))


def marker(stored: StoredLetter, settings: StreamSettings, now: datetime) -> OutputRecord:
    """The record that says that a dead letter was redriven."""
    letter = stored.letter
    event_id = derived_id(DeadLetterRedriven.EVENT_NAME, stored.letter_id)
    event = DeadLetterRedriven(event_id=event_id, dead_letter_id=letter.event_id, redriven_at=now)
    value, headers = encode_event(
        event, event_id=str(event_id), source=settings.source_uri, time=now, traceparent=letter.traceparent
    )
    return OutputRecord(settings.topics.dead_letter, stored.letter_id.encode(), value, tuple(headers))


def original(stored: StoredLetter) -> OutputRecord:
    """The refused record as it was, for the topic it was read from, with a header that names the dead letter.

    Kafka clients cannot send a header without a value; such a one comes back with an empty value.
    """
    letter = stored.letter
    headers: list[tuple[str, bytes | None]] = [
        (each.name, None if each.value_base64 is None else b64decode(each.value_base64))
        for each in letter.original_headers
        if each.name != REDRIVE_HEADER
    ]
    headers.append((REDRIVE_HEADER, stored.letter_id.encode()))
    key = None if letter.original_key_base64 is None else b64decode(letter.original_key_base64)
    value = None if letter.original_value_base64 is None else b64decode(letter.original_value_base64)
    return OutputRecord(letter.source.topic, key, value, tuple(headers))


def read_letters(settings: Settings) -> list[StoredLetter]:
    """Every dead letter from the beginning to the end of the topic at this moment; records that are none are passed over.

    Raises:
        AccessDenied, ConfigurationError, DeadlineExceeded, StopError: Kafka refuses, does not answer, or has no such topic.
    """
    topic = settings.stream.topics.dead_letter
    limits = EventLimits(max_bytes=2 * max_dead_letter_bytes(settings.stream), max_depth=_DEPTH)
    found: list[tuple[int, int, DeadLetter]] = []
    redriven: set[str] = set()
    for record in _records(settings, topic):
        headers: Headers = tuple(record.headers or ())
        if ("ce_type", MARKER_TYPE) in headers:
            redriven.add((record.key or b"").decode(errors="replace"))
            continue
        try:
            letter, _envelope = decode_event(DeadLetter, record.value, headers, limits)
        except EventRefused:
            continue
        found.append((record.partition, record.offset, letter))
    return [StoredLetter(*each, redriven=str(each[2].event_id) in redriven) for each in found]


def read_one(settings: Settings, topic: str, partition: int, offset: int) -> tuple[bytes | None, bytes | None, Headers] | None:
    """Key, value and headers of one record of any topic; None if the topic does not keep it any more."""
    consumer = open_reader(settings.kafka)
    try:
        with translated(f"reading {topic}", settings.kafka):
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            begin, end = consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]
            if not begin <= offset < end:
                return None
            consumer.seek(place, offset)
            deadline = Deadline.after(settings.kafka.request_timeout_s)
            while not deadline.passed:
                for record in consumer.poll(timeout_ms=int(_POLL_S * 1000), max_records=1).get(place, ()):
                    return (record.key, record.value, tuple(record.headers or ())) if record.offset == offset else None
            raise DeadlineExceeded(f"offset {offset} of partition {partition} of {topic} could not be read in time")
    finally:
        consumer.close(autocommit=False)


def _records(settings: Settings, topic: str) -> Iterator[Any]:
    consumer: KafkaConsumer = open_reader(settings.kafka)
    try:
        with translated(f"reading {topic}", settings.kafka):
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise ConfigurationError(
                    f"topic {topic} does not exist, or may not be read; create it with `intake topics create`"
                )
            places = [TopicPartition(topic, number) for number in sorted(numbers)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            idle = Deadline.after(settings.kafka.request_timeout_s)
            while any(consumer.position(place) < ends[place] for place in places):
                polled = consumer.poll(timeout_ms=int(_POLL_S * 1000))
                if polled:
                    idle = Deadline.after(settings.kafka.request_timeout_s)
                idle.check(f"reading {topic}")
                for records in polled.values():
                    yield from records
    finally:
        consumer.close(autocommit=False)
