"""The connection to a Qdrant server, and what its failures mean to the worker."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]
import httpx
from pydantic import ValidationError
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from worker.errors import AccessDenied, CatalogueUnavailable, ConfigurationError, IntakeError
from worker.settings.catalogue import CatalogueSettings

# Conditional upserts (`update_filter`) came with 1.16. An older server takes the field for nothing and would let a pending point
# replace a settled one.
OLDEST_SERVER = (1, 16)

# Idle connections are let go before the server does it (Qdrant's HTTP server after 5 s): a request sent on a connection that is just
# being closed would be a needless retry.
KEEP_ALIVE_S = 2.0

_DENIED_STATUS = (401, 403)
# The request itself is wrong: the collection is gone or does not fit. Everything else (408, 429, 5xx, a proxy's page) may pass.
_WRONG_STATUS = (400, 404, 405, 409, 422)
_DENIED_CODES = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_WRONG_CODES = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
)
# What qdrant-client lets through when an answer is not Qdrant's: no JSON, no text, other fields, no result.
_RUBBISH = (JSONDecodeError, UnicodeDecodeError, ValidationError, AssertionError)


class QdrantConnection:
    """A qdrant-client, and `guard`, which turns its exceptions into the worker's. Thread-safe."""

    def __init__(self, settings: CatalogueSettings) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        options: dict[str, Any] = {}
        grpc_options: dict[str, Any] = {}
        if settings.ca_bundle is not None:
            grpc_options["root_certificates"] = _read_bundle(settings.ca_bundle)
            options["verify"] = ssl.create_default_context(cafile=settings.ca_bundle)
        # As a header instead of `api_key=`: the client would also switch to https by itself and warn on stderr.
        headers = {} if settings.api_key is None else {"api-key": settings.api_key.get_secret_value()}
        self.client = QdrantClient(
            url=settings.url,
            port=parts.port or (443 if parts.scheme == "https" else 6333),
            grpc_port=settings.grpc_port,
            prefer_grpc=settings.transport == "grpc",
            timeout=max(1, int(-(-settings.timeout_s // 1))),
            headers=headers,
            grpc_options=grpc_options,
            # The client's own check warns on stderr from a thread when the server is a minor version away; `check_version` decides.
            check_compatibility=False,
            # Given because the client keeps no connection alive to localhost otherwise.
            limits=httpx.Limits(
                max_connections=settings.pool_size,
                max_keepalive_connections=settings.pool_size,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            **options,
        )

    def check_version(self) -> str:
        """The server's version. Raises `ConfigurationError` if it is too old for what the race protocol needs."""
        with self.guard("ask for its version"):
            version = self.client.info().version
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None:
            raise CatalogueUnavailable(f"what answers at {self.settings.url} calls its version {version!r}: is it Qdrant?")
        if (int(numbers[1]), int(numbers[2])) < OLDEST_SERVER:
            raise ConfigurationError(
                f"the Qdrant server at {self.settings.url} is {version}: at least "
                f"{'.'.join(str(number) for number in OLDEST_SERVER)} is needed (conditional upserts); upgrade it"
            )
        return version

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Raise what an exception of the client means; `what` completes "could not ..."."""
        try:
            yield
        except IntakeError:
            raise
        except (ApiException, QdrantException, grpc.RpcError, httpx.HTTPError, *_RUBBISH) as error:
            raise self._meaning(error, what) from error

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self.client.close()

    def _meaning(self, error: Exception, what: str) -> IntakeError:
        place = f"Qdrant at {self.settings.url}"
        if isinstance(error, UnexpectedResponse):
            return self._refusal(f"{place} could not {what}", error.status_code, _error_text(error.content))
        if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
            return self._grpc_refusal(f"{place} could not {what}", error)
        source = error.source if isinstance(error, ResponseHandlingException) else error
        if _is_certificate_failure(source):
            return ConfigurationError(
                f"the certificate of {place} is not trusted: set INTAKE_CATALOGUE__CA_BUNDLE to the CA that signed it"
            )
        if isinstance(source, httpx.TimeoutException):
            return CatalogueUnavailable(f"{place} did not answer in {self.settings.timeout_s:g} s (asked to {what})")
        if isinstance(source, httpx.TransportError):
            return CatalogueUnavailable(f"{place} cannot be reached ({type(source).__name__}) (asked to {what})")
        return CatalogueUnavailable(f"{place} gave an answer that is not Qdrant's ({type(source).__name__}) when asked to {what}")

    @staticmethod
    def _refusal(what: str, status: int | None, text: str) -> IntakeError:
        message = f"{what}: {status} {text}".rstrip()
        if status in _DENIED_STATUS:
            return AccessDenied(f"{message}: check INTAKE_CATALOGUE__API_KEY and what it grants")
        if status in _WRONG_STATUS:
            return ConfigurationError(message)
        return CatalogueUnavailable(message)

    @staticmethod
    def _grpc_refusal(what: str, error: grpc.Call) -> IntakeError:
        code = error.code()
        message = f"{what}: {code.name} {(error.details() or '')[:200]}".rstrip()
        if code in _DENIED_CODES:
            return AccessDenied(f"{message}: check INTAKE_CATALOGUE__API_KEY and what it grants")
        if code in _WRONG_CODES:
            return ConfigurationError(message)
        return CatalogueUnavailable(message)


def _read_bundle(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"INTAKE_CATALOGUE__CA_BUNDLE: cannot read {path}: {error.strerror}") from error


def _error_text(content: bytes) -> str:
    """What Qdrant says, out of its envelope ``{"status": {"error": ...}}``; the start of the body if it is none."""
    text = content[:300].decode("utf-8", "replace")
    try:
        return str(httpx.Response(200, content=content).json()["status"]["error"])[:300]
    except (ValueError, KeyError, TypeError):
        return text


def _is_certificate_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
