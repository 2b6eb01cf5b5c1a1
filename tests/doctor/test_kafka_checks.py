from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from tests.infra.kafka import KafkaServer, unique, wait_until
from worker.doctor.findings import Finding, Level
from worker.doctor.kafka_checks import check_kafka, configuration_findings, group_findings, topic_finding
from worker.embedded.kafka import free_port
from worker.errors import DeadlineExceeded
from worker.settings import Settings

GOOD = {"max.message.bytes": "2000000", "min.insync.replicas": "2", "cleanup.policy": "delete"}


def settings(bootstrap: str = "localhost:9092", **rooms: Any) -> Settings:
    kafka = {"bootstrap_servers": bootstrap, "request_timeout_s": 5} | rooms.pop("kafka", {})
    return Settings(_env_file=None, kafka=kafka, **rooms)


def topic(**changes: Any) -> dict[str, Any]:
    part = {"partition_index": 0, "leader_id": 1, "replica_nodes": [1, 2, 3], "isr_nodes": [1, 2, 3]}
    return {"error_code": 0, "partitions": [part], "authorized_operations": ["READ", "WRITE", "DESCRIBE"]} | changes


# ---- what is said of what Kafka answers


@pytest.mark.parametrize(
    ("described", "level", "said"),
    [
        (topic(), Level.OK, "1 partition(s), 3 copies, READ granted"),
        (topic(authorized_operations=None), Level.OK, "granted"),
        (topic(authorized_operations=["DESCRIBE"]), Level.FAIL, "READ is not granted"),
        (topic(error_code=29), Level.FAIL, "not even DESCRIBE"),
        (topic(error_code=3), Level.FAIL, "does not exist"),
        (None, Level.FAIL, "does not exist"),
        (topic(partitions=[{"partition_index": 4, "leader_id": -1, "replica_nodes": [1], "isr_nodes": []}]), Level.FAIL, "[4] have no leader"),
        (topic(partitions=[{"partition_index": 2, "leader_id": 1, "replica_nodes": [1, 2], "isr_nodes": [1]}]), Level.WARN, "[2] are behind"),
    ],
)  # fmt: skip
def test_a_topic_is_judged(described: dict[str, Any] | None, level: Level, said: str) -> None:
    finding = topic_finding("t", "READ", described)
    assert finding.level is level
    assert said in finding.message
    assert finding.advice or level is Level.OK


@pytest.mark.parametrize(
    ("name", "partitions", "copies", "changes", "said"),
    [
        ("intake.match-alert", 3, 3, {}, []),
        ("intake.item-photographed", 1, 3, {}, ["one partition"]),
        ("intake.match-alert", 3, 1, {"min.insync.replicas": "1"}, ["one copy"]),
        ("intake.match-alert", 3, 3, {"min.insync.replicas": "1"}, ["min.insync.replicas is 1"]),
        ("intake.match-alert", 3, 3, {"min.insync.replicas": "3"}, ["every copy must be in sync"]),
        ("intake.match-alert", 3, 3, {"cleanup.policy": "compact,delete"}, ["compacted"]),
        ("intake.dead-letter", 3, 3, {"max.message.bytes": "1048588"}, ["max.message.bytes is 1048588"]),
        ("intake.item-photographed", 3, 3, {"max.message.bytes": "1000"}, ["max.message.bytes is 1000"]),
    ],
)
def test_a_configuration_is_judged(name: str, partitions: int, copies: int, changes: dict[str, str], said: list[str]) -> None:
    findings = list(configuration_findings(settings(), name, partitions, copies, GOOD | changes))
    assert len(findings) == len(said)
    for finding, text in zip(findings, said, strict=True):
        assert text in finding.message
        assert finding.advice


def test_a_static_member_that_is_there_already_is_named() -> None:
    group = {"authorized_operations": ["READ"], "members": [{"group_instance_id": "worker-0"}]}
    warned, counted = group_findings(settings(stream={"group_instance_id": "worker-0"}), group)
    assert warned.level is Level.WARN
    assert "1 worker(s)" in counted.message
    (refused,) = group_findings(settings(), {"authorized_operations": ["DESCRIBE"]})
    assert refused.level is Level.FAIL


# ---- against a broker


def messages(findings: list[Finding], level: Level) -> list[str]:
    return [finding.message for finding in findings if finding.level is level]


def names(kafka: KafkaServer, **changes: Any) -> dict[str, Any]:
    """Topics that are good, and a group of their own; `changes` by topic setting name: other configurations, None: missing."""
    topics = {}
    for setting in ("item_photographed", "match_alert", "catalogue_insert", "dead_letter"):
        configs = changes.get(setting, {"max.message.bytes": "3000000"})
        topics[setting] = kafka.create_topic(partitions=2, configs=configs) if configs is not None else unique("missing")
    return {"topics": topics, "group_id": unique("group")}


@pytest.mark.integration
def test_a_good_broker_has_only_one_copy_to_complain_of(kafka: KafkaServer) -> None:
    findings = list(check_kafka(settings(kafka.bootstrap_servers, stream=names(kafka))))
    assert messages(findings, Level.FAIL) == []
    assert all("one copy" in message for message in messages(findings, Level.WARN))
    told = " | ".join(messages(findings, Level.OK))
    for text in (
        "answers (PLAINTEXT)",
        "1 broker(s), as no user",
        "READ granted",
        "WRITE granted",
        "0 worker(s) in it now",
        "is free",
    ):
        assert text in told


@pytest.mark.integration
def test_a_missing_topic_and_a_small_one_are_named_and_the_rest_is_still_looked_at(kafka: KafkaServer) -> None:
    stream = names(kafka, match_alert=None, dead_letter={"max.message.bytes": "5000"})
    findings = list(check_kafka(settings(kafka.bootstrap_servers, stream=stream)))
    missing, small = messages(findings, Level.FAIL)
    assert missing == f"{stream['topics']['match_alert']} does not exist"
    assert small.startswith(f"{stream['topics']['dead_letter']}: max.message.bytes is 5000")
    assert any("is free" in message for message in messages(findings, Level.OK))


@pytest.mark.integration
def test_the_members_of_a_running_group_are_counted(kafka: KafkaServer) -> None:
    from kafka import KafkaConsumer

    stream = names(kafka)
    with KafkaConsumer(
        stream["topics"]["item_photographed"], bootstrap_servers=kafka.bootstrap_servers, group_id=stream["group_id"]
    ) as consumer:
        wait_until(lambda: consumer.poll(timeout_ms=100) or consumer.assignment(), "the group")
        findings = list(check_kafka(settings(kafka.bootstrap_servers, stream=stream)))
    assert any("1 worker(s) in it now" in message for message in messages(findings, Level.OK))


def test_a_broker_that_is_not_there_is_said_within_the_doctors_patience() -> None:
    nowhere = settings(f"127.0.0.1:{free_port()}", kafka={"request_timeout_s": 0.5})
    with pytest.raises(DeadlineExceeded, match="INTAKE_KAFKA__BOOTSTRAP_SERVERS"):
        list(check_kafka(nowhere))


def test_the_doctor_is_less_patient_than_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def reachable(kafka: Any, _context: Any) -> None:
        seen.append(kafka.request_timeout_s)
        raise DeadlineExceeded("away")

    monkeypatch.setattr("worker.doctor.kafka_checks.check_reachable", reachable)
    with pytest.raises(DeadlineExceeded):
        list(check_kafka(settings(kafka={"request_timeout_s": 300, "sasl_password": SecretStr("x")})))
    assert seen == [10.0]
