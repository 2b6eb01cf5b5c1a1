"""`intake topics`: created as planned, again without harm, and checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from typer.testing import CliRunner, Result

from tests.infra.kafka import KafkaServer, unique
from worker.cli.topics import app
from worker.settings import load_settings
from worker.stream.sizes import max_dead_letter_bytes
from worker.stream.topics import plan_topics

pytestmark = pytest.mark.integration

Command = Callable[..., Result]
NAMES = ("item_photographed", "s3_notifications", "match_alert", "catalogue_insert", "dead_letter", "match_decision")


@pytest.fixture
def stem() -> str:
    return unique("cli")


@pytest.fixture
def topics(kafka: KafkaServer, stem: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`intake topics ...` with topic names of this test only."""
    monkeypatch.setenv("INTAKE_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("COLUMNS", "200")
    for name in NAMES:
        monkeypatch.setenv(f"INTAKE_STREAM__TOPICS__{name.upper()}", f"{stem}-{name}")
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def configs(kafka: KafkaServer, topic: str) -> dict[str, str]:
    answer = kafka.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, None)], config_filter="all")
    return {name: each["value"] for name, each in answer["topic"][topic].items()}


def test_topics_are_created_once_and_told(kafka: KafkaServer, topics: Command, stem: str) -> None:
    first = topics("create", "--partitions", "3")
    assert first.exit_code == 0
    assert first.stdout.splitlines() == [f"{stem}-{name}: created" for name in NAMES]
    second = topics("create", "--partitions", "3")
    assert second.stdout.splitlines() == [f"{stem}-{name}: exists" for name in NAMES]
    described = {each["name"]: each for each in kafka.admin.describe_topics([f"{stem}-{name}" for name in NAMES])}
    assert len(described[f"{stem}-item_photographed"]["partitions"]) == 3
    assert len(described[f"{stem}-dead_letter"]["partitions"]) == 1
    letter = configs(kafka, f"{stem}-dead_letter")
    assert letter["cleanup.policy"] == "delete"
    assert int(letter["max.message.bytes"]) == max_dead_letter_bytes(load_settings().stream)
    assert letter["min.insync.replicas"] == "1"
    assert topics("check", "--partitions", "3").exit_code == 0


def test_check_names_what_is_missing_and_what_differs_and_update_mends_it(kafka: KafkaServer, topics: Command, stem: str) -> None:
    missing = topics("check")
    assert missing.exit_code == 1
    assert f"{stem}-match_alert: does not exist" in missing.stdout
    topics("create", "--partitions", "1")
    resource = ConfigResource(
        ConfigResourceType.TOPIC, f"{stem}-dead_letter", {"max.message.bytes": "1000", "retention.ms": "5000"}
    )
    kafka.admin.alter_configs([resource])
    different = topics("check", "--partitions", "2")
    assert different.exit_code == 1
    assert f"{stem}-match_alert: 1 partitions instead of 2" in different.stdout
    assert f"{stem}-dead_letter: retention.ms=5000 instead of" in different.stdout
    assert "max.message.bytes=1000 instead of" in different.stdout
    assert f"{stem}-dead_letter: differs" in topics("create", "--partitions", "1").stdout
    assert configs(kafka, f"{stem}-dead_letter")["retention.ms"] == "5000"  # nothing is changed unasked
    assert f"{stem}-dead_letter: updated" in topics("create", "--partitions", "1", "--update").stdout
    assert topics("check").exit_code == 0


def test_list_shows_the_topics_as_they_are(topics: Command, stem: str) -> None:
    assert topics("list").stdout.count("does not exist") == len(NAMES)
    topics("create", "--partitions", "5")
    (line,) = [line for line in topics("list").stdout.splitlines() if f"{stem}-item_photographed" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")][1:4] == ["5", "1", "7 days"]


def test_three_replicas_ask_for_two_in_sync() -> None:
    plans = plan_topics(load_settings(), partitions=12, replication_factor=3)
    assert {plan.configs["min.insync.replicas"] for plan in plans} == {"2"}
    assert {plan.replication_factor for plan in plans} == {3}
