"""The Qdrant adapter over the stand-in server: the common behaviour, and what a server can do wrong.

The stand-in speaks REST only. gRPC, and what a real server does, is `test_qdrant_real`'s.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.catalogue.behaviour import CatalogueBehaviour, names
from tests.catalogue.points import DIMENSION, FINGERPRINT, article, pending, query
from tests.infra.certificates import self_signed
from tests.infra.qdrant_process import QdrantStandin
from worker.catalogue import ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.protocol import Catalogue, CatalogueAdmin, PointState
from worker.catalogue.qdrant_connection import QdrantConnection
from worker.errors import AccessDenied, CatalogueUnavailable, ConfigurationError, IntakeError
from worker.settings import CatalogueSettings

pytestmark = pytest.mark.integration

# One for each method that speaks to the server: every one of them must turn every fault into the right error.
CALLS: dict[str, Callable[[Catalogue], object]] = {
    "search": lambda catalogue: catalogue.search([query(1), query(2)]),
    "upsert": lambda catalogue: catalogue.upsert([pending("a-9", 9)]),
    "points_of_arrivals": lambda catalogue: catalogue.points_of_arrivals(["a-1"]),
    "settle": lambda catalogue: catalogue.settle({"a-1": "record"}),
    "withdraw": lambda catalogue: catalogue.withdraw(["a-1"]),
    "delete_articles": lambda catalogue: catalogue.delete_articles(["shirt"]),
    "existing": lambda catalogue: catalogue.existing([article("shirt", 1).point_id]),
    "points": lambda catalogue: catalogue.points([article("shirt", 1).point_id]),
    "scroll": lambda catalogue: list(catalogue.scroll()),
    "stats": lambda catalogue: catalogue.stats(),
    "check": lambda catalogue: catalogue.check(),
}


@pytest.fixture
def settings(qdrant_standin: QdrantStandin, qdrant_alias: str) -> CatalogueSettings:
    return qdrant_standin.settings(alias=qdrant_alias)


@pytest.fixture
def admin(settings: CatalogueSettings) -> Iterator[CatalogueAdmin]:
    opened = open_catalogue_admin(settings)
    yield opened
    opened.close()


@pytest.fixture
def rival_admin(settings: CatalogueSettings) -> Iterator[CatalogueAdmin]:
    """Another client, with connections of its own, as another worker has."""
    opened = open_catalogue_admin(settings)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Served:
    """A catalogue with two points, on the shared server; its faults meet this catalogue's requests only."""

    standin: QdrantStandin
    settings: CatalogueSettings
    admin: CatalogueAdmin
    catalogue: Catalogue

    def fault(self, kind: str, **options: Any) -> None:
        self.standin.fault(kind, path=self.catalogue.collection, **options)

    def requests(self) -> dict[str, int]:
        return {request: count for request, count in self.standin.seen().items() if self.catalogue.collection in request}

    def make_collection(self, name: str, body: dict[str, Any]) -> str:
        """As somebody else would make it; returns its name."""
        whole = f"{self.settings.alias}-{name}"
        httpx.put(f"{self.standin.url}/collections/{whole}", json=body).raise_for_status()
        return whole


def _serve(standin: QdrantStandin, settings: CatalogueSettings) -> Iterator[Served]:
    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    catalogue.upsert([article("shirt", 1), pending("a-1", 2)])
    yield Served(standin, settings, admin, catalogue)
    admin.close()


@pytest.fixture
def served(qdrant_standin: QdrantStandin, qdrant_alias: str) -> Iterator[Served]:
    yield from _serve(qdrant_standin, qdrant_standin.settings(alias=qdrant_alias, timeout_s=30.0))
    qdrant_standin.heal()


@pytest.fixture
def mortal(own_qdrant_standin: QdrantStandin) -> Iterator[Served]:
    """The same on a server of the test's own, which may be killed."""
    yield from _serve(own_qdrant_standin, own_qdrant_standin.settings(timeout_s=30.0))


