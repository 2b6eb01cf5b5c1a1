"""OAuth 2.0 client credentials for SASL/OAUTHBEARER (RFC 6749 section 4.4, RFC 7628)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import httpx
from kafka.net.sasl.oauth import AbstractTokenProvider

from worker.errors import AccessDenied, ConfigurationError
from worker.settings.stream import KafkaSettings

# A token is asked for again this long before it ends, so that a broker with a slower clock still takes it.
_EARLY_S = 30.0
# RFC 6749 only recommends expires_in; without it the token is taken for short-lived.
_UNSTATED_LIFETIME_S = 60.0
_TIMEOUT_S = 10.0


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]  # the library publishes no types
    """Fetches and keeps an access token; thread-safe, asked by kafka-python at every connection.

    Raises (from `token`):
        AccessDenied: the token endpoint refuses the client, or does not answer as RFC 6749 says.
    """

    def __init__(self, settings: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        if settings.oauth_token_url is None or settings.oauth_client_id is None or settings.oauth_client_secret is None:
            raise ConfigurationError("OAUTHBEARER needs oauth_token_url, oauth_client_id and oauth_client_secret")
        self._url = settings.oauth_token_url
        self._client_id = settings.oauth_client_id
        self._secret = settings.oauth_client_secret
        self._scope = settings.oauth_scope
        self._clock = clock
        self._token = ""  # nosec B105  none yet
        self._ends_at = float("-inf")
        self._lock = threading.Lock()

    def token(self) -> str:
        """A valid access token."""
        with self._lock:
            if self._clock() >= self._ends_at - _EARLY_S:
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        try:
            answer = httpx.post(self._url, data=form, auth=(self._client_id, self._secret.get_secret_value()), timeout=_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise AccessDenied(f"the OAuth token endpoint {self._url} does not answer: {type(error).__name__}") from error
        if answer.status_code != httpx.codes.OK:
            raise AccessDenied(
                f"the OAuth token endpoint {self._url} refuses client {self._client_id}: HTTP {answer.status_code}; "
                "check INTAKE_KAFKA__OAUTH_CLIENT_ID and INTAKE_KAFKA__OAUTH_CLIENT_SECRET"
            )
        try:
            body = answer.json()
            self._token = str(body["access_token"])
            lifetime = float(body.get("expires_in", _UNSTATED_LIFETIME_S))
        except (ValueError, KeyError, TypeError) as error:
            raise AccessDenied(f"the OAuth token endpoint {self._url} answers without an access token") from error
        self._ends_at = self._clock() + lifetime
