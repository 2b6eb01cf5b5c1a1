"""What hypothesis draws: valid events, JSON of any shape, forged places, events with one thing wrong."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from worker.events.common import ID_PATTERN, VIEW_PATTERN

# The same examples in every run; no deadline for a single one, since the machine may be busy (slow inputs are tested by name).
STEADY = settings(derandomize=True, deadline=None, max_examples=200)

identifiers = st.from_regex(ID_PATTERN.replace("$", r"\Z"))
views = st.from_regex(VIEW_PATTERN.replace("$", r"\Z"))
buckets = st.from_regex(r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z")
short_texts = st.text(
    st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1, max_size=64
)
# Plain names joined by slashes; no percent signs and no colons, so that none is forged by accident.
_names = st.text(st.sampled_from("abcXYZ019 _-+=&äß正😀"), min_size=1, max_size=12)
keys = st.lists(_names, min_size=1, max_size=4).map("/".join)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30), timezones=st.one_of(st.just(UTC), offsets))  # noqa: DTZ001

photos = st.fixed_dictionaries(
    {"bucket": buckets, "key": keys},
    optional={"version_id": st.none() | short_texts, "etag": st.none() | short_texts, "view": views},
)
attributes = st.dictionaries(
    st.sampled_from(["brand", "gender", "category", "colour", "size", "supplier", "warehouse"]), st.none() | short_texts
)
_required: dict[str, st.SearchStrategy[Any]] = {
    "arrival_id": identifiers,
    "photographed_at": times.map(lambda moment: moment.isoformat()),
    "photos": st.lists(photos, min_size=1, max_size=16, unique_by=lambda photo: (photo["bucket"], photo["key"])),
}
arrivals = st.fixed_dictionaries(_required, optional={"attributes": attributes})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.sampled_from(["", "..", "\ud800", "1", "NaN"]),
)
field_names = st.sampled_from(
    [
        "arrival_id",
        "photographed_at",
        "photos",
        "attributes",
        "bucket",
        "key",
        "view",
        "data",
        "specversion",
        "Records",
        "s3",
        "eventName",
    ]
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(field_names | st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)

header_names = st.sampled_from(
    ["ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion", "ce_dataschema", "content-type", "traceparent", "x"]
)
header_values = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from([b"1.0", b"application/json", b"application/cloudevents+json", b"intake.item-photographed.v1"]),
)
headers = st.lists(st.tuples(header_names, header_values), max_size=6)

# Pieces that forged keys are made of, put together in any order.
_STEPS = ["..", ".", "/", "//", "\\", "in", "a.jpg", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "%00", "%"]
_ELSEWHERE = ["http:", "s3:", "arn:aws", ":", "@", "169.254.169.254", "?", "#"]
_ODD = ["\x00", "\n", "\x85", "\u202e", "\u2028", "ä", " "]
forged_keys = st.lists(st.sampled_from([*_STEPS, *_ELSEWHERE, *_ODD]), min_size=1, max_size=9).map("".join)


def to_bytes(value: Any) -> bytes:
    """JSON as a careless producer writes it: NaN and lone surrogates go through."""
    return json.dumps(value).encode()


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something stands inside `value`."""
    found = [prefix] if prefix else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in entries:
        found += paths(inner, (*prefix, name))
    return found


@st.composite
def spoiled(draw: st.DrawFn, whole: Any) -> Any:
    """`whole` with one part replaced by anything, or taken out."""
    value = deepcopy(whole)
    path = draw(st.sampled_from(paths(value)))
    node = value
    for step in path[:-1]:
        node = node[step]
    if draw(st.booleans()):
        node[path[-1]] = draw(json_values)
    else:
        del node[path[-1]]
    return value
