"""Are the topics there, and may the worker use them? Asked once, before anything is consumed."""

from __future__ import annotations

from collections.abc import Sequence

from kafka import errors as kafka_errors

from worker.errors import AccessDenied, ConfigurationError
from worker.settings import Settings
from worker.stream.client import open_admin, translated


def input_topics(settings: Settings) -> tuple[str, ...]:
    """The topics the worker consumes."""
    topics = settings.stream.topics
    return tuple(topic for topic in (topics.item_photographed, topics.s3_notifications) if topic)


def output_topics(settings: Settings) -> tuple[str, ...]:
    """The topics the worker publishes to."""
    topics = settings.stream.topics
    return (topics.match_alert, topics.catalogue_insert, topics.dead_letter)


def check_topics(settings: Settings, topics: Sequence[str]) -> None:
    """Return if every topic exists and may be described.

    Raises:
        AccessDenied: a grant is missing, or the credentials are refused.
        ConfigurationError: a topic does not exist.
        DeadlineExceeded: no broker answered in time.
    """
    with translated("opening the admin client", settings.kafka):
        admin = open_admin(settings.kafka)
    try:
        with translated("looking for its topics", settings.kafka):
            described = {each["name"]: each["error_code"] for each in admin.describe_topics(list(topics))}
    finally:
        admin.close()
    errors = {topic: kafka_errors.for_code(described.get(topic, 0)) for topic in topics}
    denied = [topic for topic, error in errors.items() if error is kafka_errors.TopicAuthorizationFailedError]
    if denied:
        raise AccessDenied(
            f"Kafka does not let {settings.kafka.sasl_username or 'this client'} use the topics {', '.join(denied)}: grant READ on the "
            "input topics, WRITE on the output topics, and DESCRIBE on all"
        )
    missing = [topic for topic, error in errors.items() if error is not kafka_errors.NoError]
    if missing:
        raise ConfigurationError(f"topics do not exist: {', '.join(missing)}; create them with `intake topics create`")
