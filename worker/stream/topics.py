"""The topics as they should be, and bringing them about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from worker.errors import StopError
from worker.settings import Settings
from worker.stream.client import open_admin, translated
from worker.stream.sizes import max_dead_letter_bytes, max_input_bytes

# Three replicas, two of which must have a record before it counts: one broker may be lost without losing data or availability.
_REPLICAS = 3
# Key order holds only while the number of partitions stays: begin with enough for twelve workers.
INPUT_PARTITIONS = 12
# Alerts with ten candidates take 10 to 30 KB; this is the broker's own default.
_OUTPUT_BYTES = 1_048_588
# An arrival older than a week is no longer on the receiving desk.
_INPUT_DAYS = 7
_OUTPUT_DAYS = 30
# Dead letters wait for people, verdicts for the next calibration.
_DEAD_LETTER_DAYS = 90
_DECISION_DAYS = 365


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How a topic should be. `partitions` is a lower limit: more are fine."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """How a topic is. `partitions` 0: it does not exist."""

    plan: TopicPlan
    partitions: int = 0
    replication_factor: int = 0
    configs: Mapping[str, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """True if the broker has it."""
        return self.partitions > 0

    @property
    def differences(self) -> tuple[str, ...]:
        """What is not as planned, for people."""
        if not self.exists:
            return ("does not exist",)
        found = []
        if self.partitions < self.plan.partitions:
            found.append(f"{self.partitions} partitions instead of {self.plan.partitions}")
        if self.replication_factor < self.plan.replication_factor:
            found.append(f"replication factor {self.replication_factor} instead of {self.plan.replication_factor}")
        found += [
            f"{name}={self.configs.get(name, '(default)')} instead of {value}" for name, value in self.differing_configs().items()
        ]
        return tuple(found)

    def differing_configs(self) -> dict[str, str]:
        """Configurations to set so that the topic is as planned. A larger max.message.bytes is as good."""
        differing = {}
        for name, value in self.plan.configs.items():
            actual = self.configs.get(name)
            enough = name == "max.message.bytes" and actual is not None and int(actual) >= int(value)
            if actual != value and not enough:
                differing[name] = value
        return differing


def plan_topics(settings: Settings, *, partitions: int, replication_factor: int) -> tuple[TopicPlan, ...]:
    """The topics the settings name, inputs first."""
    topics, stream = settings.stream.topics, settings.stream
    durable = {"cleanup.policy": "delete", "min.insync.replicas": str(max(1, replication_factor - 1))}

    def plan(name: str, days: int, most_bytes: int, count: int = partitions) -> TopicPlan:
        retention = str(int(timedelta(days=days).total_seconds() * 1000))
        return TopicPlan(
            name, count, replication_factor, durable | {"retention.ms": retention, "max.message.bytes": str(most_bytes)}
        )

    inputs = [plan(topics.item_photographed, _INPUT_DAYS, max_input_bytes(stream))]
    if topics.s3_notifications:
        inputs.append(plan(topics.s3_notifications, _INPUT_DAYS, max_input_bytes(stream)))
    return (
        *inputs,
        plan(topics.match_alert, _OUTPUT_DAYS, _OUTPUT_BYTES),
        plan(topics.catalogue_insert, _OUTPUT_DAYS, _OUTPUT_BYTES),
        # One partition: they are few, and purging deletes up to an offset.
        plan(topics.dead_letter, _DEAD_LETTER_DAYS, max_dead_letter_bytes(stream), 1),
        plan(topics.match_decision, _DECISION_DAYS, _OUTPUT_BYTES),
    )


class TopicAdmin:
    """Looks at topics and creates them. Close it after use.

    Raises (from every method):
        AccessDenied: a grant is missing.
        DeadlineExceeded: no broker answered in time.
        StopError: Kafka refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient = open_admin(settings.kafka)

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()

    def sensible_replication_factor(self) -> int:
        """Three, or as many as there are brokers."""
        with translated("counting brokers", self._settings.kafka):
            return max(1, min(_REPLICAS, len(self._admin.describe_cluster()["brokers"])))

    def states(self, plans: Sequence[TopicPlan]) -> list[TopicState]:
        """How the planned topics are."""
        with translated("describing topics", self._settings.kafka):
            described = {each["name"]: each for each in self._admin.describe_topics([plan.name for plan in plans])}
            denied = [name for name, each in described.items() if _error(each) is kafka_errors.TopicAuthorizationFailedError]
            if denied:
                raise kafka_errors.TopicAuthorizationFailedError(set(denied))
            existing = [plan.name for plan in plans if described.get(plan.name, {}).get("error_code") == 0]
            configs = self._configs(existing)
        states = []
        for plan in plans:
            if plan.name not in existing:
                states.append(TopicState(plan))
                continue
            parts = described[plan.name]["partitions"]
            states.append(TopicState(plan, len(parts), len(parts[0]["replica_nodes"]), configs.get(plan.name, {})))
        return states

    def create(self, plan: TopicPlan) -> bool:
        """Create a topic and wait until it can be used; False if it is there already, as it may be since it was looked at."""
        options = {
            "num_partitions": plan.partitions,
            "replication_factor": plan.replication_factor,
            "configs": dict(plan.configs),
        }
        try:
            with translated(f"creating topic {plan.name}", self._settings.kafka):
                self._admin.create_topics({plan.name: options}, wait_for_metadata=True)
        except StopError as error:
            if isinstance(error.__cause__, kafka_errors.TopicAlreadyExistsError):
                return False
            raise
        return True

    def configure(self, state: TopicState) -> None:
        """Set the configurations that differ from the plan."""
        resource = ConfigResource(ConfigResourceType.TOPIC, state.plan.name, state.differing_configs())
        with translated(f"configuring topic {state.plan.name}", self._settings.kafka):
            self._admin.alter_configs([resource])

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, None) for name in names]
        answer = self._admin.describe_configs(resources, config_filter="all").get("topic", {})
        return {name: {key: each["value"] for key, each in values.items()} for name, values in answer.items()}


def _error(described: Mapping[str, Any]) -> type[kafka_errors.KafkaError]:
    error: type[kafka_errors.KafkaError] = kafka_errors.for_code(described["error_code"])
    return error


def create_topics(
    settings: Settings, *, partitions: int = INPUT_PARTITIONS, replication_factor: int | None = None, update: bool = False
) -> list[tuple[TopicState, str]]:
    """Make the topics exist. Idempotent: what exists is left as it is, but for its configurations if `update` is set.

    Returns:
        for each topic how it was, and what was done: ``created``, ``exists``, ``updated`` or ``differs: ...``.
    """
    admin = TopicAdmin(settings)
    try:
        factor = replication_factor if replication_factor is not None else admin.sensible_replication_factor()
        done = []
        for state in admin.states(plan_topics(settings, partitions=partitions, replication_factor=factor)):
            if not state.exists:
                done.append((state, "created" if admin.create(state.plan) else "exists"))
            elif update and state.differing_configs():
                admin.configure(state)
                done.append((state, "updated"))
            elif state.differences:
                done.append((state, "differs: " + "; ".join(state.differences)))
            else:
                done.append((state, "exists"))
        return done
    finally:
        admin.close()
