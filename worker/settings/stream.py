"""Settings of Kafka and of the assembly line."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from worker.settings.base import Group


class KafkaSettings(Group):
    """How to reach Kafka."""

    bootstrap_servers: str = Field(default="localhost:9092", description="Comma-separated host:port list.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ssl_cafile: str | None = Field(default=None, description="CA bundle (PEM) that signed the brokers' certificates.")
    ssl_certfile: str | None = Field(default=None, description="Client certificate (PEM) for mutual TLS.")
    ssl_keyfile: str | None = Field(default=None, description="Key of the client certificate (PEM).")
    ssl_key_password: SecretStr | None = None
    ssl_check_hostname: bool = True
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    oauth_token_url: str | None = Field(
        default=None, description="OAuth 2.0 token endpoint (client credentials) for OAUTHBEARER."
    )
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_scope: str | None = None
    client_id: str = "intake-worker"
    request_timeout_s: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> Self:
        if self.security_protocol.startswith("SASL"):
            if self.sasl_mechanism is None:
                raise ValueError("security_protocol asks for SASL: set sasl_mechanism")
            if self.sasl_mechanism == "OAUTHBEARER":
                if not (self.oauth_token_url and self.oauth_client_id and self.oauth_client_secret):
                    raise ValueError("OAUTHBEARER needs oauth_token_url, oauth_client_id and oauth_client_secret")
            elif not (self.sasl_username and self.sasl_password):
                raise ValueError(f"{self.sasl_mechanism} needs sasl_username and sasl_password")
        return self


class TopicSettings(Group):
    """Names of the topics."""

    item_photographed: str = "intake.item-photographed"
    s3_notifications: str | None = Field(default=None, description="Second input: S3 ObjectCreated notifications; off if unset.")
    match_alert: str = "intake.match-alert"
    catalogue_insert: str = "intake.catalogue-insert"
    dead_letter: str = "intake.dead-letter"
    match_decision: str = "intake.match-decision"


class RetrySettings(Group):
    """Backoff of one kind of failure: exponential with full jitter."""

    initial_s: float = Field(default=0.5, gt=0)
    factor: float = Field(default=2.0, ge=1.0)
    maximum_s: float = Field(default=30.0, gt=0)
    give_up_after_s: float | None = Field(
        default=None, gt=0, description="After this long the event becomes a dead letter (retries-exhausted). Unset: never."
    )


class DeadLetterLimits(Group):
    """When so many events are refused that the worker, not the events, must be broken: it stops."""

    run_length: int = Field(default=50, ge=1, description="Stop after this many dead letters with no success between them.")
    rate: float = Field(
        default=0.5, gt=0, le=1, description="Stop when this share of the last `rate_window` events were refused."
    )
    rate_window: int = Field(default=200, ge=10)


class StreamSettings(Group):
    """Batches, retries and deadlines."""

    topics: TopicSettings = Field(default_factory=TopicSettings)
    group_id: str = "intake-worker"
    group_instance_id: str | None = Field(
        default=None, description="Static membership (KIP-345): set it to the pod's stable name; unset: dynamic member."
    )
    transactional_id: str | None = Field(
        default=None, description="Fixed transactional id. Unset: from group_instance_id if set, else new in every process life."
    )
    transaction_timeout_s: float = Field(default=20.0, gt=0)
    batch_size: int = Field(default=16, ge=1, le=1024, description="Most arrivals in one micro-batch.")
    batch_wait_s: float = Field(default=0.05, ge=0, description="How long a batch waits for more arrivals.")
    queue_depth: int = Field(default=1, ge=1, le=8, description="Batches waiting before each stage.")
    session_timeout_s: float = Field(default=15.0, gt=0)
    heartbeat_interval_s: float = Field(default=3.0, gt=0)
    max_poll_interval_s: float = Field(default=120.0, gt=0, description="Also the rebalance timeout.")
    drain_timeout_s: float = Field(
        default=20.0,
        gt=0,
        description="One deadline for all that happens on SIGTERM and on revocation; below the pod's grace period.",
    )
    call_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="Deadline on Kafka calls that may wait for ever (commit, abort, send offsets): the process ends.",
    )
    progress_check_s: float = Field(
        default=10.0, gt=0, description="How often each partition is looked at: do its end offset and its position both move?"
    )
    stuck_after_s: float = Field(
        default=60.0,
        gt=0,
        description="A partition whose position stands this long while its end moves is healed (seek, resume), then the process ends. "
        "Longer than transaction_timeout_s: a crashed worker's transaction holds its partitions for that long.",
    )
    retry_backoff_ms: int = Field(default=5, ge=1, description="kafka-python's pause between answers of CONCURRENT_TRANSACTIONS.")
    max_event_bytes: int = Field(default=262_144, ge=1024, description="Larger input events are refused.")
    max_json_depth: int = Field(default=32, ge=4)
    notification_key_pattern: str = Field(
        default=r"^(?P<prefix>.*/)?(?P<arrival_id>[^/]+)/(?P<view>[a-z0-9_-]+)\.[A-Za-z0-9]+$",
        description="Regular expression with named groups arrival_id and (optional) view, for keys of S3 notifications.",
    )
    storage_retry: RetrySettings = Field(default_factory=RetrySettings)
    catalogue_retry: RetrySettings = Field(default_factory=RetrySettings)
    inference_retry: RetrySettings = Field(default_factory=lambda: RetrySettings(initial_s=1.0))
    twin_retry: RetrySettings = Field(default_factory=lambda: RetrySettings(initial_s=0.05, maximum_s=0.5))
    dead_letter_limits: DeadLetterLimits = Field(default_factory=DeadLetterLimits)
    source_uri: str = Field(default="/intake/worker", description="CloudEvents source of what the worker publishes.")

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.drain_timeout_s >= self.max_poll_interval_s:
            raise ValueError(
                "drain_timeout_s must be below max_poll_interval_s: the group counts a worker out that drains longer"
            )
        if self.heartbeat_interval_s * 2 > self.session_timeout_s:
            raise ValueError("session_timeout_s must be at least twice heartbeat_interval_s")
        if self.stuck_after_s <= self.transaction_timeout_s:
            raise ValueError(
                "stuck_after_s must be above transaction_timeout_s: a crashed worker's transaction holds its partitions"
            )
        return self
