"""moto's S3 server as a child process: the S3 of the demo and of the tests. It accepts any secret: never use it for anything else.

The child listens on a port the kernel chose, tells it on its standard output, and ends when its standard input closes: the kernel
closes it when the parent dies, however it dies.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from worker.errors import ConfigurationError, DeadlineExceeded
from worker.ops.deadline import Deadline
from worker.settings.imaging import AllowedLocation, StorageSettings

# moto accepts anything; these only have to look like credentials to boto3.
ACCESS_KEY_ID = "intake-embedded"
SECRET_ACCESS_KEY = "not-a-secret"  # noqa: S105  # nosec B105
REGION = "us-east-1"

# moto imports in 1 to 3 s on an idle core; much more on a busy machine whose disk is cold.
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
POLL_INTERVAL_S = 0.05
LOG_TAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """Where an S3 server is and how to sign for it."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    region: str = REGION
    ca_bundle: str | None = None

    def settings(self, *buckets: str, **more: Any) -> StorageSettings:
        """Storage settings for this server that allow `buckets`; `more` are further fields of `StorageSettings`."""
        values: dict[str, Any] = {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "path_style": True,
            "ca_bundle": self.ca_bundle,
            "access_key_id": SecretStr(self.access_key_id),
            "secret_access_key": SecretStr(self.secret_access_key),
        }
        if buckets:
            values["allowed"] = tuple(AllowedLocation(bucket=bucket) for bucket in buckets)
        return StorageSettings(**(values | more))

    def environment(self) -> dict[str, str]:
        """The same as environment variables, for a worker in another process (`allowed` is left to the caller)."""
        variables = {
            "INTAKE_STORAGE__ENDPOINT_URL": self.endpoint_url,
            "INTAKE_STORAGE__REGION": self.region,
            "INTAKE_STORAGE__PATH_STYLE": "true",
            "INTAKE_STORAGE__ACCESS_KEY_ID": self.access_key_id,
            "INTAKE_STORAGE__SECRET_ACCESS_KEY": self.secret_access_key,
        }
        return variables | ({"INTAKE_STORAGE__CA_BUNDLE": self.ca_bundle} if self.ca_bundle else {})

    def client(self) -> Any:
        """A boto3 client with short timeouts, for setting up and looking."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            verify=self.ca_bundle,
            config=Config(
                connect_timeout=2,
                read_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 2},
                s3={"addressing_style": "path"},
            ),
        )

    def create_bucket(self, name: str, *, versioning: bool = False) -> None:
        """Create bucket `name` unless it is there; turn versioning on if asked."""
        client = self.client()
        try:
            client.create_bucket(Bucket=name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise
        if versioning:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


class EmbeddedS3:
    """The child process. Use as a context manager, or `start` and `stop`.

    Raises:
        ConfigurationError: moto is not installed, or the child ended while starting (its last output is in the message).
        DeadlineExceeded: the child did not answer in time.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, start_timeout_s: float = START_TIMEOUT_S) -> None:
        self._host = host
        self._port = port
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._endpoint: S3Endpoint | None = None

    @property
    def endpoint(self) -> S3Endpoint:
        """Where the server is; only after `start`."""
        if self._endpoint is None:
            raise ConfigurationError("the embedded S3 server is not started")
        return self._endpoint

    @property
    def endpoint_url(self) -> str:
        """``http://host:port``; only after `start`."""
        return self.endpoint.endpoint_url

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None."""
        return self._process.pid if self._process else None

    def create_bucket(self, name: str, *, versioning: bool = False) -> None:
        """See `S3Endpoint.create_bucket`."""
        self.endpoint.create_bucket(name, versioning=versioning)

    def start(self) -> Self:
        """Start the child and wait until it answers a real request."""
        if find_spec("moto") is None:
            raise ConfigurationError("the embedded S3 server needs moto: pip install 'intake-worker[embedded]'")
        deadline = Deadline.after(self._start_timeout_s)
        self._log = tempfile.TemporaryFile(prefix="intake-s3-")  # noqa: SIM115  closed in stop()
        # A session of its own: Ctrl-C reaches the parent alone, which stops its children in its own order.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "worker.embedded.s3", self._host, str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env=_child_environment(),
        )
        try:
            port = self._read_port(deadline)
            self._endpoint = S3Endpoint(f"http://{self._host}:{port}", ACCESS_KEY_ID, SECRET_ACCESS_KEY)
            self._wait_until_it_answers(deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the child; harmless when it has ended."""
        process, self._process, self._endpoint = self._process, None, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def _read_port(self, deadline: Deadline) -> int:
        process = self._process
        if process is None or process.stdout is None:
            raise ConfigurationError("the embedded S3 server is not started")
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], deadline.remaining())
            if not ready:
                raise DeadlineExceeded(f"the embedded S3 server did not start in {self._start_timeout_s:.0f} s: {self._tail()}")
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                raise ConfigurationError(f"the embedded S3 server ended while starting: {self._tail()}")
            line += piece
        return int(json.loads(line)["port"])

    def _wait_until_it_answers(self, deadline: Deadline) -> None:
        client = self.endpoint.client()
        while True:
            try:
                client.list_buckets()
            except (BotoCoreError, ClientError) as error:
                if self._process is None or self._process.poll() is not None:
                    raise ConfigurationError(f"the embedded S3 server ended while starting: {self._tail()}") from error
                if deadline.passed:
                    raise DeadlineExceeded(f"the embedded S3 server does not answer: {error}; {self._tail()}") from error
                time.sleep(POLL_INTERVAL_S)
            else:
                return

    def _tail(self) -> str:
        if self._log is None:
            return "(no output)"
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-LOG_TAIL_CHARACTERS:].strip() or "(no output)"


def _child_environment() -> dict[str, str]:
    """The parent's, with this package importable from any folder the parent was started in, and moto's own settings plain."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MOTO_", "S3_IGNORE"))}
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return environment


def _end_with_parent() -> None:
    """Block until standard input closes, then end at once, whatever the server's threads do."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def _serve(host: str, port: int) -> None:
    """What the child does: serve for ever on `port` (0: any free one), after printing the port as a line of JSON."""
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415  only the child needs moto
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request would fill the log
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    sys.stdout.write(json.dumps({"port": server.server_port}) + "\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
