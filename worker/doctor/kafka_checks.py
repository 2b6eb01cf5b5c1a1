"""Kafka: reachable, who we are, topics and their configuration, and what we may do with them. Nothing is produced or consumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from worker.doctor.findings import Finding, fail, ok, warn
from worker.settings import Settings
from worker.stream.checks import input_topics, output_topics
from worker.stream.client import open_admin, ssl_context, translated
from worker.stream.preflight import check_reachable
from worker.stream.runner import transactional_id
from worker.stream.sizes import max_dead_letter_bytes, max_input_bytes

# A doctor is not patient: what does not answer in this time is not well.
PATIENCE_S = 10.0
# What each right is for; every one implies DESCRIBE.
READ, WRITE = "READ", "WRITE"


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """All of it, from the wire upwards; the first thing that fails ends it."""
    quick = settings.kafka.model_copy(update={"request_timeout_s": min(PATIENCE_S, settings.kafka.request_timeout_s)})
    settings = settings.model_copy(update={"kafka": quick})
    check_reachable(quick, ssl_context(quick))
    yield ok("kafka", f"{quick.bootstrap_servers} answers ({quick.security_protocol})")
    with closing(open_admin(quick)) as admin, translated("looking around", quick):
        cluster = admin.describe_cluster()
        who = quick.sasl_username or quick.oauth_client_id or "no user"
        yield ok("kafka", f"cluster {cluster['cluster_id']}, {len(cluster['brokers'])} broker(s), as {who}")
        wanted = dict.fromkeys(input_topics(settings), READ) | dict.fromkeys(output_topics(settings), WRITE)
        described = {topic["name"]: topic for topic in admin.describe_topics(list(wanted))}
        usable = []
        for name, right in wanted.items():
            finding = topic_finding(name, right, described.get(name))
            yield finding
            if finding.level != "fail":
                usable.append(name)
        yield from _configurations(admin, settings, {name: described[name] for name in usable})
        yield from _group(admin, settings)
        yield from _transactions(admin, settings)


def topic_finding(name: str, right: str, topic: Mapping[str, Any] | None) -> Finding:
    """Is it there, and may we?"""
    error = kafka_errors.for_code(topic["error_code"]) if topic is not None else kafka_errors.UnknownTopicOrPartitionError
    if error is kafka_errors.TopicAuthorizationFailedError:
        return fail("kafka topics", f"{name}: not even DESCRIBE is granted", f"grant {right} on the topic (deploy/ has the ACLs)")
    if topic is None or error is not kafka_errors.NoError:
        return fail("kafka topics", f"{name} does not exist", "`intake topics create` makes it")
    granted = topic.get("authorized_operations")
    if granted is not None and right not in granted:
        return fail("kafka topics", f"{name}: {right} is not granted", f"grant {right} on the topic to this user")
    partitions = topic["partitions"]
    leaderless = [part["partition_index"] for part in partitions if part["leader_id"] < 0]
    if leaderless:
        return fail("kafka topics", f"{name}: partitions {leaderless} have no leader", "a broker is away: bring it back")
    behind = [part["partition_index"] for part in partitions if len(part["isr_nodes"]) < len(part["replica_nodes"])]
    if behind:
        return warn("kafka topics", f"{name}: replicas of partitions {behind} are behind", "look at the brokers")
    copies = min(len(part["replica_nodes"]) for part in partitions)
    return ok("kafka topics", f"{name}: {len(partitions)} partition(s), {copies} copies, {right} granted")


def _configurations(admin: Any, settings: Settings, topics: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    if not topics:
        return
    try:
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics], config_filter="all")
    except kafka_errors.AuthorizationError:
        yield warn(
            "kafka topics",
            "their configuration may not be looked at",
            "grant DESCRIBE_CONFIGS, or look yourself: max.message.bytes and min.insync.replicas",
        )
        return
    for name, topic in topics.items():
        values = {key: entry["value"] for key, entry in answer["topic"][name].items()}
        copies = min(len(part["replica_nodes"]) for part in topic["partitions"])
        yield from configuration_findings(settings, name, len(topic["partitions"]), copies, values)


def configuration_findings(
    settings: Settings, name: str, partitions: int, copies: int, values: Mapping[str, str]
) -> Iterator[Finding]:
    """What a topic's configuration would do to the worker's promises."""
    inputs = input_topics(settings)
    largest = int(values["max.message.bytes"])
    stream = settings.stream
    needed = (
        max_dead_letter_bytes(stream)
        if name == stream.topics.dead_letter
        else max_input_bytes(stream)
        if name in inputs
        else largest
    )
    if largest < needed:
        yield fail(
            "kafka topics",
            f"{name}: max.message.bytes is {largest}, {needed} may be needed",
            f"set max.message.bytes={needed} on the topic: a record that does not fit would stop the worker",
        )
    in_sync = int(values["min.insync.replicas"])
    if copies == 1:
        yield warn(
            "kafka topics", f"{name} has one copy: a lost disk loses events", "replication factor 3, min.insync.replicas 2"
        )
    elif in_sync < 2:
        yield warn("kafka topics", f"{name}: min.insync.replicas is {in_sync}: a lost broker can lose events", "set it to 2")
    elif in_sync >= copies:
        yield warn(
            "kafka topics",
            f"{name}: every copy must be in sync: one broker away stops it",
            f"set min.insync.replicas={copies - 1}",
        )
    if name in inputs and partitions == 1:
        yield warn(
            "kafka topics", f"{name} has one partition: a second worker has nothing to do", "more partitions, as many as workers"
        )
    if "compact" in values["cleanup.policy"]:
        yield fail(
            "kafka topics",
            f"{name} is compacted: a later event of the same arrival deletes an earlier one",
            "set cleanup.policy=delete",
        )


def _group(admin: Any, settings: Settings) -> Iterator[Finding]:
    group = settings.stream.group_id
    try:
        answer = admin.describe_groups([group], include_authorized_operations=True)
    except kafka_errors.GroupAuthorizationFailedError:
        yield fail("kafka group", f"{group}: not even DESCRIBE is granted", "grant READ on the group to this user")
        return
    except (kafka_errors.CoordinatorNotAvailableError, kafka_errors.GroupIdNotFoundError):
        yield ok("kafka group", f"{group}: 0 worker(s) in it now")
        return
    yield from group_findings(settings, answer[group] if isinstance(answer, Mapping) else answer[0])


def group_findings(settings: Settings, group: Mapping[str, Any]) -> Iterator[Finding]:
    """May we join it, and who is in it?"""
    name = settings.stream.group_id
    granted = group.get("authorized_operations")
    if granted is not None and READ not in granted:
        yield fail("kafka group", f"{name}: READ is not granted", "grant READ on the group to this user")
        return
    members: Sequence[Mapping[str, Any]] = group.get("members") or ()
    instance = settings.stream.group_instance_id
    if instance and any(member.get("group_instance_id") == instance for member in members):
        yield warn(
            "kafka group",
            f"{name} already has a member {instance}",
            "fine if that is the worker this configuration belongs to; a second one would throw the first out",
        )
    yield ok("kafka group", f"{name}: {len(members)} worker(s) in it now")


def _transactions(admin: Any, settings: Settings) -> Iterator[Finding]:
    name = transactional_id(settings)
    try:
        admin.describe_transactions([name])
    except kafka_errors.TransactionalIdAuthorizationFailedError:
        yield fail(
            "kafka transactions",
            f"the transactional id {name} may not be used",
            f"grant WRITE on transactional ids with the prefix {settings.stream.group_id}-",
        )
    except (kafka_errors.TransactionalIdNotFoundError, kafka_errors.CoordinatorNotAvailableError):
        yield ok("kafka transactions", f"{name} is free")
    else:
        yield ok("kafka transactions", f"{name} is known and may be taken over")
