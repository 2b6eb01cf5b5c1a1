"""The generated schemas at run time: inside the wheel as package data (`worker/schemas`), in a source tree beside the package."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import worker
from worker.errors import ConfigurationError


def schema_folder() -> Traversable:
    """The folder with every schema, `asyncapi.yaml` and `examples/`.

    Raises:
        ConfigurationError: the installation lacks it.
    """
    packaged = files(worker) / "schemas"
    if packaged.is_dir():
        return packaged
    beside = Path(worker.__file__).resolve().parent.parent / "schemas"
    if beside.is_dir():
        return beside
    raise ConfigurationError(
        "this installation holds no event schemas: install the wheel again, or run `make schemas` in the source tree"
    )


def schema_text(name: str) -> str:
    """The text of one file, as in ``match-alert.v1.json``.

    Raises:
        ConfigurationError: there is no such file; the message lists what there is.
    """
    folder = schema_folder()
    known = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    if name not in known:
        raise ConfigurationError(f"there is no schema {name!r}; there are {', '.join(known)}")
    return (folder / name).read_text(encoding="utf-8")
