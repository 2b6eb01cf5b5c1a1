"""Photos out of local files, for `catalogue load`, the lab and the demo. Events can never name them: see `places`."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from worker.errors import IntakeError, PhotoRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.places import MAX_KEY_BYTES, describe
from worker.imaging.types import Photo
from worker.settings.imaging import LOCAL_BUCKET


def local_location(path: Path, view: str = "front") -> PhotoLocation:
    """The location of a file: the bucket no S3 has, and the absolute path as its key.

    Raises:
        PhotoRefused: PHOTO_MISSING: the path is longer than a location can hold, or no valid Unicode.
    """
    text = str(path.resolve())
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise PhotoRefused(Reason.PHOTO_MISSING, f"{text!r}: the file's name is not valid UTF-8; rename it") from error
    if size > MAX_KEY_BYTES:
        raise PhotoRefused(Reason.PHOTO_MISSING, f"{text[:80]}...: the path is longer than {MAX_KEY_BYTES} bytes")
    # Constructed without validation: what an event's key may not be (absolute), a path must be.
    return PhotoLocation.model_construct(bucket=LOCAL_BUCKET, key=text, version_id=None, etag=None, view=view)


class LocalPhotos:
    """`PhotoSource` over files, with the same limits and errors as S3. Only locations of `local_location` are read."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def fetch_photos(self, locations: Sequence[PhotoLocation]) -> list[Photo | IntakeError]:
        """See `PhotoSource`."""
        answers: list[Photo | IntakeError] = []
        for location in locations:
            try:
                answers.append(self.fetch(location))
            except IntakeError as error:
                answers.append(error)
        return answers

    def fetch(self, location: PhotoLocation) -> Photo:
        """One photo; raises `PhotoRefused`."""
        if location.bucket != LOCAL_BUCKET:
            raise PhotoRefused(Reason.LOCATION_FORBIDDEN, f"{describe(location)} is no local file")
        try:
            # Not blocking: a named pipe would wait for its writer.
            handle = os.open(location.key, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PhotoRefused(Reason.PHOTO_MISSING, f"{describe(location)} cannot be read: {error.strerror}") from error
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise PhotoRefused(Reason.PHOTO_MISSING, f"{describe(location)} is no regular file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                # One more byte than allowed shows that a file is too large, however it grows meanwhile.
                data = file.read(self._max_bytes + 1)
        except OSError as error:
            raise PhotoRefused(Reason.PHOTO_MISSING, f"{describe(location)} cannot be read: {error.strerror}") from error
        finally:
            os.close(handle)
        if len(data) > self._max_bytes:
            raise PhotoRefused(
                Reason.PHOTO_TOO_LARGE, f"{describe(location)} has more than {self._max_bytes} bytes (INTAKE_IMAGING__MAX_BYTES)"
            )
        if not data:
            raise PhotoRefused(Reason.PHOTO_EMPTY, f"{describe(location)} is empty")
        return Photo(location=location, data=data, etag=f"{status.st_size:x}-{status.st_mtime_ns:x}")

    def close(self) -> None:
        """Nothing to give back."""
