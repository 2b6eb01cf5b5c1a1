from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.checking import DEPLOY, Checker, cached_checker

OVERLAYS = ("cpu", "gpu")


@pytest.fixture(scope="session")
def checker() -> Checker:
    return cached_checker()


@pytest.fixture(scope="session")
def manifests(checker: Checker) -> dict[str, list[dict[str, Any]]]:
    """Every overlay's manifests, by its name."""
    return {name: checker.kustomize(DEPLOY / "k8s" / "overlays" / name) for name in OVERLAYS}
