"""Records whose header names are no UTF-8 are read like others.

Brokers do not look at header names. kafka-python 3.0.12 decodes them strictly and fails with CorruptRecordError for the whole batch, each
time it is fetched: one such record, from any producer, and its partition stands still for ever.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class _LenientText(bytearray):
    """Bytes whose text is read with an escape in place of each byte that is no UTF-8."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """A slice is lenient too."""
        part = super().__getitem__(index)
        return _LenientText(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The text; `errors` is what this class is for."""
        return super().decode(encoding, "backslashreplace" if errors == "strict" else errors)


class LenientRecordBatch(DefaultRecordBatch):  # type: ignore[misc]  # kafka-python has no types
    """A batch that reads a record again, leniently, whose header names are no UTF-8."""

    def _read_msg(self) -> Any:
        """The next record; its keys and values are bytes and stay as they are."""
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            self._buffer: bytearray = _LenientText(self._buffer)
            return super()._read_msg()


def read_any_header() -> None:
    """From now on, consumers of this process read such records. There is no setting for it; calling it again changes nothing."""
    memory_records.DefaultRecordBatch = LenientRecordBatch
