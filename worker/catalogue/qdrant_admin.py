"""Collections and the alias on a Qdrant server."""

from __future__ import annotations

from qdrant_client import models

from worker.catalogue import payload
from worker.catalogue.naming import checked_name
from worker.catalogue.qdrant import QdrantCatalogue, fits
from worker.catalogue.qdrant_connection import QdrantConnection
from worker.errors import CatalogueUnavailable, ConfigurationError
from worker.settings.catalogue import CatalogueSettings


class QdrantAdmin:
    """`worker.catalogue.protocol.CatalogueAdmin` on a Qdrant server. Owns the connections of the catalogues it opens."""

    def __init__(self, settings: CatalogueSettings) -> None:
        self._settings = settings
        self._connection = QdrantConnection(settings)
        self._client = self._connection.client

    @property
    def alias(self) -> str:
        """Name of the alias."""
        return self._settings.alias

    def ensure_collection(self, name: str, dimension: int) -> bool:
        """Create the collection and its payload indexes unless they are there; True if the collection was created."""
        self._connection.check_version()
        created = False
        if not self._exists(checked_name(name)):
            created = self._create(name, dimension)
        info = self._info(name)
        fits(info, name, dimension)
        missing = [field for field in self._indexed_fields() if field not in info.payload_schema]
        for field in missing:
            with self._connection.guard(f"index {field} of {name!r}"):
                self._client.create_payload_index(name, field, field_schema=models.PayloadSchemaType.KEYWORD, wait=True)
        return created

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        with self._connection.guard("list collections"):
            return sorted(collection.name for collection in self._client.get_collections().collections)

    def alias_target(self) -> str | None:
        """The collection the alias names now."""
        with self._connection.guard("list aliases"):
            aliases = self._client.get_aliases().aliases
        return next((entry.collection_name for entry in aliases if entry.alias_name == self._settings.alias), None)

    def switch_alias(self, collection: str) -> None:
        """Point the alias at `collection`, atomically: deleting and creating it is one request."""
        operations: list[models.DeleteAliasOperation | models.CreateAliasOperation] = []
        if not self._exists(collection):
            raise ConfigurationError(f"there is no collection {collection!r} for the alias {self._settings.alias!r}")
        if self.alias_target() is not None:
            operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._settings.alias)))
        create = models.CreateAlias(collection_name=collection, alias_name=self._settings.alias)
        operations.append(models.CreateAliasOperation(create_alias=create))
        with self._connection.guard(f"switch the alias to {collection!r}"):
            self._client.update_collection_aliases(operations)

    def open(self, collection: str) -> QdrantCatalogue:
        """A catalogue on this collection. Raises `ConfigurationError` if it is not there or not ours."""
        self._connection.check_version()
        return QdrantCatalogue(self._connection, collection, fits(self._info(collection), collection))

    def drop_collection(self, name: str) -> None:
        """Delete a collection; refuses the one the alias names. Nothing happens if it is not there."""
        if name == self.alias_target():
            raise ConfigurationError(f"{name!r} is live (the alias {self._settings.alias!r} names it): switch the alias first")
        if self._exists(name):
            with self._connection.guard(f"drop {name!r}"):
                self._client.delete_collection(name)

    def close(self) -> None:
        """Close the connections, also those of opened catalogues. Idempotent."""
        self._connection.close()

    def _exists(self, name: str) -> bool:
        with self._connection.guard(f"look for {name!r}"):
            return self._client.collection_exists(name)

    def _info(self, name: str) -> models.CollectionInfo:
        with self._connection.guard(f"describe {name!r}"):
            return self._client.get_collection(name)

    def _create(self, name: str, dimension: int) -> bool:
        settings = self._settings
        try:
            with self._connection.guard(f"create {name!r}"):
                self._client.create_collection(
                    name,
                    vectors_config=models.VectorParams(size=dimension, distance=models.Distance.COSINE, on_disk=settings.on_disk),
                    hnsw_config=models.HnswConfigDiff(m=settings.hnsw.m, ef_construct=settings.hnsw.ef_construct),
                    quantization_config=_quantisation(settings.quantisation),
                    replication_factor=settings.replication_factor,
                    # A majority must hold a write before it is acknowledged, so that a majority read meets it.
                    write_consistency_factor=settings.replication_factor // 2 + 1,
                    shard_number=settings.shard_number,
                )
        except (ConfigurationError, CatalogueUnavailable):
            # Another worker that starts at the same moment may have been first (409, or an internal error where both were in it), or
            # the answer was lost. Whether what is there fits is looked at next.
            if not self._exists(name):
                raise
            return False
        return True

    def _indexed_fields(self) -> list[str]:
        return [*payload.INDEXED, *(payload.attribute_field(name) for name in self._settings.filter_attributes)]


def _quantisation(kind: str) -> models.ScalarQuantization | models.BinaryQuantization | None:
    if kind == "scalar":
        # The 0.99 quantile drops outliers that would coarsen the int8 steps of all other values.
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        )
    if kind == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None
