"""The Go program that checks deploy files with the libraries that will read them; built once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.infra.needs import require

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SOURCE = Path(__file__).parent / "checker"
# Fetching and compiling Kubernetes' and KEDA's types takes two minutes on two idle cores, once.
BUILD_TIMEOUT_S = 1200


@dataclass(frozen=True)
class Checker:
    """The built program."""

    program: Path

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Standard output; raises AssertionError with what the program said if it refuses."""
        done = subprocess.run(
            [str(self.program), *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr.strip())
        return done.stdout

    def kustomize(self, folder: Path) -> list[dict[str, Any]]:
        """The manifests of an overlay."""
        return [document for document in yaml.safe_load_all(self.run("kustomize", str(folder))) if document]


def cached_checker() -> Checker:
    """The program, built if its sources changed."""
    go = shutil.which("go")
    require(go, "go (kustomize and the API types of KEDA and Prometheus are Go libraries)")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intake-tests"
    program = cache / f"checker-{digest}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            built = Path(folder) / "checker"
            done = subprocess.run(
                [str(go), "build", "-ldflags", "-s -w", "-o", str(built), "."],
                cwd=SOURCE,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT_S,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            built.replace(program)
    return Checker(program)
