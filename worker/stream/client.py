"""kafka-python clients from the settings, and its errors as the worker's own."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import KafkaAdminClient
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import MemberState
from kafka.util import Timer

from worker.errors import AccessDenied, ConfigurationError, DeadlineExceeded, StopError, TransactionUnsafe
from worker.settings.stream import KafkaSettings, StreamSettings
from worker.stream.lenient import read_any_header
from worker.stream.oauth import ClientCredentials
from worker.stream.preflight import check_reachable
from worker.stream.sizes import max_dead_letter_bytes

# A broker that is restarted should be found again within a second, not within kafka-python's default of thirty.
_RECONNECT_MAX_MS = 1_000

# How long a broker may hold a fetch that finds nothing: also how late a record is tried again at most, beside its backoff.
_FETCH_WAIT_MS = 100

_DENIED = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
)
_TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
_FENCED = (kafka_errors.ProducerFencedError, kafka_errors.FencedInstanceIdError, kafka_errors.InvalidProducerEpochError)


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """The TLS context the settings ask for; None without TLS.

    Raises:
        ConfigurationError: a file is missing or is not what its setting says.
    """
    if "SSL" not in settings.security_protocol:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"INTAKE_KAFKA__SSL_CAFILE: {settings.ssl_cafile} is no readable CA bundle: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_certfile is not None:
        password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else None
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"INTAKE_KAFKA__SSL_CERTFILE / SSL_KEYFILE: no usable certificate and key: {type(error).__name__}"
            ) from error
    return context


def client_configuration(settings: KafkaSettings) -> dict[str, Any]:
    """What consumer, producer and admin client have in common. Holds secrets: never log it."""
    configuration: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",") if server.strip()],
        "client_id": settings.client_id,
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_timeout_s * 1000),
        "bootstrap_timeout_ms": int(settings.request_timeout_s * 1000),
        "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
        "ssl_context": ssl_context(settings),
        "ssl_check_hostname": settings.ssl_check_hostname,
    }
    if settings.security_protocol.startswith("SASL"):
        configuration["sasl_mechanism"] = settings.sasl_mechanism
        if settings.sasl_mechanism == "OAUTHBEARER":
            configuration["sasl_oauth_token_provider"] = ClientCredentials(settings)
        elif settings.sasl_username is not None and settings.sasl_password is not None:
            configuration["sasl_plain_username"] = settings.sasl_username
            configuration["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return configuration


@contextlib.contextmanager
def translated(doing: str, settings: KafkaSettings) -> Iterator[None]:
    """Turn kafka-python's errors into the worker's; `doing` says what was tried.

    Raises:
        AccessDenied: credentials are wrong or a grant is missing.
        TransactionUnsafe: another producer or member has taken over this one's identity.
        DeadlineExceeded: no broker answered in time.
        StopError: anything else Kafka refuses.
    """
    try:
        yield
    except _DENIED as error:
        raise AccessDenied(
            f"Kafka refuses {doing}: {error}; check the credentials (INTAKE_KAFKA__SASL_...) and the ACLs of "
            f"{settings.sasl_username or settings.oauth_client_id or 'this client'}"
        ) from error
    except _FENCED as error:
        raise TransactionUnsafe(
            f"another worker has taken over this one's identity while {doing}: {error}; give each worker its own "
            "INTAKE_STREAM__GROUP_INSTANCE_ID and INTAKE_STREAM__TRANSACTIONAL_ID"
        ) from error
    except _TOO_LARGE as error:
        raise StopError(
            f"Kafka refuses a record as too large while {doing}: {error}; raise max.message.bytes of the topic "
            "(`intake topics check` names it)"
        ) from error
    except kafka_errors.KafkaTimeoutError as error:
        raise DeadlineExceeded(
            f"Kafka at {settings.bootstrap_servers} did not answer within {settings.request_timeout_s:g} s while {doing}: {error}"
        ) from error
    except kafka_errors.KafkaConfigurationError as error:
        raise ConfigurationError(f"Kafka's client refuses its settings while {doing}: {error}") from error
    except kafka_errors.KafkaError as error:
        raise StopError(f"Kafka failed while {doing}: {error}") from error


def _checked(kafka: KafkaSettings) -> dict[str, Any]:
    """The clients' configuration, after a broker took it: what is wrong is named at once and not after a timeout."""
    configuration = client_configuration(kafka)
    with translated("the log-in", kafka):
        check_reachable(kafka, configuration["ssl_context"], configuration)
    return configuration


