"""Garment intake worker: is an arriving garment already in the catalogue?"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("intake-worker")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0.0.0"
