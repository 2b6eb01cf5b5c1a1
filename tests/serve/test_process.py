"""`intake serve` as a process: what it prints, what SIGTERM does, what it says when it cannot start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.serve.conftest import Shop
from tests.serve.wire import answer_of, connected, head

DEADLINE_S = 60.0
# Well below drain_timeout_s: what is idle must not be waited for.
DRAINED_S = 20.0


def environment(shop: Shop) -> Mapping[str, str]:
    """The shop's settings as variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INTAKE_")}
    return kept | {
        "INTAKE_CATALOGUE__ENGINE": "edge",
        "INTAKE_CATALOGUE__PATH": str(shop.settings.catalogue.path),
        "INTAKE_VISION__SEGMENTER": "none",
        "INTAKE_VISION__THREADS": "1",
        "INTAKE_IMAGING__DECODER_PROCESSES": "1",
        "INTAKE_STORAGE__SECRET_ACCESS_KEY": "hunter2-storage-secret",
        "INTAKE_STORAGE__ACCESS_KEY_ID": "hunter2-storage-key",
        "INTAKE_SERVE__PORT": "0",
    }


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "worker.cli", "serve", *arguments]


@contextmanager
def serving(shop: Shop, folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The process, its URL once it is ready, and its log."""
    log = folder / f"serve-{sum(1 for _ in folder.glob('*.log'))}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command(*arguments), env=environment(shop), stdout=out, stderr=out, cwd=folder)
    try:
        until(lambda: process.poll() is not None or any(line["event"] == "ready" for line in lines(log)), "it did not start")
        assert process.poll() is None, log.read_text()
        yield process, str(next(line["url"] for line in lines(log) if line["event"] == "ready")), log
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)


def test_sigterm_lets_what_is_in_work_end_and_closes_everything(shop: Shop, red_shirt: bytes, tmp_path: Path) -> None:
    with serving(shop, tmp_path, "--photos", str(shop.photos)) as (process, url, log):
        assert httpx.get(f"{url}photo/{shop.points['red-plain']}", timeout=DEADLINE_S).status_code == 200
        with connected(url) as connection:
            announced = f"Content-Length: {len(red_shirt)}"
            connection.sendall(
                head("POST", "/search", "Host: localhost", "Content-Type: image/jpeg", announced) + red_shirt[:100]
            )
            # The half-sent request is in work once the service says so.
            until(
                lambda: "intake_serve_in_work 1.0" in httpx.get(f"{url}metrics", timeout=DEADLINE_S).text, "it was not taken up"
            )

            process.send_signal(signal.SIGTERM)
            until(lambda: refused(url), "it went on taking connections")
            connection.sendall(red_shirt[100:])
            status, _, body = answer_of(connection)

        assert (status, json.loads(body)["candidates"][0]["article_id"]) == (200, "red-plain")
        assert process.wait(DRAINED_S) == 0
        assert lines(log)[-1]["event"] == "stopped"
        text = log.read_text()
        assert "hunter2" not in text
        assert "Traceback" not in text
    # The index was closed: its lock is free, its points are there.
    with serving(shop, tmp_path) as (process, url, _):
        assert httpx.get(f"{url}readyz", timeout=DEADLINE_S).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(DRAINED_S) == 0


def refused(url: str) -> bool:
    try:
        connected(url).close()
    except ConnectionRefusedError:
        return True
    return False


def failed(shop: Shop, folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        command(*arguments), env=environment(shop), cwd=folder, capture_output=True, timeout=DEADLINE_S, check=False
    )
    return done.returncode, " ".join(done.stderr.decode().split())


def test_a_port_that_is_taken_is_told_before_models_are_loaded(shop: Shop, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, told = failed(shop, tmp_path, "--port", str(taken.getsockname()[1]))
    assert code == 78
    assert "INTAKE_SERVE__PORT" in told


def test_a_folder_that_is_not_there_is_told(shop: Shop, tmp_path: Path) -> None:
    code, told = failed(shop, tmp_path, "--photos", str(tmp_path / "nothing"))
    assert code == 78
    assert "there is no folder" in told


EXTRAS = """
import sys
import worker.cli
names = ("python_multipart", "starlette", "uvicorn")
print(sorted(set(names) & set(sys.modules)))
from worker.cli.serve import command
from worker.errors import ConfigurationError
for name in names:
    sys.modules[name] = None  # as if it were not installed
    try:
        command()
    except ConfigurationError as error:
        print(error)
    for loaded in [module for module in sys.modules if module.startswith(("worker.serve", *names))]:
        del sys.modules[loaded]
"""


def test_without_the_extra_the_command_says_what_to_install_and_no_other_command_needs_it(shop: Shop, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXTRAS], env=environment(shop), cwd=tmp_path, capture_output=True, timeout=DEADLINE_S, check=True
    )
    loaded_by_others, *told = done.stdout.decode().splitlines()
    assert loaded_by_others == "[]"
    assert told == [
        f"`intake serve` needs {name}: pip install 'intake-worker[serve]'"
        for name in ("python_multipart", "starlette", "uvicorn")
    ]
