"""Plugins of the whole suite: a line for each kind of server."""

from __future__ import annotations

pytest_plugins = [
    "tests.infra.kafka_fixtures",
    "tests.infra.s3_fixtures",
    "tests.infra.qdrant_fixtures",
]
