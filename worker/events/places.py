"""Which bucket names and object keys may stand in an event at all. The allow-list itself is checked where photos are fetched.

A key is refused when it, or what it becomes after percent-decoding, could mean another place to anything between the worker and
the bytes (a proxy, a gateway that keeps objects as files, a viewer): ``..`` segments, a leading slash, backslashes, URLs and ARNs,
control and direction-changing characters.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from pydantic_core import PydanticCustomError

# Errors of this type become `Reason.LOCATION_FORBIDDEN`; all others of a model become `Reason.EVENT_SCHEMA`.
FORBIDDEN = "location_forbidden"

# S3's own limit, in bytes of UTF-8.
MAX_KEY_BYTES = 1024

# A key that was encoded more often than this is not decoded to its end but refused: nothing honest encodes three times.
_MAX_DECODINGS = 3

# What S3 allows no bucket to be called, though its characters would do.
NO_BUCKET_PATTERN = r"\.\.|^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$"
_NO_BUCKET = re.compile(NO_BUCKET_PATTERN)

_SCHEME = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:/|arn:)")
# Control characters, lone surrogates, line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Characters that change the direction of text around them: a key must look like what it is, in a log and on a page.
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _forbid(what: str) -> PydanticCustomError:
    return PydanticCustomError(FORBIDDEN, "{what}", {"what": what})


def check_bucket(bucket: str) -> str:
    """Return `bucket` unchanged; refuse what S3 allows no bucket to be called (an IP address, two dots in a row)."""
    if _NO_BUCKET.search(bucket):
        raise _forbid("a bucket name is no IP address and has no two dots in a row")
    return bucket


def check_key(key: str) -> str:
    """Return `key` unchanged if it is a plain object key, also after percent-decoding; refuse it otherwise."""
    if len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise _forbid(f"an object key has at most {MAX_KEY_BYTES} bytes")
    form = key
    for _ in range(_MAX_DECODINGS + 1):
        _check_plain(form)
        decoded = unquote(form)
        if decoded == form:
            return key
        form = decoded
    raise _forbid("the object key is percent-encoded several times")


def _check_plain(key: str) -> None:
    if key.startswith("/"):
        raise _forbid("an object key must not begin with a slash")
    if "\\" in key:
        raise _forbid("an object key must not hold a backslash")
    if _SCHEME.match(key):
        raise _forbid("an object key is no URL and no ARN: give bucket and key apart")
    if any(part in {".", ".."} for part in key.split("/")):
        raise _forbid("an object key must not have '.' or '..' as a segment")
    if not key.isascii() or not key.isprintable():
        for character in key:
            if unicodedata.category(character) in _FORBIDDEN_CATEGORIES or character in _DIRECTION:
                raise _forbid("an object key must not hold control, separator or direction-changing characters")