class TestQdrant(CatalogueBehaviour):
    """The common behaviour."""


@pytest.mark.parametrize("kind", ["error-500", "error-503", "rate-limit", "disk-full", "rubbish", "html", "reset"])
def test_a_server_that_fails_is_unavailable_in_every_call_and_serves_again_once_it_has_recovered(
    served: Served, kind: str
) -> None:
    standin, catalogue = served.standin, served.catalogue
    for name, call in CALLS.items():
        served.fault(kind)
        with pytest.raises(CatalogueUnavailable) as caught:
            call(catalogue)
        assert standin.url in str(caught.value), name
        standin.heal()
    for call in CALLS.values():
        call(catalogue)


def test_a_server_that_does_not_answer_is_unavailable_after_the_timeout(served: Served) -> None:
    admin = open_catalogue_admin(served.settings.model_copy(update={"timeout_s": 3.0}))
    impatient = admin.open(served.catalogue.collection)
    served.fault("hang", seconds=30)

    for name in ("search", "upsert"):
        with pytest.raises(CatalogueUnavailable, match="did not answer in 3 s"):
            CALLS[name](impatient)
    admin.close()


def test_a_server_that_is_slow_is_waited_for(served: Served) -> None:
    catalogue = served.catalogue
    served.fault("slow", seconds=0.3, count=1)

    assert names(catalogue.search([query(1, limit=1)])[0]) == ["shirt"]


def test_an_answer_with_a_search_missing_is_unavailable_not_a_shorter_answer(served: Served) -> None:
    catalogue = served.catalogue
    served.fault("short")

    with pytest.raises(CatalogueUnavailable, match="1 of 2 searches"):
        catalogue.search([query(1), query(2)])


@pytest.mark.parametrize("kind", ["reset", "error-503", "rubbish"])
def test_a_write_whose_answer_is_lost_is_made_again_without_harm(served: Served, kind: str) -> None:
    catalogue = served.catalogue
    writes: tuple[Callable[[], object], ...] = (
        lambda: catalogue.upsert([pending("a-2", 5), pending("a-2", 6, view="back")]),
        lambda: catalogue.settle({"a-2": "record"}),
        lambda: catalogue.withdraw(["a-1"]),
    )
    for write in writes:
        served.fault(kind, count=1, after=True)
        with pytest.raises(CatalogueUnavailable):
            write()
        write()

    points = catalogue.points_of_arrivals(["a-1", "a-2"])
    assert sorted(points) == ["a-2"]
    assert [(point.state, point.record) for point in points["a-2"]] == [(PointState.SETTLED, "record")] * 2


@pytest.mark.parametrize("kind", ["reset", "error-500"])
def test_a_collection_whose_creation_was_not_confirmed_is_used_if_it_is_there(served: Served, kind: str) -> None:
    name = f"{served.settings.alias}-other"
    served.standin.fault(kind, path=f"{name}($|[?])", method="PUT", after=True)

    assert served.admin.ensure_collection(name, DIMENSION) is False
    served.admin.open(name).check()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and it refuses
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        admin = open_catalogue_admin(CatalogueSettings(url=url, timeout_s=1.0))
        with pytest.raises(CatalogueUnavailable, match="cannot be reached"):
            ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
        admin.close()


def test_a_killed_server_is_unavailable_and_has_every_point_after_its_restart(mortal: Served) -> None:
    standin, catalogue = mortal.standin, mortal.catalogue
    catalogue.upsert([pending(f"b-{number}", number) for number in range(50)])
    standin.kill()
    for call in CALLS.values():
        with pytest.raises(CatalogueUnavailable):
            call(catalogue)

    standin.start()

    assert catalogue.stats().points == 52
    assert names(catalogue.search([query(1, limit=1)])[0]) == ["shirt"]


