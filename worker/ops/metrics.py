"""Every Prometheus metric of the worker, named and described here and nowhere else.

`Metrics` owns a registry of its own (no process-wide state), so that tests and the demo can have several. Who sets which value is in
`worker.ops.observer`.
"""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from worker import __version__

# Upper bounds, in seconds. A stage takes from one millisecond (an empty search) to ten seconds (a batch of twelve-megapixel HEIC
# photos on two cores); the promise "within a second" lies inside, with a bound just below and above it.
STAGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0)
# An event may have waited in the topic for as long as the worker was away: up to an hour is told apart.
EVENT_BUCKETS = (0.1, 0.2, 0.5, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
# A transaction of ten messages takes 10 to 60 ms; its timeout is 20 s by default.
TRANSACTION_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
# Powers of two up to the largest batch the settings allow.
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# Bytes, 16 KiB to the default limit of 30 MB.
BYTES_BUCKETS = (16_384, 65_536, 262_144, 524_288, 1_048_576, 2_097_152, 4_194_304, 8_388_608, 16_777_216, 33_554_432)
# Cosine of the best candidate: thresholds lie in the upper half, where the steps are small.
SIMILARITY_BUCKETS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)

OUTCOMES = ("duplicate", "review", "new", "dead-letter")


class ModelsInUse(Protocol):
    """What the metrics say of the models (`worker.vision.LoadedModels`)."""

    @property
    def segmenter_id(self) -> str:
        """Registry id."""

    @property
    def embedder_id(self) -> str:
        """Registry id."""

    @property
    def fingerprint(self) -> str:
        """Of the pair and its preprocessing."""

    @property
    def providers(self) -> tuple[str, ...]:
        """What the models run on, first choice first."""


class IndexInUse(Protocol):
    """What the metrics say of the index (`worker.catalogue.protocol.CatalogueStats`)."""

    @property
    def engine(self) -> str:
        """Which engine."""

    @property
    def collection(self) -> str:
        """What is searched."""

    @property
    def alias(self) -> str:
        """Under which name."""

    @property
    def points(self) -> int:
        """All points."""

    @property
    def pending(self) -> int:
        """Points that are not settled."""


class ThresholdsInUse(Protocol):
    """What the metrics say of the thresholds (a calibration)."""

    @property
    def duplicate_threshold(self) -> float:
        """Similarity from which an arrival is a duplicate."""

    @property
    def review_threshold(self) -> float:
        """Similarity from which a person should look."""