def open_consumer(kafka: KafkaSettings, stream: StreamSettings) -> KafkaConsumer:
    """The group's consumer: read_committed, cooperative-sticky, commits nothing by itself."""
    read_any_header()
    configuration = _checked(kafka)
    with translated("opening the consumer", kafka):
        return KafkaConsumer(
            **configuration,
            group_id=stream.group_id,
            group_instance_id=stream.group_instance_id,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            session_timeout_ms=int(stream.session_timeout_s * 1000),
            heartbeat_interval_ms=int(stream.heartbeat_interval_s * 1000),
            max_poll_interval_ms=int(stream.max_poll_interval_s * 1000),
            retry_backoff_ms=stream.retry_backoff_ms,
            # A fetch that waits at the end of a partition holds up the next one to its broker, also one after a seek.
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            metrics_enabled=False,
        )


def poll(consumer: KafkaConsumer, timeout_s: float, max_records: int) -> dict[TopicPartition, list[Any]]:
    """One pass of `consumer.poll`: see to the group, then return records, or nothing after `timeout_s` at the latest.

    `consumer.poll` itself repeats such passes until its time is over. When a pass ends with partitions revoked, the next one joins the
    group again and so gives them away: nothing of them could be committed any more. One pass leaves the caller time to do that.

    Two troubles of kafka-python 3.0.12 are cured on the way, each of which would last until the process ends:

    - The rest of a paused partition's fetch is set aside, and taken up again only when no other fetch is current; but an exhausted one
      still counts as current, and the partition is not read any more.
    - A join that is still on its way when a pass ends is only followed up while there is a reason to join. If the reason was changed
      metadata, it is gone by then: the member stays half joined, sends no heartbeats and is counted out without noticing.

    Raises:
        FencedInstanceIdError: another process has this one's group_instance_id. kafka-python only logs what the heartbeat was told, sends
            none any more, and goes on as a member that nobody knows.
    """
    fetcher, coordinator = consumer._fetcher, consumer._coordinator  # noqa: SLF001  there is no public way to say this
    if not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001
    if coordinator.rebalance_in_progress():
        coordinator.request_rejoin()
    polled: dict[TopicPartition, list[Any]] = consumer._poll_once(Timer(int(timeout_s * 1000)), max_records)  # noqa: SLF001
    # Heartbeats are off while the member joins, and then on; only fencing leaves a settled member without.
    if coordinator.stable() and not (coordinator.need_rejoin() or coordinator.rejoining or coordinator._heartbeat_enabled):  # noqa: SLF001
        raise kafka_errors.FencedInstanceIdError("the heartbeat was refused: another process has the same group_instance_id")
    return polled


def is_rebalancing(consumer: KafkaConsumer) -> bool:
    """True while the consumer is not a settled member of its group."""
    return bool(consumer.group_metadata().state != MemberState.STABLE)


def open_reader(kafka: KafkaSettings) -> KafkaConsumer:
    """A consumer without a group that sees only what was committed: for commands that read a topic from end to end."""
    read_any_header()
    configuration = _checked(kafka)
    with translated("opening a reader", kafka):
        return KafkaConsumer(
            **configuration,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )


def open_producer(kafka: KafkaSettings, stream: StreamSettings, transactional_id: str) -> KafkaProducer:
    """A transactional producer, not initialised yet."""
    configuration = _checked(kafka)
    with translated("opening the producer", kafka):
        return KafkaProducer(
            **configuration,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(stream.transaction_timeout_s * 1000),
            # A record that is not delivered by then fails; the broker has aborted the transaction anyway.
            delivery_timeout_ms=int((kafka.request_timeout_s + stream.transaction_timeout_s) * 1000),
            max_request_size=2 * max_dead_letter_bytes(stream),
            max_block_ms=int(stream.call_timeout_s * 1000),
            retry_backoff_ms=stream.retry_backoff_ms,
            linger_ms=0,  # every batch is flushed at once
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )


def open_admin(kafka: KafkaSettings) -> KafkaAdminClient:
    """An admin client."""
    configuration = _checked(kafka)
    with translated("opening the admin client", kafka):
        return KafkaAdminClient(**configuration)
