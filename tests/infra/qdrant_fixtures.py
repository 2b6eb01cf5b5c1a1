"""Pytest plugin: Qdrant servers. The stand-in is started when first asked for, one a test run; a given real one is used beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from tests.infra.needs import require
from tests.infra.qdrant_process import QdrantStandin
from worker.settings import CatalogueSettings

GIVEN_URL = os.environ.get("INTAKE_TEST_QDRANT_URL")
GIVEN_GRPC_PORT = int(os.environ.get("INTAKE_TEST_QDRANT_GRPC_PORT", "6334"))


@pytest.fixture(scope="session")
def qdrant_standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantStandin]:
    """The stand-in server, shared: leave it healthy, use collections of your own (`qdrant_alias`)."""
    require(find_spec("qdrant_edge"), "Qdrant Edge (the embedded extra) is what the stand-in server keeps its points in")
    with QdrantStandin(tmp_path_factory.mktemp("qdrant")) as standin:
        yield standin


@pytest.fixture
def own_qdrant_standin(tmp_path: Path) -> Iterator[QdrantStandin]:
    """A stand-in server of the test's own, to be broken and killed."""
    require(find_spec("qdrant_edge"), "Qdrant Edge (the embedded extra) is what the stand-in server keeps its points in")
    with QdrantStandin(tmp_path / "qdrant") as standin:
        yield standin


@pytest.fixture
def qdrant_alias() -> str:
    """An alias no other test has: servers are shared."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def qdrant_settings(request: pytest.FixtureRequest, qdrant_alias: str) -> CatalogueSettings:
    """Settings of a worker on a shared server: the given real one (INTAKE_TEST_QDRANT_URL), else the stand-in."""
    if GIVEN_URL:
        return CatalogueSettings(engine="qdrant", url=GIVEN_URL, alias=qdrant_alias)
    standin: QdrantStandin = request.getfixturevalue("qdrant_standin")
    return standin.settings(alias=qdrant_alias)
