from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from pydantic import SecretStr

from tests.infra.s3 import VersityGateway, new_bucket
from worker.doctor.findings import Finding, Level
from worker.doctor.storage_checks import check_storage, clock_findings
from worker.embedded.kafka import free_port
from worker.embedded.s3 import S3Endpoint
from worker.errors import AccessDenied, ConfigurationError, StorageUnavailable
from worker.settings import Settings

pytestmark = pytest.mark.integration


def settings(endpoint: S3Endpoint, bucket: str, prefix: str = "", **changes: Any) -> Settings:
    storage = {
        "endpoint_url": endpoint.endpoint_url,
        "path_style": True,
        "access_key_id": SecretStr(endpoint.access_key_id),
        "secret_access_key": SecretStr(endpoint.secret_access_key),
        "allowed": [{"bucket": bucket, "prefix": prefix}],
        "max_attempts": 1,
    }
    return Settings(_env_file=None, storage=storage | changes)


def put(endpoint: S3Endpoint, bucket: str, key: str) -> None:
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint.endpoint_url,
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
        region_name="us-east-1",
    )
    client.put_object(Bucket=bucket, Key=key, Body=b"x")
    client.close()


def told(findings: list[Finding], level: Level) -> str:
    return " | ".join(finding.message for finding in findings if finding.level is level)


def test_a_bucket_that_can_be_read_is_well_and_the_clocks_agree(s3: S3Endpoint) -> None:
    bucket = new_bucket(s3)
    empty = list(check_storage(settings(s3, bucket)))
    assert "it is empty" in told(empty, Level.OK)
    put(s3, bucket, "a/front.jpg")
    findings = list(check_storage(settings(s3, bucket)))
    assert "can be listed and read" in told(findings, Level.OK)
    assert told(findings, Level.FAIL) == ""


def test_rights_beyond_the_prefix_are_named(s3: S3Endpoint) -> None:
    findings = list(check_storage(settings(s3, new_bucket(s3), "photos/")))
    warned = told(findings, Level.WARN)
    assert "may also read outside photos/" in warned
    assert "may list all buckets" in warned


def test_pictures_are_tried_with_one_empty_object(s3: S3Endpoint) -> None:
    bucket, pictures = new_bucket(s3), new_bucket(s3)
    findings = list(check_storage(settings(s3, bucket, pictures_bucket=pictures)))
    assert f"pictures can be written to s3://{pictures}/" in told(findings, Level.OK)


def test_a_bucket_that_is_not_there_is_a_configuration_error(s3: S3Endpoint) -> None:
    with pytest.raises(ConfigurationError, match="INTAKE_STORAGE__"):
        list(check_storage(settings(s3, "no-such-bucket-anywhere")))


def test_a_wrong_secret_is_refused_and_not_shown(s3_gateway: VersityGateway) -> None:
    endpoint = s3_gateway.endpoint
    bucket = new_bucket(endpoint)
    with pytest.raises(AccessDenied) as caught:
        list(check_storage(settings(endpoint, bucket, secret_access_key=SecretStr("wrong-secret-value"))))
    assert "wrong-secret-value" not in str(caught.value)


def test_a_user_without_rights_is_told_which_to_ask_for(s3_gateway: VersityGateway) -> None:
    bucket = new_bucket(s3_gateway.endpoint)
    limited = s3_gateway.add_user("doctor-user", "doctor-user-secret")
    findings = list(check_storage(settings(limited, bucket, "photos/")))
    assert "may not be listed" in told(findings, Level.WARN)
    assert "nothing can be read" in told(findings, Level.OK)


def test_a_server_that_is_away_is_said() -> None:
    nowhere = S3Endpoint(f"http://127.0.0.1:{free_port()}", "a", "b")
    with pytest.raises(StorageUnavailable):
        list(check_storage(settings(nowhere, "bucket-x")))


@pytest.mark.parametrize(
    ("skew_s", "level"), [(0, Level.OK), (4, Level.OK), (60, Level.WARN), (-60, Level.WARN), (1200, Level.FAIL)]
)
def test_clocks_are_compared(skew_s: int, level: Level) -> None:
    server = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    (finding,) = clock_findings("Sat, 21 Nov 2026 12:00:00 GMT", server + timedelta(seconds=skew_s))
    assert finding.level is level
    assert f"{abs(skew_s)} s apart" in finding.message


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_server_without_a_clock_is_not_judged(date: str | None) -> None:
    assert list(clock_findings(date, datetime.now(UTC))) == []
