"""W3C Trace Context, level 1: reading, checking and continuing a `traceparent`."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace

# version, trace-id, parent-id, flags; a later version may append more, which is not understood and not kept.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_VERSION = "00"
_INVALID_VERSION = "ff"
_SAMPLED = 0x01
# Far above any real one (55 characters); a longer one is not looked at.
_MAX_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Traceparent:
    """One span's place in a trace. `str()` gives the header.

    Attributes:
        trace_id: 32 hexadecimal digits, not all zero.
        span_id: 16 hexadecimal digits, not all zero.
        flags: 0..255; bit 0 is "sampled".
    """

    trace_id: str
    span_id: str
    flags: int = _SAMPLED

    @classmethod
    def parse(cls, header: str | bytes | None) -> Traceparent | None:
        """The header's content; None where it is missing or invalid (the standard then starts a new trace: never an error)."""
        if header is None or len(header) > _MAX_LENGTH:
            return None
        text = header.decode("latin-1") if isinstance(header, bytes) else header
        match = _TRACEPARENT.fullmatch(text.strip(" \t"))
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        if version == _INVALID_VERSION or (version == _VERSION and rest is not None):
            return None
        if not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, int(flags, 16))

    @classmethod
    def new(cls) -> Traceparent:
        """The root of a new, sampled trace."""
        return cls(_random_hex(16), _random_hex(8))

    @classmethod
    def continued(cls, header: str | bytes | None) -> Traceparent:
        """A child of the header's span, or a new trace where there is none."""
        parent = cls.parse(header)
        return cls.new() if parent is None else parent.child()

    def child(self) -> Traceparent:
        """A new span of the same trace, with the same flags."""
        return replace(self, span_id=_random_hex(8))

    @property
    def sampled(self) -> bool:
        """Whether the caller recorded this trace."""
        return bool(self.flags & _SAMPLED)

    def __str__(self) -> str:
        return f"{_VERSION}-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def _random_hex(size: int) -> str:
    while True:
        text = secrets.token_hex(size)
        if int(text, 16):
            return text
