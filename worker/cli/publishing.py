"""What a phone app's back end does: photos into S3, then one `item-photographed` event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import orjson
from kafka import KafkaProducer
from pydantic import ValidationError

from worker.errors import ConfigurationError
from worker.events import Attributes, ItemPhotographed, PhotoLocation
from worker.events.codec import encode_event
from worker.events.ids import arrival_event_id
from worker.imaging.store import PhotoStore
from worker.settings import Settings
from worker.stream.client import client_configuration, ssl_context, translated
from worker.stream.preflight import check_reachable

# CloudEvents source of events from these commands: shows in the topic that no phone app sent them.
SUBMIT_SOURCE = "/intake/submit"
SIMULATE_SOURCE = "/intake/simulate"
CONTENT_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".heic": "image/heic",
    ".heif": "image/heif", ".avif": "image/avif",
}  # fmt: skip
# How long a producer waits for the topic's metadata: a missing topic should be said soon.
_METADATA_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True)
class Destination:
    """Bucket and prefix that photos are uploaded to; events may name it."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, settings: Settings, bucket: str | None, prefix: str | None) -> Self:
        """The first allowed location, unless told otherwise.

        Raises:
            ConfigurationError: the worker would refuse photos there.
        """
        place = settings.storage.allowed[0]
        chosen = cls(bucket or place.bucket, place.prefix if prefix is None and bucket is None else prefix or "")
        for allowed in settings.storage.allowed:
            if chosen.bucket == allowed.bucket and chosen.prefix.startswith(allowed.prefix):
                return chosen
        raise ConfigurationError(
            f"s3://{chosen.bucket}/{chosen.prefix} is not in INTAKE_STORAGE__ALLOWED: the worker would refuse every photo there"
        )

    def key(self, arrival_id: str, view: str, suffix: str) -> str:
        """Key of one photo."""
        return f"{self.prefix}{arrival_id}/{view}{suffix}"


def upload(store: PhotoStore, place: Destination, arrival_id: str, view: str, suffix: str, data: bytes) -> PhotoLocation:
    """Store one photo; the location names the ETag it was stored under, so that the worker reads no other."""
    key = place.key(arrival_id, view, suffix)
    etag = store.put(place.bucket, key, data, CONTENT_TYPES.get(suffix.lower(), "application/octet-stream"))
    return PhotoLocation(bucket=place.bucket, key=key, etag=etag, view=view)


def photographed(
    arrival_id: str, photos: Sequence[PhotoLocation], attributes: Mapping[str, str], photographed_at: datetime
) -> ItemPhotographed:
    """The event.

    Raises:
        ConfigurationError: an id, view or attribute is not what the contract allows.
    """
    try:
        return ItemPhotographed(
            arrival_id=arrival_id,
            photographed_at=photographed_at,
            photos=tuple(photos),
            attributes=Attributes.model_validate(dict(attributes)),
        )
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigurationError(
            f"no event can be made: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        ) from None


class EventPublisher:
    """Publishes arrivals and waits for Kafka's word on each. Not thread-safe."""

    def __init__(self, settings: Settings, source: str) -> None:
        """Raises as `translated`, and `ConfigurationError` where the topic is missing."""
        self._kafka = settings.kafka
        self._topic = settings.stream.topics.item_photographed
        self._source = source
        self._sent: list[Any] = []
        check_reachable(settings.kafka, ssl_context(settings.kafka))
        with translated("opening a producer", settings.kafka):
            self._producer = KafkaProducer(
                **client_configuration(settings.kafka),
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                max_block_ms=_METADATA_TIMEOUT_MS,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )

    def send(self, event: ItemPhotographed, traceparent: str | None = None) -> None:
        """Hand one event over; `flush` says whether it arrived. The same event gives the same bytes."""
        value, headers = encode_event(
            event, event_id=str(arrival_event_id(event.arrival_id)), source=self._source, time=event.photographed_at,
            traceparent=traceparent,
        )  # fmt: skip
        with translated(f"publishing to {self._topic} (is the topic there? `intake topics create`)", self._kafka):
            self._sent.append(
                self._producer.send(self._topic, key=event.arrival_id.encode("ascii"), value=value, headers=headers)
            )

    def flush(self) -> None:
        """Return when every event handed over is stored by Kafka; raises as `translated` if one is not."""
        with translated(f"publishing to {self._topic}", self._kafka):
            self._producer.flush(timeout=self._kafka.request_timeout_s)
            for future in self._sent:
                future.get(timeout=self._kafka.request_timeout_s)
        self._sent.clear()

    def close(self) -> None:
        """Release the connection; what was not flushed may be lost."""
        with suppress(Exception):  # it is over either way; `flush` has said what matters
            self._producer.close(timeout=5)

    def __enter__(self) -> Self:
        """The publisher itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()


def as_json(event: object) -> str:
    """An event (a model's dump) as one line."""
    return orjson.dumps(event).decode()
