"""A refused record as a `dead-letter` event: everything needed to look at it and to send it again."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from worker import __version__
from worker.errors import DeadLetterError
from worker.events import DeadLetter, RecordHeader, RecordSource, derived_id
from worker.events.codec import encode_event
from worker.settings.stream import StreamSettings
from worker.stream.batch import Item
from worker.stream.sizes import max_dead_letter_bytes
from worker.stream.types import Flow, Headers, OutputRecord, SourceRecord

# Of the DeadLetter model.
_MAX_MESSAGE = 4096


def _now() -> datetime:
    return datetime.now(UTC)


def header(headers: Headers, name: str) -> str | None:
    """The first header of that name as text; None if it is absent or no text."""
    for each, value in headers:
        if each == name and value is not None:
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def _base64(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode("ascii")


@dataclass(frozen=True, slots=True)
class DeadLetterWriter:
    """Makes dead letters of one worker."""

    settings: StreamSettings
    flow: Flow
    worker: str = f"intake-worker/{__version__} {socket.gethostname()}"
    now: Callable[[], datetime] = _now

    def record(self, item: Item, error: DeadLetterError) -> OutputRecord:
        """The dead letter of a refused record, ready to publish. Its id is derived, so that a replay carries the same one."""
        source = item.record
        event = self._event(item, error, whole=True)
        value, headers = self._encode(event, source)
        if len(value) > max_dead_letter_bytes(self.settings):
            event = self._event(item, error, whole=False)
            value, headers = self._encode(event, source)
        # A record may have no key; the topic's own place keeps such dead letters apart then.
        key = source.key if source.key is not None else f"{source.topic}/{source.partition}/{source.offset}".encode()
        return OutputRecord(self.settings.topics.dead_letter, key, value, tuple(headers))

    def _encode(self, event: DeadLetter, source: SourceRecord) -> tuple[bytes, list[tuple[str, bytes]]]:
        return encode_event(
            event,
            event_id=str(event.event_id),
            source=self.settings.source_uri,
            time=event.failed_at,
            traceparent=header(source.headers, "traceparent"),
        )

    def _event(self, item: Item, error: DeadLetterError, *, whole: bool) -> DeadLetter:
        source = item.record
        message = str(error)
        if not whole:
            message = (
                f"{message} (the original, {len(source.value or b'')} bytes, is too large for a dead letter: it is at offset "
                f"{source.offset} of partition {source.partition} of {source.topic} as long as that topic keeps it)"
            )
        return DeadLetter(
            event_id=derived_id("dead-letter", source.topic, str(source.partition), str(source.offset), error.reason),
            arrival_id=self._context(item).get("arrival_id"),
            reason=error.reason,
            message=message[:_MAX_MESSAGE],
            stage=item.stage,
            attempts=item.attempts,
            failed_at=self.now(),
            worker=self.worker,
            traceparent=header(source.headers, "traceparent"),
            source=RecordSource(
                topic=source.topic, partition=source.partition, offset=source.offset, timestamp_ms=source.timestamp_ms
            ),
            original_key_base64=_base64(source.key),
            original_value_base64=_base64(source.value) if whole else None,
            original_headers=tuple(RecordHeader(name=name, value_base64=_base64(value)) for name, value in source.headers)
            if whole
            else (),
        )

    def _context(self, item: Item) -> dict[str, str]:
        return {} if item.parsed is None else dict(self.flow.context(item.parsed))
