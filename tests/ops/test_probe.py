from __future__ import annotations

import os
import subprocess
import sys

from worker.embedded.kafka import free_port
from worker.ops.health import Verdict
from worker.ops.http import HealthServer, Probes
from worker.ops.metrics import Metrics
from worker.ops.probe import DEFAULT_PORT
from worker.settings.ops import OpsSettings


def probe(*arguments: str, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.ops.probe", *arguments],
        env={**os.environ, "INTAKE_OPS__HTTP_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_container_is_healthy_while_the_worker_gets_on() -> None:
    live = Verdict(ok=True, details={})
    ready = Verdict(ok=False, details={"models": "warming up"})
    with HealthServer(Probes(lambda: live, lambda: ready, Metrics(process=False).registry), "127.0.0.1", 0) as server:
        assert probe(port=server.port).returncode == 0
        assert probe("livez", port=server.port).returncode == 0
        unready = probe("readyz", port=server.port)
    assert unready.returncode == 1
    assert "warming up" in unready.stdout


def test_a_worker_that_does_not_answer_is_not_healthy() -> None:
    silent = probe(port=free_port())
    assert silent.returncode == 1
    assert "no answer" in silent.stdout


def test_an_unknown_route_is_refused() -> None:
    assert probe("metrics", port=1).returncode == 2


def test_the_probe_knows_the_settings_default_port() -> None:
    assert OpsSettings().http_port == DEFAULT_PORT


def test_the_probe_loads_none_of_the_worker() -> None:
    heavy = ("pydantic", "numpy", "kafka", "boto3", "onnxruntime", "prometheus_client")
    script = f"import sys, worker.ops.probe; sys.exit(any(name in sys.modules for name in {heavy!r}))"
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0
