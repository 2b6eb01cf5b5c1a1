from __future__ import annotations

import contextlib
import time

import pytest

from worker.errors import EventRefused, Reason
from worker.events.reading import EventLimits, canonical, quoted, read_object

LIMITS = EventLimits(max_bytes=262_144, max_depth=32)


def refused(data: bytes | None, limits: EventLimits = LIMITS) -> EventRefused:
    with pytest.raises(EventRefused) as caught:
        read_object(data, limits)
    return caught.value


def nested(depth: int, opening: bytes = b'{"a":', closing: bytes = b"}", inside: bytes = b"1") -> bytes:
    return opening * depth + inside + closing * depth


def test_an_event_at_the_limit_of_its_size_is_read_and_one_byte_more_is_refused() -> None:
    data = b'{"a":"' + b"x" * 100 + b'"}'
    assert read_object(data, EventLimits(max_bytes=len(data)))
    assert refused(data, EventLimits(max_bytes=len(data) - 1)).reason is Reason.EVENT_TOO_LARGE


def test_size_is_looked_at_before_anything_else() -> None:
    assert refused(b"[" * 300_000).reason is Reason.EVENT_TOO_LARGE
    assert refused(b"\xff" * 300_000).reason is Reason.EVENT_TOO_LARGE


def test_an_event_at_the_limit_of_its_depth_is_read_and_one_level_more_is_refused() -> None:
    assert read_object(nested(32), LIMITS)
    assert "deeper" in str(refused(nested(33)))
    assert "deeper" in str(refused(b'{"a":' + nested(32, b"[", b"]") + b"}"))


def test_depth_is_refused_before_the_syntax_is_looked_at() -> None:
    assert "deeper" in str(refused(b"[" * 100_000))
    assert "deeper" in str(refused(nested(40)[:-40]))


def test_brackets_inside_strings_are_no_depth() -> None:
    assert read_object(b'{"a":"' + b"[{" * 500 + b'\\"[[[" ,"b":"\\\\"}', LIMITS)


def test_many_shallow_brackets_are_no_depth() -> None:
    assert read_object(b'{"a":[' + b",".join([b"[{}]"] * 1000) + b"]}", LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":[{"b":{"a":1,"b":2,"a":3}}]}',
        b'{"a":{},"b":1,"a":{}}',
        b'{"":1,"":2}',
    ],
)
def test_a_name_that_occurs_twice_is_refused(data: bytes) -> None:
    found = refused(data)
    assert found.reason is Reason.EVENT_SCHEMA
    assert "twice" in str(found)


def test_a_long_name_that_occurs_twice_is_shortened_and_made_printable() -> None:
    name = "\\u202e\\n" + "n" * 5000
    message = str(refused(f'{{"{name}":1,"{name}":2}}'.encode()))
    assert len(message) < 150
    assert message.isprintable()
    assert message.isascii()


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xff"}',
        b'{"a":"\x01"}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":1}{"b":2}',
        b'{"a":1}\x00',
        b"// comment\n{}",
        "{}".encode("utf-16"),
    ],
)
def test_what_only_some_parsers_take_for_json_is_refused(data: bytes) -> None:
    assert refused(data).reason is Reason.EVENT_NOT_JSON


@pytest.mark.parametrize("number", [str(2**64), str(-(2**63) - 1), "9" * 30, "1" + "0" * 10_000])
def test_an_integer_that_parsers_round_differently_is_refused(number: str) -> None:
    assert refused(f'{{"a":{number}}}'.encode()).reason in {Reason.EVENT_SCHEMA, Reason.EVENT_NOT_JSON}


def test_integers_of_64_bits_are_kept_exactly() -> None:
    assert read_object(f'{{"a":{2**64 - 1},"b":{-(2**63)}}}'.encode(), LIMITS) == {"a": 2**64 - 1, "b": -(2**63)}


@pytest.mark.parametrize(
    "data",
    [
        b'"' + b'\\"' * 131_000,
        b'{"a":"' + b"\\\\" * 131_000,
        b"[]" * 131_000,
        b'{"a":[' + b"[]," * 80_000 + b"1]}",
        b'{"a":[' + b'"",' * 80_000 + b"1]}",
        b"{" + b",".join(f'"k{n}":1'.encode() for n in range(22_000)) + b',"k21999":1}',
        b"{" * 32 + b'"' * 262_000,
        b'{"a":' + b"1" * 262_000 + b"}",
        b'{"a":0.' + b"1" * 262_000 + b"}",
        b'{"a":1e' + b"1" * 262_000 + b"}",
    ],
    ids=range(10),
)
def test_no_input_within_the_size_limit_takes_long(data: bytes) -> None:
    # Linear work on 256 KiB takes tens of milliseconds; anything quadratic would take minutes. The bound is wide for a busy machine.
    begun = time.process_time()
    with contextlib.suppress(EventRefused):
        read_object(data, LIMITS)
    assert time.process_time() - begun < 2.0


def test_canonical_json_does_not_depend_on_the_order_of_names() -> None:
    assert (
        canonical({"b": 1, "a": {"d": 2, "c": 3}}) == canonical({"a": {"c": 3, "d": 2}, "b": 1}) == b'{"a":{"c":3,"d":2},"b":1}'
    )


def test_quoted_text_is_short_and_ascii() -> None:
    assert quoted("ä\n") == "'\\xe4\\n'"
    assert len(quoted("x" * 1000)) < 60
