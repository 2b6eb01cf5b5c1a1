"""Settings of the service for one photo."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from worker.settings.base import Group


class ServeSettings(Group):
    """`intake serve`: where it listens, and how much it takes on. Photos keep the limits of `imaging`."""

    host: str = Field(default="127.0.0.1", description="Address it listens on. It asks nobody who they are: see the README.")
    port: int = Field(default=8080, ge=0, le=65535, description="Page, API, probes and metrics; 0: any free port.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names a request may call this service by (its Host header, without port). Empty: loopback names where it listens on"
        " loopback, so that no web page reaches it under a name of its own; otherwise any.",
    )
    photo_folders: tuple[Path, ...] = Field(
        default=(),
        description="Local folders whose catalogue photos are shown; those in S3 are where `storage.allowed` lets them be read.",
    )
    max_photos: int = Field(default=4, ge=1, le=16, description="Photos of one garment in one request.")
    max_body_bytes: int = Field(
        default=60_000_000, ge=1024, description="Of a whole request; held in memory while it is in work."
    )
    concurrent: int = Field(
        default=4, ge=1, le=256, description="Searches in work at one time; others are told to come again (503)."
    )
    request_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest a body may take to arrive, and then a search to end."
    )
    retry_after_s: int = Field(default=2, ge=1, description="When those who are told to come again should.")
    drain_timeout_s: float = Field(default=30.0, gt=0, description="After SIGTERM requests in work have this long to end.")
    thumbnail_side: int = Field(default=320, ge=32, le=2048, description="Longer side of the catalogue's photos on the page.")
