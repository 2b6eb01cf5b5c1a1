"""Sends the planned arrivals, as fast as the run wants them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kafka import KafkaProducer

from tests.chaos.truth import Kind, Planned, photo
from tests.chaos.uploads import Uploads
from tests.integration.system import System
from worker.events import PhotoLocation

UPLOADS = 8
# A photo takes 10 to 100 ms; this is for a machine that stands still.
UPLOAD_TIMEOUT_S = 3600.0
UNREADABLE_VALUE = b'{"arrival_id": 7'


@dataclass(slots=True)
class Feeder:
    """Photos and events of a plan. `sent_at` has the time of each arrival that was sent."""

    system: System
    planned: Sequence[Planned]
    seed: int
    sent_at: dict[str, float] = field(default_factory=dict)
    _producer: KafkaProducer = None
    _uploads: Uploads | None = None
    _next: int = 0

    def upload(self) -> None:
        """Put every photo into the bucket, past the proxy, and connect to Kafka while it is there."""
        self.begin_uploads(len(self.planned))

    def begin_uploads(self, ahead: int) -> None:
        """Connect to Kafka, upload the first `ahead` photos, and from then on keep so many ahead of what is sent, past the proxy."""
        # Idempotent: what is sent again while the broker restarts is in the topic once.
        self._producer = KafkaProducer(
            bootstrap_servers=self.system.kafka.bootstrap_servers,
            enable_idempotence=True,
            acks="all",
            delivery_timeout_ms=180_000,
            request_timeout_ms=5_000,
            max_block_ms=60_000,
            reconnect_backoff_max_ms=500,
            linger_ms=2,
        )
        self._producer.partitions_for(self.system.topic("item-photographed"))  # from now on, sending waits for nothing
        client = self.system.s3.client()
        client.put_object(Bucket=self.system.bucket, Key="arrivals/corrupt.jpg", Body=photo(0, 0, self.seed)[:600])

        def put(arrival: Planned) -> None:
            if arrival.kind is Kind.GARMENT:
                body = photo(arrival.garment, arrival.shot, self.seed)
                key = self.key_of(arrival.garment, arrival.shot)
                client.put_object(Bucket=self.system.bucket, Key=key, Body=body)

        self._uploads = Uploads(put, self.planned, ahead, UPLOADS)
        self._uploads.wait(ahead, UPLOAD_TIMEOUT_S)

    def send_up_to(self, count: int) -> None:
        """Send until `count` arrivals are sent, or as many as have their photos in the bucket; those that arrive together are never
        torn apart.
        """
        if self._uploads is None:
            raise RuntimeError("no photo was uploaded: call upload() or begin_uploads() first")
        topic = self.system.topic("item-photographed")
        ready = self._uploads.ready
        while self._next < len(self.planned):
            begins_group = self._next == 0 or self.planned[self._next].together != self.planned[self._next - 1].together
            if begins_group and (self._next >= count or self._group_end() > ready):
                break
            arrival = self.planned[self._next]
            key, value = self.event(arrival)
            self._producer.send(topic, key=key, value=value)
            self.sent_at[arrival.arrival_id] = time.time()
            self._next += 1
        self._uploads.sent(self._next)

    @property
    def sent(self) -> int:
        """How many are sent."""
        return self._next

    def finish(self, timeout_s: float) -> None:
        """Return when the broker has everything. No more photos are uploaded."""
        if self._uploads is not None:
            self._uploads.end()
        if self._producer is not None:
            self._producer.flush(timeout=timeout_s)
            self._producer.close(timeout=5)
            self._producer = None

    def _group_end(self) -> int:
        """Number after the last of those that arrive together with the next one."""
        end = self._next + 1
        while end < len(self.planned) and self.planned[end].together == self.planned[self._next].together:
            end += 1
        return end

    def event(self, arrival: Planned) -> tuple[bytes, bytes]:
        """Key and value of an arrival."""
        if arrival.kind is Kind.UNREADABLE:
            return arrival.arrival_id.encode(), UNREADABLE_VALUE
        names = {Kind.CORRUPT: "arrivals/corrupt.jpg", Kind.MISSING: "arrivals/nobody.jpg"}
        key = names.get(arrival.kind) or self.key_of(arrival.garment, arrival.shot)
        return self.system.event(arrival.arrival_id, PhotoLocation(bucket=self.system.bucket, key=key))

    def key_of(self, garment: int, shot: int) -> str:
        """Where a photo lies."""
        return f"arrivals/{self.seed}/{garment:05d}/{shot}.jpg"
