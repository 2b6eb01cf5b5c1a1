"""S3: what must be readable is, what must not be is not, and the clocks agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import botocore.exceptions as boto

from worker.doctor.findings import Finding, fail, ok, warn
from worker.imaging.s3_client import S3_EXCEPTIONS, Answer, as_intake_error, classify, make_client
from worker.settings import Settings
from worker.settings.imaging import AllowedLocation, StorageSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# S3 refuses signatures that are 15 minutes off; Kafka's and Qdrant's times are compared by people long before that.
CLOCK_WARN_S, CLOCK_FAIL_S = 5.0, 600.0
PICTURE = "intake-doctor"


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Every allowed place, then what lies outside, then where pictures go (one empty object is written there)."""
    storage = settings.storage
    with closing(make_client(storage)) as client:
        for place in storage.allowed:
            yield from _readable(client, place)
            if place.prefix:
                yield from _outside(client, place)
        yield from _other_buckets(client)
        yield from _pictures(client, storage)


def _readable(client: S3Client, place: AllowedLocation) -> Iterator[Finding]:
    where = f"s3://{place.bucket}/{place.prefix}"
    try:
        answer = client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=1)
    except S3_EXCEPTIONS as error:
        if isinstance(error, boto.ClientError) and classify(error) is Answer.DENIED:
            yield warn(
                "s3",
                f"{where} may not be listed: a missing photo cannot be told from a missing grant",
                "grant s3:ListBucket on the prefix (deploy/iam/)",
            )
            return
        raise as_intake_error(error, f"listing {where}") from error
    yield from clock_findings(answer["ResponseMetadata"]["HTTPHeaders"].get("date"), datetime.now(UTC))
    found: list[Any] = answer.get("Contents", [])
    if not found:
        yield ok("s3", f"{where} can be listed; it is empty")
        return
    try:
        client.head_object(Bucket=place.bucket, Key=found[0]["Key"])
    except S3_EXCEPTIONS as error:
        raise as_intake_error(error, f"reading an object of {where}") from error
    yield ok("s3", f"{where} can be listed and read")


def clock_findings(date: str | None, now: datetime) -> Iterator[Finding]:
    """This machine's clock against the server's `Date` header (whole seconds)."""
    if date is None:
        return
    try:
        skew = abs((now - parsedate_to_datetime(date)).total_seconds())
    except (TypeError, ValueError):
        return
    message = f"this clock and the S3 server's are {skew:.0f} s apart"
    if skew >= CLOCK_FAIL_S:
        yield fail("clock", message, "S3 refuses requests signed 15 minutes off: synchronise this machine's clock")
    elif skew >= CLOCK_WARN_S:
        yield warn("clock", message, "synchronise this machine's clock: ages of events and expiries are off by as much")
    else:
        yield ok("clock", message)


def _outside(client: S3Client, place: AllowedLocation) -> Iterator[Finding]:
    """A key that is not there, outside the prefix: "denied" is what least privilege answers, "not found" means it may be read."""
    key = f"{PICTURE}-{uuid4().hex}"
    try:
        client.head_object(Bucket=place.bucket, Key=key)
    except boto.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 403:
            yield ok("s3", f"outside {place.prefix} of {place.bucket} nothing can be read")
            return
        if status != 404:
            raise as_intake_error(error, f"asking for a key outside s3://{place.bucket}/{place.prefix}") from error
    except S3_EXCEPTIONS as error:
        raise as_intake_error(error, f"asking for a key outside s3://{place.bucket}/{place.prefix}") from error
    yield warn(
        "s3",
        f"these credentials may also read outside {place.prefix} of {place.bucket}",
        "the worker never does, but least privilege is better: deploy/iam/ has a policy",
    )


def _other_buckets(client: S3Client) -> Iterator[Finding]:
    try:
        count = len(client.list_buckets().get("Buckets", []))
    except S3_EXCEPTIONS:
        return
    yield warn(
        "s3", f"these credentials may list all buckets ({count})", "the worker needs no such right: deploy/iam/ has a policy"
    )


def _pictures(client: S3Client, storage: StorageSettings) -> Iterator[Finding]:
    if storage.pictures_bucket is None:
        return
    key = f"{storage.pictures_prefix}{PICTURE}"
    where = f"s3://{storage.pictures_bucket}/{storage.pictures_prefix}"
    try:
        client.put_object(Bucket=storage.pictures_bucket, Key=key, Body=b"")
    except S3_EXCEPTIONS as error:
        raise as_intake_error(error, f"writing a picture to {where}") from error
    yield ok("s3", f"pictures can be written to {where} (one empty object, {PICTURE}, was)")
