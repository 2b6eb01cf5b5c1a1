"""One boto3 client for all threads, and what its exceptions mean to the worker."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions as boto
from botocore.client import Config
from urllib3.exceptions import HTTPError

from worker.errors import AccessDenied, ConfigurationError, IntakeError, StorageUnavailable
from worker.settings.imaging import StorageSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What a library raises while speaking to S3. ValueError and OSError too: an answer that is no S3 answer breaks parsers anywhere.
# RecursionError: on a redirect botocore asks the bucket for its region, and if that is redirected too, again, without end.
S3_EXCEPTIONS = (boto.BotoCoreError, boto.ClientError, HTTPError, OSError, ValueError, RecursionError)

# Codes that say who we are is refused: no key has anything to do with it.
CREDENTIAL_CODES = frozenset(
    {
        "AccountProblem",
        "AllAccessDisabled",
        "AuthFailure",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "NotSignedUp",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "XAmzContentSHA256Mismatch",
    }
)
# Codes that say the endpoint, region or addressing style is wrong.
SETUP_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "NoSuchBucket", "PermanentRedirect"}
)
# Codes that are about the object asked for, and about it alone.
MISSING_CODES = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})  # 405: the version asked for is a delete marker
KEY_CODES = frozenset({"InvalidArgument", "InvalidObjectState", "InvalidURI", "KeyTooLongError"})
SETUP_EXCEPTIONS = (
    boto.EndpointProviderError,
    boto.InvalidEndpointConfigurationError,
    boto.InvalidRegionError,
    boto.UnsupportedS3ConfigurationError,
)
# 4xx answers that pass: S3 gave up waiting, or asks for fewer requests.
PASSING_CODES = frozenset(
    {"OperationAborted", "RequestTimeout", "RequestThrottled", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"}
)
PASSING_STATUS = frozenset({408, 409, 425, 429})


class Answer(StrEnum):
    """What an error answer of S3 is about."""

    MISSING = "missing"
    CHANGED = "changed"
    THIS_KEY = "this key"  # archived, or a version id that cannot be one
    DENIED = "denied"  # this key or the whole grant: S3 does not say which
    CREDENTIALS = "credentials"
    SETUP = "set-up"
    PASSING = "passing"
    UNKNOWN = "unknown"


def make_client(settings: StorageSettings) -> S3Client:
    """The client: thread-safe, a connection for each thread, bounded waits, standard retries (exponential with full jitter).

    Raises:
        ConfigurationError: the endpoint, region or CA bundle cannot be used.
    """
    if settings.ca_bundle is not None and not Path(settings.ca_bundle).exists():
        raise ConfigurationError(f"INTAKE_STORAGE__CA_BUNDLE: there is no file {settings.ca_bundle}")
    try:
        # Of a session of its own: boto3's default session is not made for threads.
        return boto3.session.Session().client(
            "s3",
            endpoint_url=settings.endpoint_url,
            region_name=settings.region,
            aws_access_key_id=settings.access_key_id.get_secret_value() if settings.access_key_id else None,
            aws_secret_access_key=settings.secret_access_key.get_secret_value() if settings.secret_access_key else None,
            aws_session_token=settings.session_token.get_secret_value() if settings.session_token else None,
            verify=settings.ca_bundle,
            config=Config(
                max_pool_connections=settings.threads,
                connect_timeout=settings.connect_timeout_s,
                read_timeout=settings.read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
                s3={"addressing_style": "path" if settings.path_style else "auto"},
                tcp_keepalive=True,
            ),
        )
    except (boto.BotoCoreError, ValueError, OSError) as error:
        raise ConfigurationError(f"the S3 client cannot be made; look at INTAKE_STORAGE__*: {error}") from error


def classify(error: boto.ClientError) -> Answer:
    """What an error answer is about.

    Only an error code of S3 itself can blame an object. An answer without one (botocore then puts the status in its place) came
    from something in between, such as a proxy whose S3 is gone: it is UNKNOWN, and nothing is decided on it.
    """
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    code = str(error.response.get("Error", {}).get("Code") or "")
    if code in CREDENTIAL_CODES:
        answer = Answer.CREDENTIALS
    elif code in SETUP_CODES:
        answer = Answer.SETUP
    elif code in PASSING_CODES or status in PASSING_STATUS or status >= 500:
        answer = Answer.PASSING
    elif code in MISSING_CODES:
        answer = Answer.MISSING
    elif code == "PreconditionFailed":
        answer = Answer.CHANGED
    elif code in KEY_CODES:
        answer = Answer.THIS_KEY
    elif code == "InvalidRequest" or code.startswith("KMS.") or (status == 403 and code and not code.isdigit()):
        answer = Answer.DENIED  # InvalidRequest: encrypted with a customer's key, or signing that the server does not know
    else:
        answer = Answer.UNKNOWN
    return answer


def as_intake_error(error: Exception, what: str) -> IntakeError:
    """What an exception of `S3_EXCEPTIONS` means where it is not about one key. `what` names the request, as ``reading s3://b/k``."""
    if isinstance(error, boto.ClientError):
        return _of_answer(error, what)
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.UnauthorizedSSOTokenError)):
        return AccessDenied(
            f"{what}: no usable S3 credentials; set INTAKE_STORAGE__ACCESS_KEY_ID and its secret, or a role: {error}"
        )
    if isinstance(error, RecursionError):
        return ConfigurationError(
            f"{what}: S3 redirects without end; look at INTAKE_STORAGE__ENDPOINT_URL and INTAKE_STORAGE__REGION"
        )
    if isinstance(error, SETUP_EXCEPTIONS):
        return ConfigurationError(f"{what}: INTAKE_STORAGE__ENDPOINT_URL or __REGION cannot be used: {error}")
    if isinstance(error, boto.SSLError):
        # A retry, not a stop: a certificate that expired is replaced at the server, and nothing is lost meanwhile.
        return StorageUnavailable(
            f"{what}: TLS with the S3 server failed; look at its certificate and INTAKE_STORAGE__CA_BUNDLE: {error}"
        )
    return StorageUnavailable(f"{what}: S3 did not answer as it should ({type(error).__name__}: {error}); it is tried again")


def _of_answer(error: boto.ClientError, what: str) -> IntakeError:
    answer = classify(error)
    if answer is Answer.CREDENTIALS:
        return AccessDenied(f"{what}: S3 refuses the credentials; look at INTAKE_STORAGE__* and at this machine's clock: {error}")
    if answer is Answer.SETUP:
        return ConfigurationError(
            f"{what}: S3 says the bucket, region or endpoint is wrong; look at INTAKE_STORAGE__ENDPOINT_URL, __REGION, __ALLOWED: {error}"
        )
    if answer is Answer.DENIED:
        return AccessDenied(f"{what}: S3 denies it; grant the rights in deploy/iam/: {error}")
    return StorageUnavailable(f"{what}: S3 answered {error}; it is tried again")
