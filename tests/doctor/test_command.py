from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from tests.infra.kafka import KafkaServer, unique
from tests.infra.s3 import new_bucket
from worker.cli import app
from worker.cli.doctor import NAMES, all_checks
from worker.embedded.kafka import free_port
from worker.embedded.s3 import S3Endpoint
from worker.settings import CatalogueSettings, Settings

RUNNER = CliRunner()
SECRET = "hunter2-never-shown"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No .env, no settings of this machine; logging as it was afterwards."""
    import os

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("INTAKE_") and not name.startswith("INTAKE_TEST_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def report(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = RUNNER.invoke(app, ["doctor", "--json", *arguments])
    return done.exit_code, json.loads(done.stdout)


def test_every_check_has_a_name_that_can_be_asked_for() -> None:
    assert tuple(check.name for check in all_checks(Settings(_env_file=None))) == NAMES


def test_one_check_can_be_asked_for() -> None:
    code, document = report("--only", "machine")
    assert code in {0, 1}
    assert {finding["check"] for finding in document["findings"]} <= {"cores", "memory", "disk", "files"}


def test_an_unknown_check_is_refused() -> None:
    done = RUNNER.invoke(app, ["doctor", "--only", "weather"])
    assert done.exit_code == 2


def test_settings_that_cannot_be_read_are_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_STREAM__BATCH_SIZE", SECRET)
    monkeypatch.setenv("INTAKE_STRAEM__BATCH_SIZE", "4")
    code, document = report()
    assert code == 1
    first, second = document["findings"]
    assert "INTAKE_STREAM__BATCH_SIZE" in first["message"]
    assert second["advice"] == "did you mean INTAKE_STREAM__BATCH_SIZE?"
    assert SECRET not in json.dumps(document)


def test_what_is_away_fails_and_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = free_port()
    for name, value in {
        "INTAKE_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{nowhere}",
        "INTAKE_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "INTAKE_KAFKA__SASL_MECHANISM": "PLAIN",
        "INTAKE_KAFKA__SASL_USERNAME": "user",
        "INTAKE_KAFKA__SASL_PASSWORD": SECRET,
        "INTAKE_KAFKA__REQUEST_TIMEOUT_S": "0.5",
        "INTAKE_STORAGE__ENDPOINT_URL": f"http://127.0.0.1:{nowhere}",
        "INTAKE_STORAGE__ACCESS_KEY_ID": SECRET,
        "INTAKE_STORAGE__SECRET_ACCESS_KEY": SECRET,
        "INTAKE_STORAGE__MAX_ATTEMPTS": "1",
        "INTAKE_CATALOGUE__URL": f"http://127.0.0.1:{nowhere}",
        "INTAKE_CATALOGUE__API_KEY": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    arguments = ["--only", "kafka", "--only", "s3", "--only", "index", "--only", "settings"]
    code, document = report(*arguments)
    assert code == 1
    failed = {finding["check"] for finding in document["findings"] if finding["level"] == "fail"}
    assert failed == {"kafka", "s3", "index"}
    table = RUNNER.invoke(app, ["doctor", *arguments])
    assert table.exit_code == 1
    assert "keep a worker from doing its work" in table.stdout
    for text in (json.dumps(document), table.stdout, table.stderr):
        assert SECRET not in text.replace("\n", "")


@pytest.mark.integration
def test_with_real_servers_the_doctor_says_that_a_worker_would_do_its_work(
    monkeypatch: pytest.MonkeyPatch, kafka: KafkaServer, s3_plain: S3Endpoint, qdrant_settings: CatalogueSettings
) -> None:
    variables = {
        "INTAKE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "INTAKE_STREAM__GROUP_ID": unique("group"),
        "INTAKE_STORAGE__ENDPOINT_URL": s3_plain.endpoint_url,
        "INTAKE_STORAGE__PATH_STYLE": "true",
        "INTAKE_STORAGE__ACCESS_KEY_ID": s3_plain.access_key_id,
        "INTAKE_STORAGE__SECRET_ACCESS_KEY": s3_plain.secret_access_key,
        "INTAKE_STORAGE__ALLOWED": json.dumps([{"bucket": new_bucket(s3_plain)}]),
        "INTAKE_CATALOGUE__URL": qdrant_settings.url,
        "INTAKE_CATALOGUE__ALIAS": qdrant_settings.alias,
        "INTAKE_VISION__SEGMENTER": "none",
        "INTAKE_VISION__OFFLINE": "true",
        "INTAKE_VISION__BATCH_BUCKETS": "[1]",
        "INTAKE_IMAGING__DECODER_PROCESSES": "1",
    }
    for name in ("ITEM_PHOTOGRAPHED", "MATCH_ALERT", "CATALOGUE_INSERT", "DEAD_LETTER"):
        variables[f"INTAKE_STREAM__TOPICS__{name}"] = kafka.create_topic(partitions=2, configs={"max.message.bytes": "3000000"})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code, document = report()
    failures = [finding for finding in document["findings"] if finding["level"] == "fail"]
    assert failures == []
    assert code == 0
    assert document["ok"] is True
    seen = {finding["check"] for finding in document["findings"]}
    assert {
        "settings",
        "cores",
        "memory",
        "disk",
        "installation",
        "models",
        "photos",
        "kafka",
        "kafka topics",
        "s3",
        "index",
    } <= seen
