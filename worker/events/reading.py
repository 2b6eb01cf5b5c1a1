"""Bytes to JSON, for input nobody vouches for. What comes out is one object in canonical form, or `EventRefused`.

The order is by cost: length, then depth (one pass over the bytes, nothing is built), then syntax (orjson: RFC 8259 to the letter, so
no NaN, no lone surrogates, no byte order mark, no invalid UTF-8), then names that occur twice. Two parsers may read a duplicated
name differently, so an event that holds one is refused rather than read one way.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import NoReturn

import orjson

from worker.errors import EventRefused, Reason

# Strings are skipped whole (possessive: linear on any input, also on one that never ends); what is left are the brackets.
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_OPENING, _CLOSING = (b"{", b"["), (b"}", b"]")

# Integers outside are rounded by some readers and kept by others (RFC 8259, section 6, names 2**53; 64 bits are what orjson keeps).
_MAX_INTEGER, _MIN_INTEGER = 2**64 - 1, -(2**63)
_MAX_INTEGER_DIGITS = 20

# Of a name that came from outside, a message shows this much.
_QUOTED = 40

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class EventLimits:
    """What an input event may cost. The fields of `StreamSettings` carry the same meaning.

    Attributes:
        max_bytes: of the value and of all headers together, each.
        max_depth: of nested arrays and objects.
    """

    max_bytes: int = 262_144
    max_depth: int = 32


def quoted(text: str) -> str:
    """`text` as it may stand in a message: shortened, printable ASCII."""
    return ascii(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


def canonical(value: object) -> bytes:
    """JSON with sorted names and no spaces: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def read_object(data: bytes | None, limits: EventLimits) -> JsonObject:
    """The JSON object in `data`.

    Raises:
        EventRefused: too large, too deep, not UTF-8, not JSON, a name twice in one object, or not an object.
    """
    if data is None or not data.strip():
        raise EventRefused(Reason.EVENT_NOT_JSON, "the record has no value (a tombstone is no event)")
    if len(data) > limits.max_bytes:
        raise EventRefused(Reason.EVENT_TOO_LARGE, f"the event has {len(data)} bytes; {limits.max_bytes} are allowed")
    if not _depth_within(data, limits.max_depth):
        raise EventRefused(Reason.EVENT_SCHEMA, f"the event is nested deeper than {limits.max_depth} levels")
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise EventRefused(Reason.EVENT_NOT_JSON, f"the event is not JSON: {error}") from None
    try:
        value: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_bounded_int,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise EventRefused(Reason.EVENT_NOT_JSON, "the event is not JSON that every reader reads alike") from error
    if not isinstance(value, dict):
        raise EventRefused(Reason.EVENT_SCHEMA, "the event is no JSON object")
    return value


def _depth_within(data: bytes, limit: int) -> bool:
    if data.count(b"{") + data.count(b"[") <= limit:
        return True
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(data):
        token = match.group()
        if token in _OPENING:
            depth += 1
            if depth > limit:
                return False
        elif token in _CLOSING:
            depth -= 1
    return True


def _unique(pairs: list[tuple[str, object]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise EventRefused(Reason.EVENT_SCHEMA, f"the name {quoted(name)} occurs twice in one object")
            seen.add(name)
    return value


def _bounded_int(text: str) -> int:
    if len(text) <= _MAX_INTEGER_DIGITS:
        number = int(text)
        if _MIN_INTEGER <= number <= _MAX_INTEGER:
            return number
    raise EventRefused(Reason.EVENT_SCHEMA, "the event holds an integer of more than 64 bits")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise EventRefused(Reason.EVENT_SCHEMA, "the event holds a number that is no finite double")
    return number


def _no_constant(text: str) -> NoReturn:
    raise EventRefused(Reason.EVENT_NOT_JSON, f"the event holds {text}, which is not JSON")
