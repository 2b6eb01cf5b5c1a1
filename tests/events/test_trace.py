from __future__ import annotations

import pytest

from worker.events.trace import Traceparent

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_valid_traceparent_is_read_and_written_back() -> None:
    trace = Traceparent.parse(VALID)
    assert trace == Traceparent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1)
    assert str(trace) == VALID
    assert trace is not None
    assert trace.sampled


def test_bytes_and_surrounding_blanks_are_read() -> None:
    assert str(Traceparent.parse(f" {VALID}\t".encode())) == VALID


def test_an_unsampled_trace_stays_unsampled() -> None:
    trace = Traceparent.parse(VALID[:-2] + "00")
    assert trace is not None
    assert not trace.sampled
    assert not trace.child().sampled


def test_a_later_version_with_more_parts_is_read_as_far_as_it_is_known() -> None:
    assert str(Traceparent.parse("cc" + VALID[2:] + "-what-the-future-holds")) == VALID
    assert str(Traceparent.parse("cc" + VALID[2:])) == VALID


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "rubbish",
        VALID.upper(),
        VALID[:-1],
        VALID + "0",
        VALID + "-more",
        "ff" + VALID[2:],
        "cc" + VALID[2:] + ".more",
        "00-" + "0" * 32 + VALID[35:],
        VALID[:36] + "0" * 16 + "-01",
        VALID.replace("4", "g"),
        VALID.replace("4", "\uff14"),
        VALID + "\n",
        VALID + "-" + "x" * 600,
        b"\xff\xfe",
    ],
)
def test_an_invalid_traceparent_starts_a_new_trace(header: str | bytes | None) -> None:
    assert Traceparent.parse(header) is None
    assert Traceparent.parse(str(Traceparent.continued(header))) is not None


def test_a_child_keeps_the_trace_and_has_its_own_span() -> None:
    trace = Traceparent.new()
    children = {trace.child() for _ in range(100)}
    assert len({child.span_id for child in children} | {trace.span_id}) == 101
    assert {child.trace_id for child in children} == {trace.trace_id}


def test_continuing_a_trace_makes_a_child_of_it() -> None:
    continued = Traceparent.continued(VALID)
    assert continued.trace_id in VALID
    assert continued.span_id not in VALID
