"""Plugins of the whole suite: a line for each kind of server; and how patient hypothesis is."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = [
    "tests.infra.kafka_fixtures",
    "tests.infra.s3_fixtures",
    "tests.infra.qdrant_fixtures",
]

# What is found out in CI is found out here, too, but for the 200 ms an example may take: a busy machine's fault, not the code's.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")
