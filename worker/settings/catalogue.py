"""Settings of the vector index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from worker.settings.base import Group

# A collection's or alias's name is a part of a URL and, in the embedded engine, of a folder: letters, digits and ._- only.
NAME_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")


class HnswSettings(Group):
    """Qdrant's graph index."""

    m: int = Field(default=16, ge=0, description="Edges of a node; more finds more and needs more memory.")
    ef_construct: int = Field(default=128, ge=4, description="Candidates looked at while building.")
    ef_search: int | None = Field(default=None, ge=1, description="Candidates looked at in a search; unset: ef_construct.")


class CatalogueSettings(Group):
    """Which engine holds the catalogue and how it is asked."""

    engine: Literal["qdrant", "edge"] = Field(default="qdrant", description="A Qdrant server, or Qdrant Edge in this process.")
    url: str = Field(default="http://localhost:6333", description="Of the Qdrant server; https:// for TLS. No secret in it.")
    api_key: SecretStr | None = None
    transport: Literal["rest", "grpc"] = "rest"
    grpc_port: int = Field(default=6334, ge=1, le=65535)
    ca_bundle: str | None = Field(default=None, description="CA bundle (PEM) that signed the server's certificate.")
    timeout_s: float = Field(default=10.0, gt=0, description="Of one request; rounded up to whole seconds by the client.")
    pool_size: int = Field(default=16, ge=1, le=256, description="Connections kept open to the server (REST).")
    path: Path = Field(default=Path("catalogue-index"), description="Folder of the embedded engine.")
    min_free_mb: int = Field(
        default=256, ge=0, description="Embedded engine: writes are refused when the disk has less left than this."
    )
    alias: str = Field(default="catalogue", description="Name of the live collection; collections are called alias-fingerprint.")
    limit: int = Field(default=10, ge=1, le=100, description="Articles a search returns.")
    points_per_article: int = Field(default=4, ge=1, description="How many times more points than articles are asked for.")
    filter_attributes: tuple[str, ...] = Field(
        default=(), description="Attributes that narrow a search. A wrong label then hides a match: empty by default."
    )
    write_ordering: Literal["weak", "medium", "strong"] = "strong"
    read_consistency: Literal["one", "majority", "quorum", "all"] = "majority"
    replication_factor: int = Field(default=1, ge=1)
    shard_number: int = Field(default=1, ge=1)
    on_disk: bool = Field(default=False, description="Keep the original vectors on disk instead of in memory.")
    quantisation: Literal["none", "scalar", "binary"] = Field(
        default="none", description="Smaller copies of the vectors for the search; hits are re-scored with the originals."
    )
    hnsw: HnswSettings = Field(default_factory=HnswSettings)

    @field_validator("url")
    @classmethod
    def _url_is_one_and_has_no_secret(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be http://host[:port] or https://host[:port]")
        if parts.username or parts.password:
            raise ValueError("must hold no user or password: set api_key instead")
        return value

    @field_validator("alias")
    @classmethod
    def _alias_is_a_name(cls, value: str) -> str:
        if not NAME_PATTERN.match(value):
            raise ValueError("must be letters, digits and ._- only")
        return value

    @model_validator(mode="after")
    def _replicas_are_read_and_written_so_that_a_write_is_seen(self) -> Self:
        # Promise 3 (no silent duplicate): a search begun after a write must see it. With replicas that needs both.
        if self.replication_factor > 1 and (self.write_ordering != "strong" or self.read_consistency == "one"):
            raise ValueError(
                "with replication_factor > 1 set write_ordering=strong and read_consistency=majority (or quorum, all): "
                "else two photos of one garment can both become articles"
            )
        return self
