"""Readers that turn data sets, as their authors lay them out, into manifest lines; each official split is a choice."""

from worker.lab.readers.table import READERS, ReaderRow, read_dataset

__all__ = ["READERS", "ReaderRow", "read_dataset"]
