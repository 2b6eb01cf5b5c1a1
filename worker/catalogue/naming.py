"""Names of collections: the alias, then the models' fingerprint."""

from __future__ import annotations

from worker.errors import ConfigurationError
from worker.settings.catalogue import NAME_PATTERN

DEFAULT_ALIAS = "catalogue"


def collection_name(fingerprint: str, alias: str = DEFAULT_ALIAS) -> str:
    """The collection that holds vectors of the models with this fingerprint (`ModelFingerprint.pipeline`).

    The alias is part of the name so that two catalogues (two sites, say) can share one server and the same models.
    """
    return checked_name(f"{alias}-{fingerprint}")


def checked_name(name: str) -> str:
    """`name` if it is safe in a URL and as a folder; raises `ConfigurationError` if not."""
    if not NAME_PATTERN.match(name):
        raise ConfigurationError(f"{name!r} is no name for a collection: letters, digits and ._- only, at most 200")
    return name
