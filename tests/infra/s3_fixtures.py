"""Pytest plugin: S3 servers, one of each kind in a test run, started when first asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infra.needs import require
from tests.infra.s3 import VersityGateway, given_endpoint, new_bucket, running_gateway
from worker.embedded.s3 import EmbeddedS3, S3Endpoint

# A given server takes the place of both kinds: one behaviour suite for all.
KINDS = ("given",) if given_endpoint() else ("moto", "versitygw")


@pytest.fixture(scope="session")
def s3_moto() -> Iterator[S3Endpoint]:
    """moto's server, whatever the environment says."""
    with EmbeddedS3() as server:
        yield server.endpoint


@pytest.fixture(scope="session")
def s3_gateway() -> Iterator[VersityGateway]:
    """versitygw, whatever the environment says: checks secrets, can have limited users."""
    with running_gateway() as gateway:
        yield gateway


@pytest.fixture(scope="session", params=KINDS)
def s3(request: pytest.FixtureRequest) -> S3Endpoint:
    """Every kind of S3 server in turn: for the behaviour suite of what reads and writes S3."""
    if request.param == "versitygw":
        gateway: VersityGateway = request.getfixturevalue("s3_gateway")
        return gateway.endpoint
    endpoint: S3Endpoint = request.getfixturevalue("s3_plain")
    return endpoint


@pytest.fixture(scope="session")
def s3_plain(request: pytest.FixtureRequest) -> S3Endpoint:
    """One S3 server, for tests that need any: the given one, else moto's."""
    given = given_endpoint()
    if given is None:
        endpoint: S3Endpoint = request.getfixturevalue("s3_moto")
        return endpoint
    require(given.endpoint_url.startswith(("http://", "https://")), f"INTAKE_TEST_S3 is no URL: {given.endpoint_url}")
    return given


@pytest.fixture
def s3_bucket(s3: S3Endpoint) -> str:
    """A fresh bucket on each kind of server."""
    return new_bucket(s3)


@pytest.fixture
def s3_versioned_bucket(s3: S3Endpoint) -> str:
    """A fresh bucket with versioning on each kind of server."""
    return new_bucket(s3, versioning=True)
