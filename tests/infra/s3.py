"""S3 servers for tests: moto (complete, believes any secret), versitygw (checks secrets and policies), or one given by environment."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, SSLError

from tests.infra.needs import require
from worker.embedded.s3 import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Endpoint

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
ROOT_USER = "intake-root"
ROOT_SECRET = "intake-root-secret"
INSTALL_TIMEOUT_S = 420
START_TIMEOUT_S = 20
# The port is free when it is chosen, and may not be any more when the gateway binds it.
START_TRIES = 5


def given_endpoint() -> S3Endpoint | None:
    """The server named by ``INTAKE_TEST_S3``, or None.

    The value is ``http://host:port`` or ``http://access:secret@host:port``. Credentials not in it are read from
    ``INTAKE_TEST_S3_ACCESS_KEY_ID`` / ``INTAKE_TEST_S3_SECRET_ACCESS_KEY``, then from ``AWS_...``; the region likewise.
    """
    url = os.environ.get("INTAKE_TEST_S3")
    if not url:
        return None
    parts = urlsplit(url if "//" in url else f"http://{url}")
    host = parts.hostname or "localhost"
    address = f"[{host}]" if ":" in host else host
    return S3Endpoint(
        endpoint_url=f"{parts.scheme}://{address}" + (f":{parts.port}" if parts.port else ""),
        access_key_id=parts.username or _from_environment("ACCESS_KEY_ID", ACCESS_KEY_ID),
        secret_access_key=parts.password or _from_environment("SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        region=_from_environment("REGION", REGION),
    )


def _from_environment(name: str, default: str) -> str:
    return os.environ.get(f"INTAKE_TEST_S3_{name}") or os.environ.get(f"AWS_{name}") or default


def new_bucket(endpoint: S3Endpoint, *, versioning: bool = False) -> str:
    """Create a bucket no other test uses; returns its name."""
    name = f"intake-test-{uuid.uuid4().hex[:20]}"
    endpoint.create_bucket(name, versioning=versioning)
    return name


def versitygw_binary() -> Path | None:
    """The gateway's program: on PATH, in Go's bin folder, in the cache; installed with `go` into the cache if it is nowhere."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intake-worker" / "go-bin"
    folders = [os.environ.get("GOBIN"), str(Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin"), str(cache)]
    path = os.pathsep.join([os.environ.get("PATH", ""), *(folder for folder in folders if folder)])
    found = shutil.which("versitygw", path=path)
    if found:
        return Path(found)
    go = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin"]))
    if go is None:
        return None
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [go, "install", VERSITYGW],
        env=os.environ | {"GOBIN": str(cache)},
        timeout=INSTALL_TIMEOUT_S,
        check=True,
        capture_output=True,
    )
    return cache / "versitygw"


class VersityGateway:
    """versitygw over a temporary folder, with versioning and an internal user store. Ends with the process that started it.

    With `certificate` and `key` (PEM files) it speaks TLS.
    """

    def __init__(self, binary: Path, certificate: Path | None = None, key: Path | None = None) -> None:
        self._binary = binary
        self._certificate = certificate
        self._key = key
        self._folder = tempfile.TemporaryDirectory(prefix="intake-versitygw-")
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.endpoint = S3Endpoint("", ROOT_USER, ROOT_SECRET)

    def start(self) -> VersityGateway:
        """Start and wait until it answers a signed request."""
        for last in [False] * (START_TRIES - 1) + [True]:
            try:
                self._start_once()
            except TimeoutError:
                self._end_process()
                if last:
                    raise
            else:
                return self
        raise AssertionError("not reached")

    def add_user(self, access: str, secret: str) -> S3Endpoint:
        """Create a user who may do nothing until a bucket policy says otherwise; returns the endpoint as that user."""
        subprocess.run(
            [
                self._binary, "admin", "--access", ROOT_USER, "--secret", ROOT_SECRET, "--endpoint-url", self.endpoint.endpoint_url,
                "create-user", "--access", access, "--secret", secret, "--role", "user",
            ],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        return S3Endpoint(self.endpoint.endpoint_url, access, secret)

    def stop(self) -> None:
        """End it and remove its folder."""
        self._end_process()
        self._folder.cleanup()

    def _start_once(self) -> None:
        root = Path(self._folder.name)
        for name in ("objects", "versions", "users"):
            (root / name).mkdir(exist_ok=True)
        port = _free_port()
        tls: list[str | Path] = (
            [] if self._certificate is None or self._key is None else ["--cert", self._certificate, "--key", self._key]
        )
        self._log = (root / "log").open("wb")
        self._process = subprocess.Popen(
            [
                self._binary, "--port", f"127.0.0.1:{port}", "--access", ROOT_USER, "--secret", ROOT_SECRET, "--quiet",
                "--keep-alive", "--iam-dir", root / "users", *tls, "posix", "--versioning-dir", root / "versions", root / "objects",
            ],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        # Reads until this process is gone, then ends the gateway: a killed test run leaves nothing behind.
        self._leash = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; kill -9 "$1" 2>/dev/null', "sh", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        scheme = "https" if tls else "http"
        bundle = str(self._certificate) if self._certificate else None
        self.endpoint = S3Endpoint(f"{scheme}://127.0.0.1:{port}", ROOT_USER, ROOT_SECRET, ca_bundle=bundle)
        client = self.endpoint.client()
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                client.list_buckets()
            except SSLError:
                return  # it answers; whether its certificate is right is what a test wants to know
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise TimeoutError(
                        f"versitygw did not start: {(root / 'log').read_text(errors='replace')[-2000:]}"
                    ) from error
                time.sleep(0.05)
            else:
                return

    def _end_process(self) -> None:
        for process in (self._leash, self._process):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._leash = None
        if self._log is not None:
            self._log.close()
            self._log = None


@contextmanager
def running_gateway(certificate: Path | None = None, key: Path | None = None) -> Iterator[VersityGateway]:
    """A started versitygw; skips (fails in CI) where neither the program nor Go is there."""
    binary = versitygw_binary()
    require(binary, "versitygw (install it, or Go)")
    gateway = VersityGateway(binary or Path("versitygw"), certificate, key)
    try:
        yield gateway.start()
    finally:
        gateway.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
