"""Pictures into S3: photos that `intake submit` and the simulator upload, crops and overlays the worker stores for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.exceptions as boto

from worker.errors import ConfigurationError, StorageUnavailable
from worker.imaging.places import key_fault, plain_etag
from worker.imaging.s3_client import S3_EXCEPTIONS, as_intake_error, make_client
from worker.settings.imaging import StorageSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PhotoStore:
    """Writes to S3. Thread-safe. Where it may write is the caller's business (and the bucket policy's): no event reaches it.

    Raises:
        StorageUnavailable: S3 did not answer or failed on its side.
        AccessDenied, ConfigurationError: credentials, grants, bucket, region or endpoint are wrong.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._client: S3Client = make_client(settings)

    def put(self, bucket: str, key: str, data: bytes, content_type: str) -> str:
        """Store `data`; returns its ETag without quotes. The same key again replaces the object."""
        fault = key_fault(key)
        if fault is not None:
            raise ConfigurationError(f"nothing is stored under s3://{bucket}/{key!r}: the key {fault}")
        what = f"storing s3://{bucket}/{key}"
        try:
            answer = self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)
        except S3_EXCEPTIONS as error:
            raise as_intake_error(error, what) from error
        if "ETag" not in answer:
            raise StorageUnavailable(f"{what}: what answered is no S3 server; look at INTAKE_STORAGE__ENDPOINT_URL")
        return plain_etag(answer["ETag"])

    def ensure_bucket(self, bucket: str) -> None:
        """Create `bucket` unless it is there and ours."""
        what = f"creating bucket {bucket}"
        try:
            if self._settings.region == "us-east-1":
                self._client.create_bucket(Bucket=bucket)
            else:
                # Every region but us-east-1 must be named again, in the body; mypy's list of regions is AWS's, other servers have others.
                self._client.create_bucket(
                    Bucket=bucket,
                    CreateBucketConfiguration={"LocationConstraint": self._settings.region},  # type: ignore[typeddict-item]
                )
        except boto.ClientError as error:
            if error.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou" and not self._is_there(bucket):
                raise as_intake_error(error, what) from error
        except S3_EXCEPTIONS as error:
            raise as_intake_error(error, what) from error

    def close(self) -> None:
        """Give back connections."""
        self._client.close()

    def _is_there(self, bucket: str) -> bool:
        try:
            self._client.head_bucket(Bucket=bucket)
        except S3_EXCEPTIONS:
            return False
        return True
