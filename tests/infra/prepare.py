"""Fetch once what the tests need beside Python packages: Kafka's jars, the gateway, the models. Quick when it is all there.

Missing pieces are said here and not fatal: a test that needs one skips with a reason on a laptop, and fails in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from rich.console import Console

from tests.infra.s3 import versitygw_binary
from worker.embedded.java import java_executable, kafka_jars
from worker.errors import IntakeError
from worker.settings import VisionSettings
from worker.vision.registry import Registry
from worker.vision.store import ModelStore


def models() -> str:
    """Pull every model of the registry."""
    settings = VisionSettings()
    registry = Registry(settings)
    store = ModelStore(settings, registry.user_dir)
    files = [store.ensure(row) for row in registry.rows if row.kind == "onnx"]
    return f"{len(files)} models"


def kafka() -> str:
    """Apache Kafka's jars and a Java runtime."""
    return f"Apache Kafka ({len(kafka_jars(lambda _text: None))} jars, {java_executable()})"


def gateway() -> str:
    """versitygw, where Go is."""
    if shutil.which("go") is None:
        return "no Go: tests on versitygw, and the strict checks of deploy/, will skip"
    return f"versitygw ({versitygw_binary() or 'could not be built'})"


def browser() -> str:
    """A browser for the page of the one-photo service: where CI is set and may, it is installed."""
    if shutil.which("chromium") is None and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return f"browser ({shutil.which('chromium') or 'none: tests of pages will skip'})"


def main() -> int:
    """Prepare all; 0 even when something is missing."""
    console = Console(stderr=True)
    steps: tuple[Callable[[], str], ...] = (models, kafka, gateway, browser)
    for step in steps:
        with console.status((step.__doc__ or "").strip()):
            try:
                told = step()
            except (IntakeError, OSError, subprocess.SubprocessError) as error:
                told = f"{step.__name__}: {error}"
        console.print(f"tests: {told}", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
