"""The common behaviour against a real Qdrant server, by REST and by gRPC: set INTAKE_TEST_QDRANT_URL (and INTAKE_TEST_QDRANT_GRPC_PORT).

No server can be had from a package registry, so this skips where none is given; the stand-in (`test_qdrant`) covers the adapter then.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.catalogue.behaviour import CatalogueBehaviour
from tests.infra.qdrant_fixtures import GIVEN_GRPC_PORT, GIVEN_URL
from worker.catalogue import open_catalogue_admin
from worker.catalogue.protocol import CatalogueAdmin
from worker.settings import CatalogueSettings

pytestmark = pytest.mark.integration

if not GIVEN_URL:
    # Also in CI: there is nothing to install. One line instead of one for each test.
    pytest.skip("INTAKE_TEST_QDRANT_URL names no server; test_qdrant uses the stand-in", allow_module_level=True)


@pytest.fixture(params=["rest", "grpc"])
def settings(request: pytest.FixtureRequest, qdrant_alias: str) -> CatalogueSettings:
    return CatalogueSettings(
        url=GIVEN_URL, transport=request.param, grpc_port=GIVEN_GRPC_PORT, alias=qdrant_alias, filter_attributes=("colour",)
    )


@pytest.fixture
def admin(settings: CatalogueSettings) -> Iterator[CatalogueAdmin]:
    """Leaves nothing behind on a server that is not ours."""
    opened = open_catalogue_admin(settings)
    yield opened
    _clean_up(opened, settings)
    opened.close()


@pytest.fixture
def rival_admin(settings: CatalogueSettings) -> Iterator[CatalogueAdmin]:
    opened = open_catalogue_admin(settings)
    yield opened
    opened.close()


class TestRealQdrant(CatalogueBehaviour):
    """The common behaviour."""


@pytest.mark.parametrize("quantisation", ["scalar", "binary"])
def test_a_real_server_takes_every_setting_of_a_collection(settings: CatalogueSettings, quantisation: str) -> None:
    changed = settings.model_copy(update={"quantisation": quantisation, "on_disk": True, "shard_number": 2})
    admin = open_catalogue_admin(changed)
    name = f"{settings.alias}-settings"

    assert admin.ensure_collection(name, 64) is True
    assert admin.ensure_collection(name, 64) is False
    admin.open(name).check()
    _clean_up(admin, settings)
    admin.close()


def _clean_up(admin: CatalogueAdmin, settings: CatalogueSettings) -> None:
    client = admin._client  # type: ignore[attr-defined]
    for name in admin.collections():
        if name.startswith(settings.alias):
            client.delete_collection(name)  # takes the alias along