def test_a_wrong_api_key_stops_and_is_never_shown(tmp_path: Path) -> None:
    with QdrantStandin(tmp_path / "qdrant", api_key="right-key-1234") as standin:
        for key in (None, "wrong-key-5678"):
            admin = open_catalogue_admin(standin.settings(api_key=key))
            with pytest.raises(AccessDenied, match="INTAKE_CATALOGUE__API_KEY") as caught:
                ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
            assert "wrong-key-5678" not in _whole_text(caught.value)
            admin.close()
        admin = open_catalogue_admin(standin.settings(api_key="right-key-1234"))
        ensure_live_catalogue(admin, FINGERPRINT, DIMENSION).check()
        admin.close()


def test_a_read_only_key_can_search_and_its_write_stops(tmp_path: Path) -> None:
    with QdrantStandin(tmp_path / "qdrant", api_key="all", read_only_key="read") as standin:
        writer = open_catalogue_admin(standin.settings(api_key="all"))
        ensure_live_catalogue(writer, FINGERPRINT, DIMENSION).upsert([article("shirt", 1)])
        reader = open_catalogue_admin(standin.settings(api_key="read"))
        catalogue = ensure_live_catalogue(reader, FINGERPRINT, DIMENSION)

        assert names(catalogue.search([query(1)])[0]) == ["shirt"]
        for name in ("upsert", "settle", "withdraw", "delete_articles"):
            with pytest.raises(AccessDenied, match="403"):
                CALLS[name](catalogue)
        reader.close()
        writer.close()


def test_a_server_too_old_for_conditional_writes_is_refused(tmp_path: Path) -> None:
    with QdrantStandin(tmp_path / "qdrant", version="1.15.5") as standin:
        admin = open_catalogue_admin(standin.settings())
        with pytest.raises(ConfigurationError, match=r"1\.15\.5: at least 1\.16"):
            ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
        admin.close()


