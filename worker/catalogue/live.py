"""Opening the catalogue: which engine, and which collection is live for these models."""

from __future__ import annotations

from worker.catalogue.naming import collection_name
from worker.catalogue.protocol import Catalogue, CatalogueAdmin
from worker.errors import ConfigurationError
from worker.settings.catalogue import CatalogueSettings


def open_catalogue_admin(settings: CatalogueSettings) -> CatalogueAdmin:
    """The configured engine. Close it when done: it owns the connections, or the lock on the folder.

    Raises:
        ConfigurationError: the embedded engine is not installed, or another process holds its folder.
        CatalogueUnavailable: the folder cannot be opened. A Qdrant server is first spoken to by the first call.
    """
    # Imported here so that a worker with one engine neither needs nor loads the other.
    if settings.engine == "edge":
        try:
            from worker.catalogue.edge_admin import EdgeAdmin  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "INTAKE_CATALOGUE__ENGINE=edge needs Qdrant Edge: pip install 'intake-worker[embedded]'"
            ) from error
        return EdgeAdmin(settings)
    from worker.catalogue.qdrant_admin import QdrantAdmin  # noqa: PLC0415

    return QdrantAdmin(settings)


def ensure_live_catalogue(admin: CatalogueAdmin, fingerprint: str, dimension: int) -> Catalogue:
    """The catalogue the alias names, created empty if there is none.

    Args:
        admin: where the collections are.
        fingerprint: of the models (`ModelFingerprint.pipeline`).
        dimension: of their vectors.

    Raises:
        ConfigurationError: the alias names a collection of other models.
    """
    wanted = collection_name(fingerprint, admin.alias)
    target = admin.alias_target()
    if target is not None and target != wanted:
        raise ConfigurationError(
            f"the live catalogue {target!r} was made with other models than those configured (they would be {wanted!r}): run "
            "`intake catalogue reindex` to build it for these models and switch, or configure the models it was made with"
        )
    admin.ensure_collection(wanted, dimension)
    if target is None:
        admin.switch_alias(wanted)
    return admin.open(wanted)
