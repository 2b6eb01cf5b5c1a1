"""Every error of the worker is exactly one of three things: retry, dead-letter or stop.

The tree::

    IntakeError
    ├── RetryError            the world is at fault: the same event may succeed later; its partition waits
    │   ├── StorageUnavailable      S3 did not answer, throttled, or failed on its side
    │   ├── CatalogueUnavailable    the vector index did not answer, or failed on its side
    │   ├── InferenceUnavailable    a model session failed for a reason that may pass (GPU memory, device reset)
    │   └── TwinInFlight            an undecided peer stands in the way; the race protocol waits for it
    ├── DeadLetterError       the event or its photo is at fault: no retry can help; one dead letter
    │   ├── EventRefused            the event cannot be read, or names what it may not
    │   ├── PhotoRefused            the photo cannot be fetched or decoded, or is outside the limits
    │   └── RetriesExhausted        a RetryError outlived its policy (only where the policy sets an end)
    └── StopError             the worker or its set-up is at fault: the process ends, the supervisor restarts it
        ├── ConfigurationError      a setting is missing, wrong or contradicts another
        ├── ModelError              a model row is unknown, does not verify, or does not run where it was asked to
        ├── AccessDenied            credentials or grants are refused by Kafka, S3 or Qdrant
        ├── TransactionUnsafe       the fate of a transaction is unknown or lost; only a restart is safe
        └── DeadlineExceeded        a call that must end did not

A message says what happened, to what, and what the operator does next. Whoever catches a library's exception turns it into
one of these at the seam (``raise ... from error``); an exception that is none of these is a bug and stops the process.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an event became a dead letter. The value is published in `dead-letter` events and used as a metric label."""

    # the event
    EVENT_NOT_JSON = "event-not-json"
    EVENT_SCHEMA = "event-schema"
    EVENT_VERSION = "event-version"
    EVENT_TOO_LARGE = "event-too-large"
    EVENT_CONFLICT = "event-conflict"  # the same id was seen before with another body
    LOCATION_FORBIDDEN = "location-forbidden"  # bucket or key outside the allow-list, or not a plain key
    KEY_PATTERN = "key-pattern"  # an S3 notification whose key does not fit the configured pattern
    # the photo
    PHOTO_MISSING = "photo-missing"
    PHOTO_CHANGED = "photo-changed"  # eTag or version does not match the event's
    PHOTO_EMPTY = "photo-empty"
    PHOTO_TOO_LARGE = "photo-too-large"
    PHOTO_TOO_MANY_PIXELS = "photo-too-many-pixels"
    PHOTO_TOO_SMALL = "photo-too-small"
    PHOTO_FORMAT = "photo-format"
    PHOTO_CORRUPT = "photo-corrupt"
    PHOTO_DECODER_CRASHED = "photo-decoder-crashed"  # crash, time or memory limit of the decoder process
    PHOTO_NO_GARMENT = "photo-no-garment"
    # anything
    RETRIES_EXHAUSTED = "retries-exhausted"


class IntakeError(Exception):
    """Base of every error the worker raises on purpose."""


class RetryError(IntakeError):
    """The same event may succeed later. The event's partition is paused and backs off; nothing is decided."""


class StorageUnavailable(RetryError):
    """S3 did not answer in time, throttled, or failed on its side."""


class CatalogueUnavailable(RetryError):
    """The vector index did not answer in time, or failed on its side."""


class InferenceUnavailable(RetryError):
    """A model session failed for a reason that may pass, such as exhausted GPU memory."""


class TwinInFlight(RetryError):
    """A pending peer stands in the way and the race protocol's bound is not reached yet."""


class DeadLetterError(IntakeError):
    """No retry can help: the event becomes one dead letter with this error's `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        """`message` says what is wrong and what the operator can do; it must hold no secret and no photo content."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[DeadLetterError], tuple[Reason, str]]:
        """Pickle with both arguments, so that the error survives the way back from a decoder process."""
        return type(self), (self.reason, str(self))


class EventRefused(DeadLetterError):
    """The event cannot be read, or names a bucket, key or version it may not."""


class PhotoRefused(DeadLetterError):
    """The photo cannot be fetched or decoded, or is outside the limits."""


class RetriesExhausted(DeadLetterError):
    """A RetryError outlived its policy's end."""


class StopError(IntakeError):
    """The process must end; its supervisor restarts it. `exit_code` is what the process ends with."""

    exit_code = 1


class ConfigurationError(StopError):
    """A setting is missing, wrong, or contradicts another."""

    exit_code = 78  # EX_CONFIG of sysexits.h


class ModelError(StopError):
    """A model row is unknown, its file does not verify, or it does not run where it was asked to."""

    exit_code = 78


class AccessDenied(StopError):
    """Kafka, S3 or Qdrant refuses the worker's credentials or lacks its grants."""

    exit_code = 77  # EX_NOPERM of sysexits.h


class TransactionUnsafe(StopError):
    """The fate of a transaction is unknown, or another producer took over. Only a restart is safe: events are read again."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class DeadlineExceeded(StopError):
    """A call that must end did not end in time."""

    exit_code = 75
