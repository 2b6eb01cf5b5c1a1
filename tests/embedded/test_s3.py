"""The embedded S3 server starts, answers and ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.infra.s3 import given_endpoint, new_bucket
from worker.embedded import s3 as embedded
from worker.embedded.s3 import EmbeddedS3, S3Endpoint
from worker.errors import ConfigurationError, DeadlineExceeded

PARENT = """
import sys, time
from worker.embedded.s3 import EmbeddedS3
server = EmbeddedS3().start()
print(server.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """True while the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.integration
def test_an_object_comes_back_as_it_was_stored(s3: S3Endpoint, s3_versioned_bucket: str) -> None:
    client = s3.client()
    stored = client.put_object(Bucket=s3_versioned_bucket, Key="a/b c.jpg", Body=b"\xff\xd8photo")
    read = client.get_object(Bucket=s3_versioned_bucket, Key="a/b c.jpg")
    assert read["Body"].read() == b"\xff\xd8photo"
    assert read["ETag"] == stored["ETag"]
    assert read["VersionId"] == stored["VersionId"]


@pytest.mark.integration
def test_creating_a_bucket_again_changes_nothing(s3: S3Endpoint) -> None:
    bucket = new_bucket(s3)
    s3.client().put_object(Bucket=bucket, Key="kept", Body=b"kept")
    s3.create_bucket(bucket)
    assert s3.client().get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"


def test_the_server_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_until_gone(child)


def test_stopping_ends_the_child_and_may_be_repeated() -> None:
    server = EmbeddedS3().start()
    pid = server.pid
    assert pid is not None
    server.stop()
    assert not alive(pid)
    server.stop()
    with pytest.raises(ConfigurationError, match="not started"):
        _ = server.endpoint


def test_a_port_in_use_is_one_clear_error() -> None:
    with EmbeddedS3() as first:
        port = int(first.endpoint_url.rsplit(":", 1)[1])
        with pytest.raises(ConfigurationError, match="ended while starting"):
            EmbeddedS3(port=port).start()


def test_a_start_that_takes_too_long_ends_the_child() -> None:
    server = EmbeddedS3(start_timeout_s=0.001)
    with pytest.raises(DeadlineExceeded, match="did not start"):
        server.start()
    assert server.pid is None


def test_without_moto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"intake-worker\[embedded\]"):
        EmbeddedS3().start()


def test_settings_and_environment_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.settings import load_settings

    for name in [name for name in os.environ if name.startswith("INTAKE_STORAGE__")]:
        monkeypatch.delenv(name)
    endpoint = S3Endpoint("http://127.0.0.1:9", "access", "secret", "eu-west-3")
    for name, value in endpoint.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings().storage == endpoint.settings()
    assert [place.bucket for place in endpoint.settings("one", "two").allowed] == ["one", "two"]
    assert endpoint.settings(threads=3).threads == 3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"INTAKE_TEST_S3": "http://key:secret@host:9000"}, ("http://host:9000", "key", "secret")),
        ({"INTAKE_TEST_S3": "https://host", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, ("https://host", "a", "b")),
        (
            {"INTAKE_TEST_S3": "host:9000", "INTAKE_TEST_S3_ACCESS_KEY_ID": "x", "AWS_ACCESS_KEY_ID": "a"},
            ("http://host:9000", "x", None),
        ),
    ],
)
def test_a_given_server_is_read_from_the_environment(
    environment: dict[str, str], expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "INTAKE_TEST_S3"))]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = given_endpoint()
    assert given is not None
    url, access, secret = expected
    assert (given.endpoint_url, given.access_key_id) == (url, access)
    assert secret is None or given.secret_access_key == secret