class Metrics:
    """All metrics, on a registry of their own. Thread-safe (prometheus_client locks each value)."""

    def __init__(self, *, process: bool = True) -> None:
        """`process` adds the process, platform and garbage-collector metrics of prometheus_client (once a process is enough)."""
        self.registry = registry = CollectorRegistry(auto_describe=True)
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)

        # ---- events
        self.events = Counter(
            "intake_events",
            "Events by what became of them. Decisions are counted when made, dead letters when committed: an event read again after"
            " a lost transaction counts again (intake_committed_events does not).",
            ["outcome"],
            registry=registry,
        )
        for outcome in OUTCOMES:  # zero is a value: a rate over a series that does not exist yet alerts nobody
            self.events.labels(outcome)
        self.committed = Counter(
            "intake_committed_events",
            "Consumed events settled by a committed transaction, whatever became of them.",
            registry=registry,
        )
        self.event_to_decision = Histogram(
            "intake_event_to_decision_seconds",
            "From the event's own time to the decision.",
            buckets=EVENT_BUCKETS,
            registry=registry,
        )
        self.best_similarity = Histogram(
            "intake_best_similarity",
            "Cosine of each arrival's best candidate: a drift of models or photos shows here first.",
            ["decision"],
            buckets=SIMILARITY_BUCKETS,
            registry=registry,
        )
        self.dead_letters = Counter(
            "intake_dead_letters", "Dead letters by reason and by the stage that refused.", ["reason", "stage"], registry=registry
        )
        self.retries = Counter(
            "intake_retries",
            "Times an event was put back to be tried again, by error and stage.",
            ["error", "stage"],
            registry=registry,
        )

        # ---- the assembly line
        self.stage_seconds = Histogram(
            "intake_stage_seconds", "Time one batch spent in one stage.", ["stage"], buckets=STAGE_BUCKETS, registry=registry
        )
        self.stage_records = Counter(
            "intake_stage_records",
            "Arrivals a stage worked on; over intake_stage_seconds_sum: its speed.",
            ["stage"],
            registry=registry,
        )
        self.batch_size = Histogram(
            "intake_batch_size",
            "Arrivals in a batch put before a line of stages.",
            ["line"],
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("intake_in_flight", "Events polled and not yet committed.", registry=registry)
        self.queued = Gauge("intake_queued_batches", "Batches waiting before a line of stages.", ["line"], registry=registry)
        self.last_progress = Gauge(
            "intake_last_progress_timestamp_seconds",
            "Unix time at which a batch last moved (a commit or a retry).",
            registry=registry,
        )

        # ---- Kafka
        self.lag = Gauge(
            "intake_lag", "Events of an assigned partition that are not committed yet.", ["topic", "partition"], registry=registry
        )
        self.assigned = Gauge("intake_partitions_assigned", "Partitions this worker holds.", registry=registry)
        self.paused = Gauge("intake_partitions_waiting", "Partitions that back off after a failure.", registry=registry)
        self.rebalances = Counter(
            "intake_rebalances", "Changes of the assignment by kind: assigned, revoked, lost.", ["kind"], registry=registry
        )
        self.rebalanced_partitions = Counter(
            "intake_rebalanced_partitions", "Partitions that came or went, by kind.", ["kind"], registry=registry
        )
        self.transaction_seconds = Histogram(
            "intake_transaction_seconds",
            "From begin to the end of a transaction, by result: committed, aborted, unsafe.",
            ["result"],
            buckets=TRANSACTION_BUCKETS,
            registry=registry,
        )
        self.watchdog = Counter(
            "intake_watchdog", "What the progress watchdog did: heal (seek and resume) or restart.", ["action"], registry=registry
        )

        # ---- photos
        self.photos = Counter("intake_photos", "Decoded photos by format, by content.", ["format"], registry=registry)
        self.photo_bytes = Histogram("intake_photo_bytes", "Size of fetched photos.", buckets=BYTES_BUCKETS, registry=registry)
        self.photo_flags = Counter(
            "intake_photo_flags", "Photos a person should know something about.", ["flag"], registry=registry
        )
        self.decoder_crashes = Counter(
            "intake_decoder_crashes",
            "Photos that cost a decoder process: a crash, the time or the memory limit.",
            registry=registry,
        )

        # ---- models, index, matching
        self.model = Gauge(
            "intake_model_info", "The models that run; always 1.", ["task", "model_id", "provider"], registry=registry
        )
        self.index = Gauge(
            "intake_index_info",
            "The index that is searched; always 1.",
            ["engine", "collection", "alias", "fingerprint"],
            registry=registry,
        )
        self.index_points = Gauge(
            "intake_index_points",
            "Points in the index by state, as counted when this worker started.",
            ["state"],
            registry=registry,
        )
        self.threshold = Gauge(
            "intake_threshold", "Similarity from which an arrival is a duplicate or for review.", ["decision"], registry=registry
        )
        self.twin_waits = Counter(
            "intake_twin_waits",
            "Arrivals that met a twin in flight: `again` (the partition waits and it is read again) or `bound` (alerted, waited too long).",
            ["end"],
            registry=registry,
        )

        # ---- the process
        self.build = Gauge("intake_build_info", "The worker's version; always 1.", ["version"], registry=registry)
        self.build.labels(__version__).set(1)
        self.dependency_up = Gauge(
            "intake_dependency_up", "1 if the dependency answered its last check, else 0.", ["dependency"], registry=registry
        )

    def render(self) -> bytes:
        """The text exposition, as `/metrics` serves it."""
        return generate_latest(self.registry)

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, type, description) of every metric of the worker itself, by name."""
        families = {family.name: family for family in self.registry.collect() if family.name.startswith("intake_")}
        return [(name, family.type, family.documentation) for name, family in sorted(families.items())]

    def describe(self, models: ModelsInUse, index: IndexInUse, thresholds: ThresholdsInUse) -> None:
        """Name the models, the index and the thresholds in force. Replaces what was named before."""
        provider = models.providers[0] if models.providers else "none"
        self.model.clear()
        self.model.labels("segment", models.segmenter_id, provider).set(1)
        self.model.labels("embed", models.embedder_id, provider).set(1)
        self.index.clear()
        self.index.labels(index.engine, index.collection, index.alias, models.fingerprint).set(1)
        self.index_points.labels("settled").set(index.points - index.pending)
        self.index_points.labels("pending").set(index.pending)
        self.threshold.labels("duplicate").set(thresholds.duplicate_threshold)
        self.threshold.labels("review").set(thresholds.review_threshold)

    def dependency_answered(self, name: str, ok: bool) -> None:
        """A dependency answered its check, or did not."""
        self.dependency_up.labels(name).set(1 if ok else 0)
