"""The shared photos, where they are: read from their archives, never copied into the project."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from tests.infra.needs import require

ROOT = Path(__file__).resolve().parents[2]


def datasets() -> Path:
    """The folder of shared photos: INTAKE_DATASETS, or ``../shared/datasets`` beside the checkout. Skips the test without it."""
    folder = Path(os.environ.get("INTAKE_DATASETS", ROOT.parent / "shared" / "datasets"))
    require(folder.is_dir(), f"no shared photos: set INTAKE_DATASETS (looked in {folder.name})")
    return folder


class PhotoArchive:
    """One data set's ``images.zip``."""

    def __init__(self, name: str) -> None:
        archive = datasets() / name / "images.zip"
        require(archive.is_file(), f"no shared photos of {name}")
        self._zip = zipfile.ZipFile(archive)
        self._members = {Path(member).name: member for member in sorted(self._zip.namelist()) if not member.endswith("/")}

    @property
    def names(self) -> list[str]:
        """File names, sorted."""
        return sorted(self._members)

    def read(self, name: str) -> bytes:
        """One photo's bytes."""
        return self._zip.read(self._members[name])
