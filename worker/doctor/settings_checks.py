"""Settings: names nobody reads, secrets too short to redact, and combinations that work badly."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from worker.doctor.findings import Finding, fail, ok, warn
from worker.ops.redaction import SHORTEST_SECRET, secrets_of
from worker.ops.settings_reference import PREFIX, setting_names
from worker.settings import Settings

# How alike two names must be (difflib's ratio) before one is offered for the other: they all share the first seven letters.
LIKE = 0.75
# Set by the tests, beside the worker's own.
TEST_PREFIX = "INTAKE_TEST_"
TESTS_OTHERS = ("INTAKE_DATASETS",)


def check_names(environment: Mapping[str, str], env_file: Path = Path(".env")) -> Iterator[Finding]:
    """Variables that look like settings and are none. A misspelt one is silently not set."""
    known = setting_names()
    given = {name.upper() for name in environment if name.upper().startswith(PREFIX)} | _names_in(env_file)
    if environment.get("INTAKE_SECRETS_DIR"):
        folder = Path(environment["INTAKE_SECRETS_DIR"])
        if folder.is_dir():
            given |= {path.name.upper() for path in folder.iterdir() if path.name.upper().startswith(PREFIX)}
    strange = sorted(name for name in given - known if not name.startswith(TEST_PREFIX) and name not in TESTS_OTHERS)
    for name in strange:
        close = difflib.get_close_matches(name, known, n=1, cutoff=LIKE)
        advice = f"did you mean {close[0]}?" if close else "see deploy/SETTINGS.md for the names there are"
        yield warn("settings", f"{name} is set, and no setting is called so: it has no effect", advice)
    if not strange:
        yield ok("settings", f"readable; {len(given & known)} set, every name is known")


def _names_in(env_file: Path) -> set[str]:
    if not env_file.is_file():
        return set()
    lines = (line.strip().removeprefix("export ") for line in env_file.read_text(encoding="utf-8", errors="replace").splitlines())
    names = {line.split("=", 1)[0].strip().upper() for line in lines if "=" in line and not line.startswith("#")}
    return {name for name in names if name.startswith(PREFIX)}


def check_values(settings: Settings) -> Iterator[Finding]:
    """Values that are valid one by one and bad together."""
    stream, vision = settings.stream, settings.vision
    if settings.ops.faults:
        yield fail("settings", "fault injection is on: the worker will break itself", "unset INTAKE_OPS__FAULTS; it is for tests")
    if stream.batch_size > vision.max_batch * 8:
        yield warn(
            "settings",
            f"a batch of {stream.batch_size} arrivals is many runs of a model that takes {vision.max_batch} at once",
            "raise INTAKE_VISION__MAX_BATCH or lower INTAKE_STREAM__BATCH_SIZE",
        )
    if stream.call_timeout_s <= stream.transaction_timeout_s:
        yield warn(
            "settings",
            f"the deadline on Kafka calls ({stream.call_timeout_s:g} s) is not above the transaction timeout ({stream.transaction_timeout_s:g} s)",
            "raise INTAKE_STREAM__CALL_TIMEOUT_S: a slow commit would end the process before Kafka gives it up",
        )
    if stream.dead_letter_limits.run_length > stream.dead_letter_limits.rate_window:
        yield warn(
            "settings",
            "the run of dead letters that stops the worker is longer than the window its rate is measured in",
            "lower INTAKE_STREAM__DEAD_LETTER_LIMITS__RUN_LENGTH",
        )
    if settings.ops.tracing and find_spec("opentelemetry") is None:
        yield fail("settings", "tracing is on and OpenTelemetry is not installed", "pip install 'intake-worker[tracing]'")


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """Secrets that travel in the open, or are too short to be found in a log line."""
    kafka, catalogue, storage = settings.kafka, settings.catalogue, settings.storage
    hosts = [server.strip().rpartition(":")[0] for server in kafka.bootstrap_servers.split(",")]
    if not all(is_local(host) for host in hosts) and "SSL" not in kafka.security_protocol.replace("SASL", ""):
        yield warn(
            "secrets",
            f"Kafka is spoken to without TLS ({kafka.security_protocol})",
            "set INTAKE_KAFKA__SECURITY_PROTOCOL to SASL_SSL",
        )
    for name, url, secret in (
        ("INTAKE_CATALOGUE__URL", catalogue.url if catalogue.engine == "qdrant" else None, catalogue.api_key),
        ("INTAKE_STORAGE__ENDPOINT_URL", storage.endpoint_url, storage.secret_access_key),
        ("INTAKE_KAFKA__OAUTH_TOKEN_URL", kafka.oauth_token_url, kafka.oauth_client_secret),
    ):
        if url and secret is not None and urlsplit(url).scheme == "http" and not is_local(urlsplit(url).hostname or ""):
            yield warn("secrets", f"{name} is http: credentials and photos travel in the open", "use https")
    short = [secret for secret in secrets_of(settings) if 0 < len(secret) < SHORTEST_SECRET]
    if short:
        yield warn(
            "secrets",
            f"{len(short)} secret(s) are shorter than {SHORTEST_SECRET} characters and cannot be told from ordinary text in logs",
            "use longer ones",
        )


def is_local(host: str) -> bool:
    """Whether a host is this machine, or a bare name inside one Docker network."""
    plain = host.strip("[]")
    if plain == "localhost":
        return True
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return "." not in plain
