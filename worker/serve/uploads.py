"""The photos of a request: limits first, then the body, in memory only."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from worker.errors import Reason
from worker.serve.problems import Refusal

FIELD = "photo"
MULTIPART = "multipart/form-data"
# What a photo alone may be sent as. Which format it is, its content says.
RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif", "image/avif", "application/octet-stream")
# A multipart body's own text: boundaries and headers of a handful of parts.
ENVELOPE_BYTES = 65_536
# Beyond the photos taken, so that one too many is told as that.
MOST_PARTS = 100


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How much is taken: of a photo (`ImagingSettings.max_bytes`), of a request, and how many photos."""

    photo_bytes: int
    body_bytes: int
    photos: int


class InMemoryParser(MultiPartParser):
    """Starlette's parser without its files: photos reach no disk. What it holds is bounded by the body's limit."""

    spool_max_size = 1 << 62


async def read_photos(request: Request, limits: UploadLimits) -> tuple[bytes, ...]:
    """The photos of a request, in order.

    Raises:
        Refusal: of another media type, too large (where the length is announced: before any of the body is read), not what
            multipart is, with other fields, or without a photo.
    """
    kind = parse_options_header(request.headers.get("content-type"))[0].decode("latin-1").lower()
    if kind == MULTIPART:
        return await _form_photos(request, limits)
    if kind not in RAW_TYPES:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            f"Send photos as {MULTIPART} in fields called {FIELD!r}, or one photo as the body with its type ({', '.join(RAW_TYPES)}).",
        )
    most = min(limits.photo_bytes, limits.body_bytes)
    _check_announced(request, most, "photo")
    data = bytearray()
    async for chunk in _bounded(request, most, "photo"):
        data += chunk
    return (_photo(bytes(data), limits),)


async def _form_photos(request: Request, limits: UploadLimits) -> tuple[bytes, ...]:
    most = min(limits.body_bytes, limits.photos * limits.photo_bytes + ENVELOPE_BYTES)
    _check_announced(request, most, "request")
    parser = InMemoryParser(request.headers, _bounded(request, most, "request"), max_files=MOST_PARTS, max_fields=MOST_PARTS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "multipart", f"The multipart body cannot be read: {error.message}") from error
    photos: list[bytes] = []
    for name, part in form.multi_items():
        if name != FIELD or not isinstance(part, UploadFile):
            raise Refusal(HTTPStatus.BAD_REQUEST, "multipart", f"Only files in fields called {FIELD!r} are taken.")
        if len(photos) == limits.photos:
            raise Refusal(
                HTTPStatus.BAD_REQUEST, "photos-too-many", f"At most {limits.photos} photos of one garment are taken at a time."
            )
        # Its bytes are in memory: reading them here blocks nobody.
        photos.append(_photo(part.file.read(), limits))
    if not photos:
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "photos-missing", f"There is no photo: send it as a file in a field called {FIELD!r}."
        )
    return tuple(photos)


def _photo(data: bytes, limits: UploadLimits) -> bytes:
    if len(data) > limits.photo_bytes:
        raise _too_large("photo", limits.photo_bytes)
    return data


def _check_announced(request: Request, most: int, what: str) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(what, most)


async def _bounded(request: Request, most: int, what: str) -> AsyncGenerator[bytes, None]:
    """The body as it comes, no more than `most` bytes of it: lengths need not be announced, or true."""
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > most:
            raise _too_large(what, most)
        yield chunk


def _too_large(what: str, most: int) -> Refusal:
    reason = str(Reason.PHOTO_TOO_LARGE) if what == "photo" else "body-too-large"
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason, f"The {what} has more than {most} bytes.")