def test_a_server_of_another_minor_version_than_the_client_gives_no_warning(
    settings: CatalogueSettings, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    admin = open_catalogue_admin(settings.model_copy(update={"api_key": None}))
    ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    admin.close()

    assert [warning for warning in recwarn if "qdrant" in str(warning.filename).lower()] == []
    assert "version" not in capfd.readouterr().err


def test_a_collection_that_hides_points_until_they_are_indexed_is_refused(served: Served) -> None:
    vectors = {"size": DIMENSION, "distance": "Cosine"}
    body = {"vectors": vectors, "optimizers_config": {"prevent_unoptimized": True}}

    with pytest.raises(ConfigurationError, match="prevent_unoptimized"):
        served.admin.open(served.make_collection("hiding", body))


@pytest.mark.parametrize(
    ("vectors", "said"),
    [({"size": DIMENSION, "distance": "Dot"}, "not cosine"), ({"size": DIMENSION + 1, "distance": "Cosine"}, "dimension")],
)
def test_a_collection_somebody_else_made_is_refused(served: Served, vectors: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        served.admin.ensure_collection(served.make_collection("foreign", {"vectors": vectors}), DIMENSION)


def test_points_somebody_else_wrote_are_reported_not_guessed_at(served: Served) -> None:
    standin, catalogue = served.standin, served.catalogue
    point = {"id": str(article("x", 1).point_id), "vector": [1.0] * DIMENSION, "payload": {"name": "x"}}
    url = f"{standin.url}/collections/{catalogue.collection}/points?wait=true&ordering=strong"
    httpx.put(url, json={"points": [point]}).raise_for_status()

    with pytest.raises(ConfigurationError, match="not written by this program"):
        catalogue.search([query(1)])
    with pytest.raises(ConfigurationError, match="not written by this program"):
        list(catalogue.scroll())


def test_every_write_waits_and_is_ordered_and_every_read_asks_a_majority(served: Served) -> None:
    catalogue = served.catalogue
    for call in CALLS.values():
        call(catalogue)

    seen = [request for request in served.requests() if "/points" in request]
    writes = [request for request in seen if not any(read in request for read in ("query", "scroll", "count", "consistency"))]
    reads = [request for request in seen if "query" in request or "scroll" in request or request.startswith("POST /points?")]
    assert len(writes) >= 3
    assert all("wait=true" in request and "ordering=strong" in request for request in writes), writes
    assert reads
    assert all("consistency=majority" in request for request in reads), reads


def test_sixteen_arrivals_are_written_searched_and_settled_in_one_request_each(served: Served) -> None:
    catalogue = served.catalogue
    before = sum(served.requests().values())

    catalogue.upsert([pending(f"b-{number}", number) for number in range(16)])
    catalogue.search([query(number, exclude_arrival=f"b-{number}") for number in range(16)])
    catalogue.settle({f"b-{number}": "record" for number in range(16)})

    assert sum(served.requests().values()) - before == 3


def test_connections_are_kept_open(served: Served) -> None:
    """qdrant-client keeps none to localhost unless told to."""
    catalogue = served.catalogue
    client = catalogue._client._client.openapi_client.client._client  # type: ignore[attr-defined]
    catalogue.search([query(1)])
    first = [connection.info() for connection in client._transport._pool.connections]
    catalogue.search([query(2)])
    second = [connection.info() for connection in client._transport._pool.connections]

    assert len(first) == len(second) == 1
    assert "IDLE" in first[0]
    assert _requests_of(second[0]) == _requests_of(first[0]) + 1


def test_a_certificate_nobody_trusts_is_configuration_and_the_setting_is_named(tmp_path: Path) -> None:
    with _tls_server(tmp_path) as (url, bundle):
        admin = open_catalogue_admin(CatalogueSettings(url=url, timeout_s=5))
        with pytest.raises(ConfigurationError, match="INTAKE_CATALOGUE__CA_BUNDLE"):
            admin.collections()
        admin.close()
        trusting = open_catalogue_admin(CatalogueSettings(url=url, timeout_s=5, ca_bundle=str(bundle)))
        assert trusting.collections() == ["over-tls"]
        trusting.close()


def test_a_ca_bundle_that_is_not_there_is_configuration() -> None:
    with pytest.raises(ConfigurationError, match="INTAKE_CATALOGUE__CA_BUNDLE"):
        open_catalogue_admin(CatalogueSettings(url="https://localhost:1", ca_bundle="/nowhere/ca.pem"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "localhost:6333"},
        {"url": "http://user:secret@host:6333"},
        {"alias": "../etc"},
        {"replication_factor": 3, "read_consistency": "one"},
        {"replication_factor": 3, "write_ordering": "weak"},
    ],
)
def test_settings_that_cannot_work_are_refused_without_showing_their_value(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        CatalogueSettings(**wrong)
    assert "secret" not in str([error["msg"] for error in caught.value.errors(include_input=False)])


def test_every_fault_is_one_of_the_workers_own_errors(settings: CatalogueSettings) -> None:
    """Statuses nobody thought of included: none may leave as the library's exception."""
    connection = QdrantConnection(settings)
    for status in (*range(201, 209), *range(300, 309), *range(400, 430), 451, *range(500, 512), 599):
        with pytest.raises(IntakeError), connection.guard("try"):
            raise UnexpectedResponse(status, "", b"\xff\xfe not json", httpx.Headers())
    connection.close()


def _whole_text(error: BaseException | None) -> str:
    """The message of the error and of everything it came from, as a traceback shows them."""
    texts = []
    while error is not None:
        texts.append(str(error) + repr(error))
        error = error.__cause__ or error.__context__
    return " ".join(texts)


def _requests_of(info: str) -> int:
    return int(info.rsplit(":", 1)[1])


class _OneAnswer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"result": {"collections": [{"name": "over-tls"}]}, "status": "ok", "time": 0.0}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _tls_server:  # noqa: N801  reads as a function where it is used
    """A TLS server with a certificate of its own making, and the file to trust it by."""

    def __init__(self, folder: Path) -> None:
        self._certificate, self._key = self_signed(folder, "localhost")

    def __enter__(self) -> tuple[str, Path]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        self._server = HTTPServer(("127.0.0.1", 0), _OneAnswer)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"https://localhost:{self._server.server_address[1]}", self._certificate

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
