"""gRPC without a server that means it: what the adapter sends can be encoded, and every status is one of the worker's errors.

What a Qdrant server answers by gRPC is covered by `test_qdrant_real` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from tests.catalogue.points import DIMENSION, article, pending, query
from tests.catalogue.test_qdrant import CALLS
from worker.catalogue import open_catalogue_admin
from worker.catalogue.qdrant import QdrantCatalogue
from worker.catalogue.qdrant_connection import QdrantConnection
from worker.errors import AccessDenied, CatalogueUnavailable, ConfigurationError, IntakeError
from worker.settings import CatalogueSettings

SECRET = "grpc-key-1234"


class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Refuses every call with one status, and remembers what was called with which key."""

    def __init__(self) -> None:
        self.status = grpc.StatusCode.UNAVAILABLE
        self.calls: list[str] = []
        self.keys: set[str] = set()

    def service(self, details: Any) -> Any:
        def refuse(_: bytes, context: Any) -> bytes:
            self.calls.append(details.method.rsplit("/", 1)[1])
            self.keys.update(value for key, value in context.invocation_metadata() if key == "api-key")
            context.abort(self.status, "as the test wants it")
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.fixture
def refusing() -> Refusing:
    return Refusing()


@pytest.fixture
def settings(refusing: Refusing) -> Iterator[CatalogueSettings]:
    server = grpc.server(ThreadPoolExecutor(4), handlers=(refusing,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield CatalogueSettings(url="http://127.0.0.1:1", transport="grpc", grpc_port=port, api_key=SECRET, timeout_s=5)
    server.stop(0)


@pytest.fixture
def catalogue(settings: CatalogueSettings) -> Iterator[QdrantCatalogue]:
    connection = QdrantConnection(settings)
    yield QdrantCatalogue(connection, "catalogue-x", DIMENSION)
    connection.close()


STATUSES: dict[type[IntakeError], list[Any]] = {
    CatalogueUnavailable: [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
    ],
    AccessDenied: [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED],
    ConfigurationError: [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED],
}


@pytest.mark.parametrize(("meaning", "status"), [(meaning, status) for meaning, all_of in STATUSES.items() for status in all_of])
def test_every_call_turns_a_status_into_the_workers_error(
    catalogue: QdrantCatalogue, refusing: Refusing, meaning: type[IntakeError], status: Any
) -> None:
    refusing.status = status
    for name, call in CALLS.items():
        with pytest.raises(meaning) as caught:
            call(catalogue)
        assert SECRET not in str(caught.value), name
    assert refusing.keys == {SECRET}
    assert {"QueryBatch", "Upsert", "UpdateBatch", "Delete", "Get", "Scroll", "Count"} <= set(refusing.calls)


def test_filters_and_conditions_can_be_encoded(catalogue: QdrantCatalogue, refusing: Refusing) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: catalogue.search([query(1, exclude_arrival="a", colour="rot", brand="Müller")]),
        lambda: catalogue.upsert([pending("a-1", 1)]),
        lambda: catalogue.upsert([article("shirt", 1)]),
        lambda: catalogue.points_of_arrivals(["a-1", "a-2"]),
        lambda: catalogue.settle({"a-1": "{}", "a-2": "{}"}),
        lambda: catalogue.withdraw(["a-1", "a-2"]),
    )
    for call in calls:
        with pytest.raises(CatalogueUnavailable):
            call()
    assert refusing.calls == ["QueryBatch", "Upsert", "Upsert", "Scroll", "UpdateBatch", "Delete"]


def test_collections_and_aliases_are_asked_for_by_grpc_too(settings: CatalogueSettings, refusing: Refusing) -> None:
    admin = open_catalogue_admin(settings)
    calls: tuple[Callable[[], object], ...] = (
        lambda: admin.ensure_collection("catalogue-x", DIMENSION),
        admin.collections,
        admin.alias_target,
        lambda: admin.switch_alias("catalogue-x"),
        lambda: admin.open("catalogue-x"),
    )
    for call in calls:
        with pytest.raises(CatalogueUnavailable):
            call()
    admin.close()
    assert refusing.calls == ["HealthCheck", "List", "ListAliases", "CollectionExists", "HealthCheck"]


def test_a_server_that_is_not_there_is_unavailable() -> None:
    admin = open_catalogue_admin(CatalogueSettings(url="http://127.0.0.1:1", transport="grpc", grpc_port=1, timeout_s=2))
    with pytest.raises(CatalogueUnavailable):
        admin.collections()
    admin.close()
