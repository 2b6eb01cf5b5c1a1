"""Photos out of S3: checked against the allow-list, pinned, bounded in size and time, many at once.

What a 403 means. S3 answers 403 for a key the worker may not read, and, to those without s3:ListBucket, for a key that does not
exist: the same code for "your grant is gone" (stop: every photo would become a dead letter) and "this photo is missing" (one dead
letter: stopping would read the same event again for ever). The shipped policy (deploy/iam/) grants s3:ListBucket on the prefixes, so
that a missing key is a 404. Where a 403 comes all the same, the worker looks for a witness: the object it last read in this place,
or one the place lists. A witness that still can be read shows that the grant stands: the photo alone is refused. Without one the
worker stops with `AccessDenied`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import botocore.exceptions as boto

from worker.errors import AccessDenied, IntakeError, PhotoRefused, Reason, StorageUnavailable
from worker.events import PhotoLocation
from worker.imaging.places import allowed_place, describe, plain_etag
from worker.imaging.s3_client import S3_EXCEPTIONS, Answer, as_intake_error, classify, make_client
from worker.imaging.types import Photo
from worker.settings.imaging import AllowedLocation, StorageSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 1 << 18
# How many listed objects are tried as witnesses: a place full of unreadable objects is a broken grant.
MAX_WITNESSES = 5
# After its time is up a fetch is given this long to notice that its connection was shut.
ABORT_GRACE_S = 0.5


class PhotoSource(Protocol):
    """Reads photos. Another client (obstore) or another place (`LocalPhotos`) takes over by having these."""

    def fetch_photos(self, locations: Sequence[PhotoLocation]) -> list[Photo | IntakeError]:
        """One answer for each location, in order: the photo, or why there is none. Never raises for one location."""

    def close(self) -> None:
        """Give back threads and connections."""


@dataclass(slots=True)
class _Fetch:
    """One fetch in flight. `body` is what can be shut from outside while a thread waits in it."""

    location: PhotoLocation
    started: float | None = None
    body: Any = None
    aborted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, body: Any) -> None:
        with self.lock:
            self.body = body
            if self.aborted:
                raise OSError("given up before its body came")

    def abort(self) -> None:
        with self.lock:
            self.aborted = True
            if self.body is not None:
                # It may have ended by itself meanwhile: then there is nothing to shut.
                with suppress(ValueError, RuntimeError, OSError):
                    self.body.shutdown()


class S3Photos:
    """`PhotoSource` over boto3.

    Errors returned (or raised by `fetch`):
        EventRefused LOCATION_FORBIDDEN: outside the allow-list, or not a plain key; no request was made.
        PhotoRefused PHOTO_MISSING, PHOTO_CHANGED, PHOTO_EMPTY, PHOTO_TOO_LARGE.
        StorageUnavailable: no answer, throttled, a failure of S3, a broken or rubbish answer, or `photo_timeout_s` passed.
        AccessDenied, ConfigurationError: credentials, grants, bucket, region or endpoint are wrong: stop.
    """

    def __init__(self, settings: StorageSettings, max_bytes: int) -> None:
        """`max_bytes`: `ImagingSettings.max_bytes`, compared with ContentLength before the body is read, and while it is."""
        self._settings = settings
        self._max_bytes = max_bytes
        self._client: S3Client = make_client(settings)
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="fetch")
        # Last object read in each place, with and without a version (these are two rights): the witnesses.
        self._read: dict[tuple[AllowedLocation, bool], PhotoLocation] = {}

    def fetch_photos(self, locations: Sequence[PhotoLocation]) -> list[Photo | IntakeError]:
        """See `PhotoSource`. An exception that is no IntakeError is a bug and raised."""
        fetches = [_Fetch(location) for location in locations]
        futures = {self._pool.submit(self._fetch_safely, fetch): fetch for fetch in fetches}
        order = list(futures)
        timed_out = self._wait(futures)
        return [timed_out.get(future) or future.result() for future in order]

    def fetch(self, location: PhotoLocation) -> Photo:
        """One photo; raises what `fetch_photos` returns."""
        [answer] = self.fetch_photos([location])
        if isinstance(answer, IntakeError):
            raise answer
        return answer

    def check(self) -> list[str]:
        """Ask each allowed place for one listing, for `doctor` and readiness.

        Returns:
            Warnings for people: places that may not be listed (a missing photo then looks like a missing grant).

        Raises:
            StorageUnavailable, AccessDenied, ConfigurationError: as for a fetch.
        """
        warnings = []
        for place in self._settings.allowed:
            what = f"listing s3://{place.bucket}/{place.prefix}"
            try:
                self._client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=1)
            except S3_EXCEPTIONS as error:
                if isinstance(error, boto.ClientError) and classify(error) is Answer.DENIED:
                    warnings.append(
                        f"{what} is denied: a missing photo cannot be told from a missing grant, and stops the worker when no other"
                        " photo there was read before; grant s3:ListBucket on the prefix (deploy/iam/)"
                    )
                    continue
                raise as_intake_error(error, what) from error
        return warnings

    def close(self) -> None:
        """Give back threads and connections; fetches in flight are given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _wait(self, futures: dict[Future[Photo | IntakeError], _Fetch]) -> dict[Future[Photo | IntakeError], IntakeError]:
        """Wait for every future, shutting those whose time is up; the ones that do not even notice that are answered for."""
        limit = self._settings.photo_timeout_s
        timed_out: dict[Future[Photo | IntakeError], IntakeError] = {}
        pending = set(futures)
        while pending:
            now = time.monotonic()
            # A fetch that has no thread yet has all its time before it.
            ends = {future: (futures[future].started or now) + limit for future in pending}
            for future, end in ends.items():
                if now >= end:
                    futures[future].abort()
                if now >= end + ABORT_GRACE_S:
                    place = describe(futures[future].location)
                    timed_out[future] = StorageUnavailable(f"reading {place} took longer than {limit:.0f} s; it is tried again")
            pending -= timed_out.keys()
            if pending:
                soonest = min(end + (ABORT_GRACE_S if now >= end else 0) for future, end in ends.items() if future in pending)
                _, pending = wait(pending, timeout=max(0.01, soonest - now), return_when=FIRST_COMPLETED)
        return timed_out

    def _fetch_safely(self, fetch: _Fetch) -> Photo | IntakeError:
        fetch.started = time.monotonic()
        try:
            return self._fetch(fetch)
        except IntakeError as error:
            return error

    def _fetch(self, fetch: _Fetch) -> Photo:
        location = fetch.location
        place = allowed_place(location, self._settings.allowed)
        what = f"reading {describe(location)}"
        try:
            photo = self._read_object(fetch)
        except boto.ClientError as error:
            raise self._explain(location, place, error, what) from error
        except S3_EXCEPTIONS as error:
            raise as_intake_error(error, what) from error
        self._read[place, location.version_id is not None] = location
        return photo

    def _read_object(self, fetch: _Fetch) -> Photo:
        location = fetch.location
        wanted = plain_etag(location.etag) if location.etag is not None else None
        request: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key, "ChecksumMode": "ENABLED"}
        if location.version_id is not None:
            request["VersionId"] = location.version_id
        if wanted is not None:
            request["IfMatch"] = f'"{wanted}"'
        answer = self._client.get_object(**request)
        body = answer["Body"]
        with body as raw:
            fetch.hold(raw)
            if "ETag" not in answer or "ContentLength" not in answer:
                raise StorageUnavailable(
                    f"{describe(location)}: what answered is no S3 server; look at INTAKE_STORAGE__ENDPOINT_URL"
                )
            self._check_answer(location, answer["ETag"], answer.get("VersionId"), answer["ContentLength"])
            data = b"".join(self._bounded(location, body))
        return Photo(location=location, data=data, etag=plain_etag(answer["ETag"]))

    def _check_answer(self, location: PhotoLocation, etag: str, version: str | None, length: int) -> None:
        """Before a byte of the body is read. A server that knows no If-Match or versions is found out here."""
        if location.etag is not None and plain_etag(location.etag) != plain_etag(etag):
            raise _changed(location)
        if location.version_id is not None and version is not None and version != location.version_id:
            raise _changed(location)
        if length > self._max_bytes:
            raise self._too_large(location, f"{length} bytes")
        if length == 0:
            raise PhotoRefused(Reason.PHOTO_EMPTY, f"{describe(location)} is empty: its upload failed; photograph the item again")

    def _bounded(self, location: PhotoLocation, body: Any) -> list[bytes]:
        """The body in pieces; ContentLength may lie."""
        pieces: list[bytes] = []
        size = 0
        while piece := body.read(CHUNK_BYTES):
            size += len(piece)
            if size > self._max_bytes:
                raise self._too_large(location, "more bytes than it said")
            pieces.append(piece)
        return pieces

    def _too_large(self, location: PhotoLocation, how: str) -> PhotoRefused:
        return PhotoRefused(
            Reason.PHOTO_TOO_LARGE,
            f"{describe(location)} has {how}; the limit is {self._max_bytes} (INTAKE_IMAGING__MAX_BYTES)",
        )

    def _explain(self, location: PhotoLocation, place: AllowedLocation, error: boto.ClientError, what: str) -> IntakeError:
        answer = classify(error)
        if answer is Answer.MISSING:
            return PhotoRefused(Reason.PHOTO_MISSING, f"{describe(location)} does not exist ({_code(error)})")
        if answer is Answer.CHANGED:
            return _changed(location)
        if answer is Answer.THIS_KEY:
            return PhotoRefused(Reason.PHOTO_MISSING, f"{describe(location)} cannot be read: {error}")
        if answer is Answer.DENIED and self._grant_stands(place, location):
            return PhotoRefused(
                Reason.PHOTO_MISSING,
                f"{describe(location)} is missing or closed to the worker ({_code(error)}), while other photos there can be read",
            )
        if answer is Answer.DENIED:
            return AccessDenied(
                f"{what}: S3 denies it, and no other photo under s3://{place.bucket}/{place.prefix} can be read. Grant s3:GetObject and"
                f" s3:ListBucket there (deploy/iam/); without s3:ListBucket a missing photo looks like this too: {error}"
            )
        return as_intake_error(error, what)

    def _grant_stands(self, place: AllowedLocation, location: PhotoLocation) -> bool:
        """True if some other object of `place` can be read right now, with the same right as `location` needs."""
        versioned = location.version_id is not None
        last = self._read.get((place, versioned))
        witnesses = [] if last is None or _same_object(last, location) else [(last.key, last.version_id)]
        try:
            listing = self._client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=MAX_WITNESSES + 1)
            if not versioned:  # a listing shows no versions
                witnesses += [(entry["Key"], None) for entry in listing.get("Contents", []) if entry["Key"] != location.key]
        except S3_EXCEPTIONS:
            pass  # not being allowed to list is why the question is asked
        return any(self._readable(place.bucket, key, version) for key, version in witnesses)

    def _readable(self, bucket: str, key: str, version: str | None) -> bool:
        try:
            if version is None:
                self._client.head_object(Bucket=bucket, Key=key)
            else:
                self._client.head_object(Bucket=bucket, Key=key, VersionId=version)
        except S3_EXCEPTIONS:
            return False
        return True


def _same_object(a: PhotoLocation, b: PhotoLocation) -> bool:
    return (a.bucket, a.key, a.version_id) == (b.bucket, b.key, b.version_id)


def _changed(location: PhotoLocation) -> PhotoRefused:
    return PhotoRefused(
        Reason.PHOTO_CHANGED, f"{describe(location)} is no longer the object the event names (version or ETag differ)"
    )


def _code(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code") or "no code")
