"""How large records may get, derived from the settings."""

from __future__ import annotations

from worker.settings.stream import StreamSettings

# The broker's own default limit of one record batch (message.max.bytes): input topics made by others take records up to this.
_BROKER_DEFAULT_BYTES = 1_048_588
# Everything of a dead letter but the original: message (4,096 characters), reason, source, trace, field names.
_ENVELOPE_BYTES = 32_768
# Base64 makes 4 bytes of 3; a record's headers and key are in the same limit as its value, so nothing else grows with it.
_BASE64_GROWTH = 4 / 3


def max_dead_letter_bytes(settings: StreamSettings) -> int:
    """Largest dead letter: it holds, in base64, any record that fits the broker's default or the worker's own limit."""
    original = max(_BROKER_DEFAULT_BYTES, settings.max_event_bytes)
    return int(original * _BASE64_GROWTH) + _ENVELOPE_BYTES


def max_input_bytes(settings: StreamSettings) -> int:
    """Largest input record the worker's own topics take: an event of `max_event_bytes` with its key and headers."""
    return settings.max_event_bytes + _ENVELOPE_BYTES
