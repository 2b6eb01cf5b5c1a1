"""What must never leave the process in a log line, a metric, a trace or a report: found and replaced.

Three nets, because each alone has holes: the values known to be secret (every `SecretStr` of the settings, and what boto3 reads from
the environment), field names that announce a secret, and shapes of secrets in free text (URL userinfo, PEM blocks, AWS key ids,
signed URLs, bearer tokens, ``password=...``).
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

PLACEHOLDER = "[redacted]"

# Shorter values would turn every line into placeholders ("a" is in every word). `intake doctor` warns of secrets this short.
SHORTEST_SECRET = 4

# Deeper structures are cut: a log field is no place for them, and a self-referring one would never end.
DEEPEST = 8

# Longer text is cut: searching it would cost more than the line is worth.
LONGEST = 65_536

# Credentials boto3's own chain reads from the environment, outside the settings tree.
SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "OTEL_EXPORTER_OTLP_HEADERS")

# Parts of field names (lower case, without - _ . and spaces) that announce a secret.
_SECRET_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "cookie",
    "jaas",
)
_NAME_NOISE = re.compile(r"[-_.\s]")

# (pattern, replacement). Every quantifier is bounded or runs over a class that excludes what follows it: linear time on any text.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:(?!-----END).)*(?:-----END [A-Z0-9 ]{1,40}-----)?", re.DOTALL), PLACEHOLDER),
    (re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://)[^/\s@'\"<>]{1,512}@"), rf"\1{PLACEHOLDER}@"),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{16}\b"), PLACEHOLDER),
    (re.compile(r"(?i)(\bx-amz-(?:signature|credential|security-token)=)[^&\s'\"]+"), rf"\1{PLACEHOLDER}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {PLACEHOLDER}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), PLACEHOLDER),  # a JSON Web Token
    (
        re.compile(
            r"(?i)(\b[a-z0-9_.-]{0,64}(?:password|passwd|passphrase|secret(?:[_-]?access)?(?:[_-]?key)?|api[_-]?key|access[_-]?key(?:[_-]?id)?"
            r"|private[_-]?key|(?:session|access|refresh|security|auth|id)[_-]?token|authorization)"
            r"['\"]?\s{0,3}[=:]\s{0,3}(?:b?['\"])?)(?!\[redacted\])[^\s'\",;&)}\]]+"
        ),
        rf"\1{PLACEHOLDER}",
    ),
)


def is_secret_name(name: str) -> bool:
    """True if a field called `name` announces a secret: ``sasl_password``, ``X-Api-Key``, ``secretAccessKey``, ..."""
    plain = _NAME_NOISE.sub("", name).lower()
    return any(part in plain for part in _SECRET_NAMES)


def secrets_of(settings: BaseModel, environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Every secret value of a settings tree, and those boto3 and OpenTelemetry read from `environment`."""
    found = set(_secret_values(settings))
    found.update(environment[name] for name in SECRET_VARIABLES if environment.get(name))
    return frozenset(found)


def _secret_values(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _name, inner in value:
            yield from _secret_values(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secret_values(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _secret_values(inner)


def _spellings(secret: str) -> Iterator[str]:
    """The ways one secret shows up in text: as it is, percent-encoded, escaped by JSON or repr, in base64."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield repr(secret.encode())[2:-1]
    yield base64.b64encode(secret.encode()).decode()


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces secrets in text and in nested values. Immutable and thread-safe."""

    known: re.Pattern[str] | None = None

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Redactor:
        """A redactor that also knows these secret values (each at least `SHORTEST_SECRET` characters, shorter ones are left)."""
        spellings = {s for secret in secrets if len(secret) >= SHORTEST_SECRET for s in _spellings(secret)}
        if not spellings:
            return cls()
        longest_first = sorted(spellings, key=lambda s: (-len(s), s))
        return cls(re.compile("|".join(re.escape(s) for s in longest_first)))

    def text(self, text: str) -> str:
        """`text` without secrets, cut to `LONGEST` characters."""
        if len(text) > LONGEST:
            text = text[:LONGEST] + "[cut]"
        if self.known is not None:
            text = self.known.sub(PLACEHOLDER, text)
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any, depth: int = 0) -> Any:
        """`value` made of plain types (str, int, float, bool, None, list, dict), without secrets."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return "[too deep]" if depth >= DEEPEST else self._nested(value, depth + 1)
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(bytes(value).decode("utf-8", "replace"))
        return self.text(str(value))

    def _nested(self, value: Mapping[Any, Any] | Iterable[Any], depth: int) -> Any:
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.field(str(name), inner, depth) for name, inner in value.items()}
        return [self.value(inner, depth) for inner in value]

    def field(self, name: str, value: Any, depth: int = 0) -> Any:
        """`value` of a field called `name`: replaced whole where the name announces a secret."""
        if value is not None and is_secret_name(name):
            return PLACEHOLDER
        return self.value(value, depth)
