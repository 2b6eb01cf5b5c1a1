"""Photos of a data set that lies as a zip file or unpacked, by file name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from worker.errors import ConfigurationError
from worker.vision.types import ByteArray

ZIP = "images.zip"
SUFFIX = ".jpg"


class PhotoSet:
    """The photos in ``FOLDER/images.zip``, or in FOLDER (or ``FOLDER/images``) itself."""

    def __init__(self, folder: Path) -> None:
        """Lists the names.

        Raises:
            ConfigurationError: there are no photos.
        """
        self.folder = folder
        self._zip: zipfile.ZipFile | None = None
        self._paths: dict[str, Path] = {}
        try:
            if (folder / ZIP).is_file():
                self._zip = zipfile.ZipFile(folder / ZIP)
                self.names = sorted(name for name in self._zip.namelist() if name.endswith(SUFFIX))
            else:
                base = folder / "images" if (folder / "images").is_dir() else folder
                self._paths = {path.name: path for path in base.glob(f"*{SUFFIX}")}
                self.names = sorted(self._paths)
        except (OSError, zipfile.BadZipFile) as error:
            raise ConfigurationError(f"cannot read the photos in {folder}: {error}") from error
        if not self.names:
            raise ConfigurationError(f"{folder} holds neither {ZIP} nor photos (*{SUFFIX})")

    def read(self, name: str) -> bytes:
        """The bytes of a photo."""
        try:
            return self._zip.read(name) if self._zip is not None else self._paths[name].read_bytes()
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ConfigurationError(f"cannot read {name} in {self.folder}: {error}") from error

    def pixels(self, name: str) -> ByteArray:
        """(h, w, 3) uint8 sRGB of a photo."""
        bgr = cv2.imdecode(np.frombuffer(self.read(name), np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ConfigurationError(f"{name} in {self.folder} is no photo that can be decoded")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Close the zip file."""
        if self._zip is not None:
            self._zip.close()
