"""Settings of S3 and of decoding photos."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from worker.settings.base import Group

# Stands in for a bucket where a photo lies in a local file (catalogue load, lab). S3 forbids names that begin like this.
LOCAL_BUCKET = "xn--local-file"

# Pillow refuses to open anything larger, whatever this program allows.
PILLOW_MAX_PIXELS = 178_956_970


class AllowedLocation(Group):
    """A bucket, and a prefix in it, that events may name. A prefix is compared letter by letter: end it with a slash."""

    bucket: str
    prefix: str = ""

    @field_validator("bucket")
    @classmethod
    def _a_bucket_of_s3(cls, value: str) -> str:
        if value == LOCAL_BUCKET or not value:
            raise ValueError("events may never name local files; give the name of an S3 bucket")
        return value

    @field_validator("prefix")
    @classmethod
    def _a_plain_prefix(cls, value: str) -> str:
        if value.startswith("/") or "\\" in value or any(part in {".", ".."} for part in value.split("/")):
            raise ValueError("a prefix does not start with a slash and holds no backslash, '.' or '..' segment")
        return value


class StorageSettings(Group):
    """S3. Without access_key_id boto3's own chain (environment, IRSA, instance role) is used."""

    endpoint_url: str | None = Field(default=None, description="Of an S3-compatible server; unset: AWS.")
    region: str = "us-east-1"
    path_style: bool = Field(default=False, description="Address buckets in the path; most S3-compatible servers want it.")
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    ca_bundle: str | None = None
    allowed: tuple[AllowedLocation, ...] = Field(
        default=(AllowedLocation(bucket="intake-photos"),), description="Where photos may be read; nothing else ever is."
    )
    pictures_bucket: str | None = Field(default=None, description="Where crops and mask overlays are stored; unset: not stored.")
    pictures_prefix: str = "intake-pictures/"
    threads: int = Field(default=16, ge=1, le=256, description="Concurrent fetches; also the size of the connection pool.")
    connect_timeout_s: float = Field(default=3.0, gt=0)
    read_timeout_s: float = Field(default=10.0, gt=0)
    max_attempts: int = Field(default=3, ge=1, description="Tries of one request inside boto3 (standard mode, with jitter).")
    photo_timeout_s: float = Field(
        default=45.0, gt=0, description="Longest one photo may take with all its tries; also ends a body that only trickles."
    )
    client: Literal["boto3"] = "boto3"

    @field_validator("allowed")
    @classmethod
    def _something_is_allowed(cls, value: tuple[AllowedLocation, ...]) -> tuple[AllowedLocation, ...]:
        if not value:
            raise ValueError("name at least one allowed bucket")
        return value


class ImagingSettings(Group):
    """Limits of photos and the size they are decoded to."""

    max_bytes: int = Field(default=30_000_000, ge=1024, description="Checked before the body is read.")
    max_pixels: int = Field(
        default=60_000_000, ge=10_000, le=PILLOW_MAX_PIXELS, description="Width x height, checked before decoding."
    )
    min_side: int = Field(default=32, ge=1, description="Smaller photos are refused.")
    max_aspect: float = Field(default=20.0, gt=1, description="Longer side over shorter side.")
    target_side: int = Field(
        default=640, ge=64, description="Photos are decoded to just above this (shorter side), never below it."
    )
    isolation: Literal["process", "none"] = Field(
        default="process", description="Decode in processes that can be killed, or in this one."
    )
    decoder_processes: int = Field(default=2, ge=1)
    decode_timeout_s: float = Field(default=10.0, gt=0)
    decoder_memory_mb: int = Field(default=1024, ge=256)
    blur_threshold: float = Field(
        default=20.0, ge=0, description="Variance of the Laplacian below which a photo is flagged as blurred."
    )
    dark_threshold: float = Field(
        default=60.0,
        ge=0,
        le=256,
        description="Luma the brightest percent of the middle must reach, or the photo is flagged as dark.",
    )
    overexposed_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the middle that must be blown out for a photo to be flagged as overexposed.",
    )
