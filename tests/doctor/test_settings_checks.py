from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from worker.doctor.findings import Finding, Level
from worker.doctor.settings_checks import check_names, check_secrets, check_values, is_local
from worker.settings import Settings


def settings(**rooms: Any) -> Settings:
    return Settings(_env_file=None, **rooms)


def bad(findings: list[Finding]) -> list[str]:
    return [finding.message for finding in findings if finding.level is not Level.OK]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("INTAKE_KAFKA_BOOTSTRAP_SERVERS", "INTAKE_KAFKA__BOOTSTRAP_SERVERS"),
        ("INTAKE_KAFAK__SASL_USERNAME", "INTAKE_KAFKA__SASL_USERNAME"),
        ("intake_stream__batchsize", "INTAKE_STREAM__BATCH_SIZE"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(name: str, meant: str, tmp_path: Path) -> None:
    (finding,) = check_names({name: "secret-value", "PATH": "x"}, tmp_path / ".env")
    assert finding.level is Level.WARN
    assert name.upper() in finding.message
    assert finding.advice == f"did you mean {meant}?"
    assert "secret-value" not in str(finding)


def test_a_name_like_no_other_points_to_the_list(tmp_path: Path) -> None:
    (finding,) = check_names({"INTAKE_QQQQ": "1"}, tmp_path / ".env")
    assert "SETTINGS.md" in finding.advice


def test_misspelt_names_in_the_env_file_and_the_folder_of_secrets_are_found(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("# INTAKE_COMMENT=1\nexport INTAKE_OPS__LOG_LEVL=debug\nINTAKE_OPS__HTTP_PORT=1\nOTHER=2\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "INTAKE_KAFKA__SASL_PASWORD").write_text("hunter2")
    findings = list(check_names({"INTAKE_SECRETS_DIR": str(secrets)}, env_file))
    assert [finding.advice for finding in findings] == [
        "did you mean INTAKE_KAFKA__SASL_PASSWORD?",
        "did you mean INTAKE_OPS__LOG_LEVEL?",
    ]


def test_good_names_groups_and_the_names_of_the_tests_are_fine(tmp_path: Path) -> None:
    environment = {"INTAKE_KAFKA__CLIENT_ID": "x", "INTAKE_STORAGE": "{}", "INTAKE_TEST_KAFKA": "x", "INTAKE_DATASETS": "x"}
    (finding,) = check_names(environment, tmp_path / ".env")
    assert finding.level is Level.OK


def test_default_values_go_together() -> None:
    assert bad(list(check_values(settings()))) == []


@pytest.mark.parametrize(
    ("rooms", "said"),
    [
        ({"ops": {"faults": "after-settle:crash:3"}}, "fault injection is on"),
        ({"stream": {"batch_size": 512}, "vision": {"max_batch": 4}}, "a batch of 512"),
        ({"stream": {"call_timeout_s": 5}}, "deadline on Kafka calls"),
        ({"stream": {"dead_letter_limits": {"run_length": 500}}}, "run of dead letters"),
    ],
)
def test_values_that_are_bad_together_are_named(rooms: dict[str, Any], said: str) -> None:
    messages = bad(list(check_values(settings(**rooms))))
    assert len(messages) == 1
    assert said in messages[0]


def test_tracing_without_its_extra_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.doctor.settings_checks.find_spec", lambda _name: None)
    (finding,) = check_values(settings(ops={"tracing": True}))
    assert finding.level is Level.FAIL
    assert "tracing" in finding.advice


def test_credentials_in_the_open_are_named_without_being_shown() -> None:
    found = list(
        check_secrets(
            settings(
                kafka={
                    "bootstrap_servers": "broker.example.com:9092",
                    "security_protocol": "SASL_PLAINTEXT",
                    "sasl_mechanism": "PLAIN",
                    "sasl_username": "u",
                    "sasl_password": SecretStr("hunter2"),
                },
                catalogue={"url": "http://qdrant.example.com:6333", "api_key": SecretStr("hunter2")},
                storage={"endpoint_url": "http://s3.example.com", "secret_access_key": SecretStr("abc")},
            )
        )
    )
    assert [finding.level for finding in found] == [Level.WARN] * 4
    text = str(found)
    for name in ("without TLS", "INTAKE_CATALOGUE__URL", "INTAKE_STORAGE__ENDPOINT_URL", "shorter than"):
        assert name in text
    assert "hunter2" not in text
    assert "abc" not in text


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_tls_is_enough(protocol: str) -> None:
    kafka: dict[str, Any] = {"bootstrap_servers": "broker.example.com:9092", "security_protocol": protocol}
    if protocol == "SASL_SSL":
        kafka |= {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": SecretStr("hunter22")}
    assert (
        list(check_secrets(settings(kafka=kafka, catalogue={"url": "https://q.example.com", "api_key": SecretStr("hunter22")})))
        == []
    )


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("kafka", True), ("10.0.0.1", False), ("a.example.com", False)],
)
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local
