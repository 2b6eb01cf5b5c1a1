"""What the assembly line and the pipeline report, as metrics and as progress.

`StreamReports` meets the stream room's `StreamObserver` structurally, so that neither room imports the other. `PipelineReports` is the
same for what only the stages know.
"""

from __future__ import annotations

import threading
import time

from worker.errors import Reason
from worker.ops.fence import StandstillFence
from worker.ops.health import Progress
from worker.ops.metrics import Metrics


class StreamReports:
    """A `StreamObserver` that keeps metrics and tells `Progress` what moved. Thread-safe, quick, never raises.

    Work waits when records are in flight or an assigned partition has a lag: hand `waiting` to `Progress` (as `attach` does).
    """

    def __init__(self, metrics: Metrics, fence: StandstillFence | None = None) -> None:
        """`fence` is told of every turn of the poll loop."""
        self._metrics = metrics
        self._fence = fence
        self._progress: Progress | None = None
        self._lock = threading.Lock()
        self._lag: dict[tuple[str, int], int] = {}
        self._in_flight = 0
        self._assigned: int | None = None

    def attach(self, progress_timeout_s: float) -> Progress:
        """The progress that these reports move; call it once, before the stream starts."""
        self._progress = Progress(progress_timeout_s, waiting=self.waiting)
        return self._progress

    def waiting(self) -> bool:
        """Whether any work waits."""
        with self._lock:
            return self._in_flight > 0 or any(lag > 0 for lag in self._lag.values())

    def has_assignment(self) -> bool:
        """Whether the group has given this worker partitions (a worker beyond the number of partitions has none, and is not ready)."""
        return bool(self._assigned)

    # ---- StreamObserver

    def turned(self) -> None:
        """The poll loop turned once more."""
        if self._fence is not None:
            self._fence.beat()
        if self._progress is not None:
            self._progress.beat()

    def moved(self) -> None:
        """Something got on."""
        self._metrics.last_progress.set(time.time())
        if self._progress is not None:
            self._progress.move()

    def batch_sent(self, line: str, records: int) -> None:
        """A batch was put before a line of stages."""
        self._metrics.queued.labels(line).inc()
        self._metrics.batch_size.labels(line).observe(records)

    def batch_taken(self, line: str, records: int) -> None:  # noqa: ARG002  the observer's signature
        """A line took a batch out of its queue."""
        self._metrics.queued.labels(line).dec()

    def stage_ended(self, stage: str, records: int, seconds: float) -> None:
        """A stage worked on one batch."""
        self._metrics.stage_seconds.labels(stage).observe(seconds)
        self._metrics.stage_records.labels(stage).inc(records)

    def transaction_ended(self, end: str, records: int, seconds: float) -> None:
        """A transaction settled `records` consumed records, or did not."""
        self._metrics.transaction_seconds.labels(end).observe(seconds)
        if end == "committed":
            self._metrics.committed.inc(records)

    def dead_letter(self, reason: Reason, stage: str) -> None:
        """A dead letter was committed."""
        self._metrics.dead_letters.labels(str(reason), stage).inc()
        self._metrics.events.labels("dead-letter").inc()

    def retry(self, error: str, stage: str) -> None:
        """A record was put back."""
        self._metrics.retries.labels(error, stage).inc()

    def rebalanced(self, kind: str, partitions: int) -> None:
        """The assignment changed."""
        self._metrics.rebalances.labels(kind).inc()
        self._metrics.rebalanced_partitions.labels(kind).inc(partitions)

    def assignment(self, partitions: int, waiting: int) -> None:
        """How many partitions are assigned, and how many back off."""
        self._assigned = partitions
        self._metrics.assigned.set(partitions)
        self._metrics.paused.set(waiting)

    def in_flight(self, records: int) -> None:
        """Records polled and not settled."""
        with self._lock:
            self._in_flight = records
        self._metrics.in_flight.set(records)

    def lag(self, topic: str, partition: int, records: int | None) -> None:
        """Records of a partition not committed yet; None: not assigned any more (its series ends: another worker has it)."""
        key = (topic, partition)
        with self._lock:
            if records is not None:
                self._lag[key] = records
                self._metrics.lag.labels(topic, str(partition)).set(records)
            elif self._lag.pop(key, None) is not None:
                self._metrics.lag.remove(topic, str(partition))

    def watchdog(self, action: str) -> None:
        """The progress watchdog did something."""
        self._metrics.watchdog.labels(action).inc()


class PipelineReports:
    """What only the stages know. Every label comes from a fixed set: no arrival, key or bucket ever becomes a label."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def decided(self, decision: str, best_similarity: float | None, event_to_decision_s: float | None) -> None:
        """An arrival was decided (`duplicate`, `review` or `new`). Counted again if its transaction fails and it is read again."""
        self._metrics.events.labels(decision).inc()
        if best_similarity is not None:
            self._metrics.best_similarity.labels(decision).observe(best_similarity)
        if event_to_decision_s is not None:
            self._metrics.event_to_decision.observe(event_to_decision_s)

    def fetched(self, size: int) -> None:
        """A photo of `size` bytes was fetched."""
        self._metrics.photo_bytes.observe(size)

    def decoded(self, photo_format: str, flags: tuple[str, ...] = ()) -> None:
        """A photo was decoded; `flags` as in `Pixels`."""
        self._metrics.photos.labels(photo_format).inc()
        for flag in flags:
            self._metrics.photo_flags.labels(flag).inc()

    def decoder_lost(self) -> None:
        """A photo cost a decoder process."""
        self._metrics.decoder_crashes.inc()

    def twin_waited(self, end: str) -> None:
        """An arrival met a twin in flight; `end`: `again` or `bound`."""
        self._metrics.twin_waits.labels(end).inc()
