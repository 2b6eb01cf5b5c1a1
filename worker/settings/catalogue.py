"""Settings of the vector index."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from worker.settings.base import Group


class HnswSettings(Group):
    """Qdrant's graph index."""

    m: int = Field(default=16, ge=0)
    ef_construct: int = Field(default=128, ge=4)
    ef_search: int | None = Field(default=None, ge=1)


class CatalogueSettings(Group):
    """Which engine holds the catalogue and how it is asked."""

    engine: Literal["qdrant", "edge"] = Field(default="qdrant", description="A Qdrant server, or Qdrant Edge in this process.")
    url: str = "http://localhost:6333"
    api_key: SecretStr | None = None
    transport: Literal["rest", "grpc"] = "rest"
    grpc_port: int = 6334
    ca_bundle: str | None = None
    timeout_s: float = Field(default=10.0, gt=0)
    path: Path = Field(default=Path("catalogue-index"), description="Folder of the embedded engine.")
    alias: str = "catalogue"
    limit: int = Field(default=10, ge=1, le=100, description="Articles a search returns.")
    points_per_article: int = Field(default=4, ge=1, description="How many times more points than articles are asked for.")
    filter_attributes: tuple[str, ...] = Field(
        default=(), description="Attributes that narrow a search. A wrong label then hides a match: empty by default."
    )
    write_ordering: Literal["weak", "medium", "strong"] = "strong"
    read_consistency: Literal["one", "majority", "quorum", "all"] = "majority"
    replication_factor: int = Field(default=1, ge=1)
    shard_number: int = Field(default=1, ge=1)
    on_disk: bool = False
    quantisation: Literal["none", "scalar", "binary"] = "none"
    hnsw: HnswSettings = Field(default_factory=HnswSettings)
