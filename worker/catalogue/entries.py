"""What a catalogue is loaded from: one entry for each photo of an article."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from worker.errors import ConfigurationError
from worker.events import Attributes, derived_id
from worker.events.common import ID_PATTERN

S3_SCHEME = "s3://"
DEFAULT_VIEW = "front"
MAX_ID_LENGTH = 128
MAX_VIEW_LENGTH = 32

_VALID_ID = re.compile(ID_PATTERN)
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._:@+=-]+")
_NOT_IN_VIEW = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One photo of one article. `location` is an absolute path or ``s3://bucket/key``."""

    article_id: str
    view: str
    location: str
    attributes: Attributes = field(default_factory=Attributes)

    @property
    def point_id(self) -> UUID:
        """The same in every load, whatever the models: a load that is run again skips what is there."""
        return derived_id("article-photo", self.article_id, self.location)


@dataclass(frozen=True, slots=True)
class BadEntry:
    """A row or file that names no photo: where, and why."""

    place: str
    why: str


def id_from_name(name: str) -> str:
    """An article id from a file's or folder's name: itself if it may be one, else made fit, with a hash so that two stay two."""
    if _VALID_ID.match(name):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    kept = _NOT_IN_ID.sub("-", name).strip("-.:@+=_")[: MAX_ID_LENGTH - len(mark) - 1]
    return f"{kept}-{mark}" if kept else f"article-{mark}"


def is_valid_id(text: str) -> bool:
    """True if `text` can be an article id as it stands."""
    return _VALID_ID.match(text) is not None


def view_from_name(name: str) -> str:
    """A view from a part of a file's name: lower case, other characters as dashes."""
    return _NOT_IN_VIEW.sub("-", name.lower()).strip("-_")[:MAX_VIEW_LENGTH] or DEFAULT_VIEW


def resolved_location(text: str, folder: Path) -> str:
    """``s3://...`` as it stands, a path as an absolute one (relative to `folder`).

    Raises:
        ConfigurationError: it is a URL of another kind: no URL is ever followed.
    """
    text = text.strip()
    if text.startswith(S3_SCHEME):
        bucket, _, key = text.removeprefix(S3_SCHEME).partition("/")
        if not bucket or not key:
            raise ConfigurationError(f"{text!r} is not s3://bucket/key")
        return text
    if "://" in text:
        raise ConfigurationError(f"{text!r} is a URL: photos are read from s3:// or local paths only")
    if not text:
        raise ConfigurationError("the location is empty")
    return str((folder / Path(text).expanduser()).absolute())
