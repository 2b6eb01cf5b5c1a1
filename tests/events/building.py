"""Events to test with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker.errors import EventRefused, Reason
from worker.events.codec import ParsedArrival, parse_item_photographed
from worker.events.reading import EventLimits

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
EXAMPLES = SCHEMAS / "examples"
LIMITS = EventLimits()

Headers = list[tuple[str, bytes | None]]


def example(name: str) -> Any:
    """An example event, parsed."""
    return json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def as_bytes(value: Any) -> bytes:
    """JSON as a producer would send it."""
    return json.dumps(value).encode()


def body(**changes: Any) -> dict[str, Any]:
    """A small valid `item-photographed` event."""
    return {
        "arrival_id": "A-1",
        "photographed_at": "2026-11-21T09:14:03Z",
        "photos": [{"bucket": "intake-photos", "key": "in/A-1/front.jpg"}],
        **changes,
    }


def with_photo(**changes: Any) -> dict[str, Any]:
    """The same, with another photo."""
    return body(photos=[{"bucket": "intake-photos", "key": "in/A-1/front.jpg", **changes}])


def parse(value: Any, headers: Headers | None = None, key: bytes | None = b"A-1", limits: EventLimits = LIMITS) -> ParsedArrival:
    """Parse bytes, or a value as JSON."""
    data = value if isinstance(value, bytes) or value is None else as_bytes(value)
    return parse_item_photographed(key, data, headers or [], limits)


def refusal(value: Any, headers: Headers | None = None, key: bytes | None = b"A-1", limits: EventLimits = LIMITS) -> EventRefused:
    """The refusal of an event that must be refused."""
    with pytest.raises(EventRefused) as caught:
        parse(value, headers, key, limits)
    return caught.value


def reason(value: Any, headers: Headers | None = None, key: bytes | None = b"A-1", limits: EventLimits = LIMITS) -> Reason:
    """Only its reason."""
    return refusal(value, headers, key, limits).reason
