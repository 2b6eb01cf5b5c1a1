"""The index: reachable, the alias names a collection of these models, and nothing hides points from searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from qdrant_client.models import CollectionInfo

from worker.catalogue.live import open_catalogue_admin
from worker.catalogue.naming import collection_name
from worker.catalogue.protocol import Catalogue
from worker.catalogue.qdrant_connection import QdrantConnection
from worker.doctor.findings import Finding, fail, ok, warn
from worker.settings import CatalogueSettings, Settings
from worker.vision import model_fingerprint

# A few pending points are twins being told apart at this moment; so many are left behind by something.
PENDING_WARN = 1000


def check_catalogue(settings: Settings) -> Iterator[Finding]:
    """Whichever engine it is."""
    catalogue = settings.catalogue
    if catalogue.engine == "qdrant":
        yield from _server(catalogue)
    with closing(open_catalogue_admin(catalogue)) as admin:
        wanted = collection_name(model_fingerprint(settings.vision), catalogue.alias)
        target = admin.alias_target()
        if target is None:
            yield warn(
                "index",
                f"there is no catalogue yet (alias {catalogue.alias!r}): every arrival will be new",
                "`intake catalogue load` fills it; a worker that starts first makes it, empty",
            )
            return
        if target != wanted:
            yield fail(
                "index",
                f"the alias {catalogue.alias!r} names {target!r}, the configured models need {wanted!r}",
                "`intake catalogue reindex` builds it and switches, or configure the models it was made with",
            )
            return
        with closing(admin.open(target)) as live:
            yield from _contents(live)
    if catalogue.engine == "qdrant":
        yield from _collection(catalogue, target)


def _contents(live: Catalogue) -> Iterator[Finding]:
    stats = live.stats()
    yield ok("index", f"{stats.collection}: {stats.points} points of dimension {stats.dimension}, {stats.pending} pending")
    if stats.points == stats.pending:
        yield warn("index", "it holds no settled point: every arrival will be new", "`intake catalogue load` fills it")
    if stats.pending >= PENDING_WARN:
        yield warn(
            "index",
            f"{stats.pending} points are pending",
            "workers died in the middle of arrivals that were never read again: check the lag",
        )


def _server(catalogue: CatalogueSettings) -> Iterator[Finding]:
    with closing(QdrantConnection(catalogue)) as connection:
        version = connection.check_version()
    yield ok("index", f"Qdrant {version} at {catalogue.url} ({catalogue.transport})")


def _collection(catalogue: CatalogueSettings, name: str) -> Iterator[Finding]:
    with closing(QdrantConnection(catalogue)) as connection, connection.guard(f"describe {name!r}"):
        info = connection.client.get_collection(name)
    yield from collection_findings(catalogue, info)


def collection_findings(catalogue: CatalogueSettings, info: CollectionInfo) -> Iterator[Finding]:
    """What the collection's own configuration would do to the promises."""
    if info.config.optimizer_config.prevent_unoptimized:
        yield fail(
            "index",
            "prevent_unoptimized hides new points from searches: two photos of one garment could both become articles",
            "set optimizers_config.prevent_unoptimized to false on the collection",
        )
    yield from _copies(catalogue, info)
    yield from _strict_mode(catalogue, info)
    if info.status == "red":
        yield fail("index", "Qdrant calls the collection red: an operation failed", "look at the server's log")
    elif info.status == "yellow":
        yield ok("index", "the index is being built (searches are slower meanwhile)")


def _copies(catalogue: CatalogueSettings, info: CollectionInfo) -> Iterator[Finding]:
    copies = info.config.params.replication_factor or 1
    if copies == 1:
        return
    if catalogue.write_ordering == "weak" or catalogue.read_consistency == "one":
        yield fail(
            "index",
            f"there are {copies} copies, and write_ordering={catalogue.write_ordering} with read_consistency={catalogue.read_consistency} "
            "lets a search miss what was just written",
            "set INTAKE_CATALOGUE__WRITE_ORDERING=strong and INTAKE_CATALOGUE__READ_CONSISTENCY=majority",
        )
    if (info.config.params.write_consistency_factor or 1) * 2 <= copies and catalogue.read_consistency != "all":
        yield fail(
            "index",
            f"a write is acknowledged by {info.config.params.write_consistency_factor or 1} of {copies} copies: a majority read can miss it",
            f"set write_consistency_factor to {copies // 2 + 1} on the collection",
        )


def _strict_mode(catalogue: CatalogueSettings, info: CollectionInfo) -> Iterator[Finding]:
    strict = info.config.strict_mode_config
    if strict is None or not strict.enabled:
        return
    points = catalogue.limit * catalogue.points_per_article
    if strict.max_query_limit is not None and strict.max_query_limit < points:
        yield fail(
            "index",
            f"strict mode allows {strict.max_query_limit} points in a search, the worker asks for {points}",
            f"set strict_mode_config.max_query_limit to at least {points}, or lower INTAKE_CATALOGUE__LIMIT",
        )
    if strict.read_rate_limit is not None or strict.write_rate_limit is not None:
        yield warn(
            "index", "strict mode limits requests a minute: arrivals wait when it is reached", "size it for the load, or lift it"
        )
    ours = {"arrival_id", "article_id", "state"}
    unindexed = sorted(ours - set(info.payload_schema))
    if unindexed and (strict.unindexed_filtering_retrieve is False or strict.unindexed_filtering_update is False):
        yield fail(
            "index",
            f"strict mode forbids filters on fields without an index, and {', '.join(unindexed)} have none",
            "restart a worker (it makes missing indexes), or make keyword indexes for them",
        )
