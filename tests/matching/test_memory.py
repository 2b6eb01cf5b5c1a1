"""The catalogue in memory does what the engines do."""

from __future__ import annotations

import pytest

from tests.catalogue.behaviour import CatalogueBehaviour
from tests.matching.memory import MemoryAdmin
from worker.catalogue.protocol import CatalogueAdmin


@pytest.fixture
def admin() -> CatalogueAdmin:
    return MemoryAdmin()


@pytest.fixture
def rival_admin(admin: CatalogueAdmin) -> CatalogueAdmin:
    return admin


class TestMemory(CatalogueBehaviour):
    """The common behaviour."""
