"""Every id the worker derives. The same input gives the same id in every process and on every replay: that makes replays visible.

Ids of events rest on the arrival's id alone, ids of points on arrival (or article) and photo location. Nothing here may change
once events are published: a replay would look new.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from worker.errors import ConfigurationError
from worker.events.common import PhotoLocation, derived_id

# Length of an Identifier (ID_PATTERN), and of a UUID as text.
_MAX_IDENTIFIER, _UUID_LENGTH = 128, 36


def arrival_event_id(arrival_id: str) -> UUID:
    """Id of an `item-photographed` event whose producer set none."""
    return derived_id("item-photographed", arrival_id)


def notification_event_id(objects: Sequence[tuple[str, str, str, str]]) -> UUID:
    """Id of an S3 notification, which carries none.

    `objects` holds (bucket, key, versionId or else eTag, sequencer) for each, with "" for what is unknown.
    """
    return derived_id("s3-notification", *(part for parts in objects for part in parts))


def match_alert_id(arrival_id: str) -> UUID:
    """Id of the arrival's `match-alert`."""
    return derived_id("match-alert", arrival_id)


def catalogue_insert_id(arrival_id: str) -> UUID:
    """Id of the arrival's `catalogue-insert`."""
    return derived_id("catalogue-insert", arrival_id)


def dead_letter_id(topic: str, partition: int, offset: int, reason: str) -> UUID:
    """Id of a record's `dead-letter`: of the record, not of the arrival, which may be unreadable."""
    return derived_id("dead-letter", topic, str(partition), str(offset), reason)


def arrival_point_id(arrival_id: str, photo: PhotoLocation) -> UUID:
    """Id of the point of one photo of an arrival."""
    return derived_id("arrival-point", arrival_id, photo.bucket, photo.key, photo.version_id or "")


def article_point_id(article_id: str, location: str) -> UUID:
    """Id of the point of one photo of a loaded article; `location` is ``s3://bucket/key`` or a local path."""
    return derived_id("article-point", article_id, location)


def new_article_id(prefix: str, arrival_id: str) -> str:
    """Id of the article an arrival becomes: prefix and arrival id, or prefix and a derived UUID where that would be too long."""
    if len(prefix) + _UUID_LENGTH > _MAX_IDENTIFIER:
        raise ConfigurationError(f"article_id_prefix is longer than {_MAX_IDENTIFIER - _UUID_LENGTH} characters: shorten it")
    name = prefix + arrival_id
    return name if len(name) <= _MAX_IDENTIFIER else f"{prefix}{derived_id('article', arrival_id)}"
