"""Which places events may name: the allow-list of buckets and prefixes, and what counts as a plain key.

S3 itself knows no folders: ``a/../b`` is a key like any other. But gateways over file systems, proxies and consoles resolve such
keys, so a key that means different things to different readers is refused here, before any request is made:

- empty, longer than 1024 bytes of UTF-8, or not encodable in UTF-8 (lone surrogates);
- beginning with a slash, or with an empty segment (``a//b``, ``a/``): some gateways collapse these;
- with a ``.`` or ``..`` segment, a backslash, or a control character (also U+2028 and U+2029, which end lines in logs);
- the same after undoing percent-encoding up to three times: keys in events are not url-encoded, so ``%2e%2e%2f`` is a legal name,
  but a gateway that decodes once too often would see ``../``. A percent sign alone (``50%.jpg``) is fine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from worker.errors import EventRefused, Reason
from worker.events import PhotoLocation
from worker.settings.imaging import LOCAL_BUCKET, AllowedLocation

MAX_KEY_BYTES = 1024  # S3's own limit
# A gateway that decodes twice exists; three times is one more than any known.
MAX_PERCENT_DECODINGS = 3
# ETags and version ids are visible ASCII without the quote that encloses an ETag: anything else could split a header.
PLAIN_TOKEN = re.compile(r"[\x21\x23-\x7e]{1,256}")
SHOWN_CHARACTERS = 200


def allowed_place(location: PhotoLocation, allowed: Sequence[AllowedLocation]) -> AllowedLocation:
    """The entry of the allow-list that `location` falls under.

    Raises:
        EventRefused: LOCATION_FORBIDDEN: no entry, or the key, version or etag is not plain.
    """
    fault = key_fault(location.key)
    if fault is not None:
        raise _forbidden(location, f"its key {fault}")
    if location.version_id is not None and not PLAIN_TOKEN.fullmatch(location.version_id):
        raise _forbidden(location, "its version_id holds characters no S3 version has")
    if location.etag is not None and not PLAIN_TOKEN.fullmatch(plain_etag(location.etag)):
        raise _forbidden(location, "its etag holds characters no ETag has")
    if location.bucket == LOCAL_BUCKET:
        raise _forbidden(location, "events may not name local files")
    for place in allowed:
        if location.bucket == place.bucket and location.key.startswith(place.prefix):
            return place
    raise _forbidden(location, "its bucket and prefix are not in INTAKE_STORAGE__ALLOWED")


def key_fault(key: str) -> str | None:
    """What is wrong with `key`, as the end of a sentence, or None if it is plain."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not encoded or len(encoded) > MAX_KEY_BYTES:
        return f"is empty or longer than {MAX_KEY_BYTES} bytes"
    fault = _form_fault(key)
    decoded = key
    for _ in range(MAX_PERCENT_DECODINGS):
        if fault is not None or "%" not in decoded:
            break
        decoded = unquote(decoded, errors="replace")
        inner = _form_fault(decoded)
        fault = inner and f"{inner} once percent-encoding is undone"
    return fault


def plain_etag(etag: str) -> str:
    """`etag` without the quotes (and weakness mark) it travels in."""
    return etag.removeprefix("W/").removeprefix('"').removesuffix('"')


def describe(location: PhotoLocation) -> str:
    """`location` for people: ``s3://bucket/key`` or a local path, shortened, control characters escaped."""
    text = location.key if location.bucket == LOCAL_BUCKET else f"s3://{location.bucket}/{location.key}"
    safe = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return safe if len(safe) <= SHOWN_CHARACTERS else safe[:SHOWN_CHARACTERS] + "..."


def _form_fault(key: str) -> str | None:
    if key.startswith("/"):
        return "begins with a slash"
    if "\\" in key:
        return "holds a backslash"
    if any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in key):
        return "holds a control character"
    for segment in key.split("/"):
        if not segment:
            return "has an empty segment"
        if segment in {".", ".."}:
            return f"has a {segment!r} segment"
    return None


def _forbidden(location: PhotoLocation, why: str) -> EventRefused:
    return EventRefused(Reason.LOCATION_FORBIDDEN, f"{describe(location)} may not be read: {why}")
