from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.checking import DEPLOY, ROOT, Checker
from worker.ops.settings_reference import setting_names
from worker.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

COMPOSE = DEPLOY / "compose.yaml"


@pytest.fixture(scope="module")
def project(checker: Checker) -> dict[str, Any]:
    """The project as Docker Compose resolves it: schema checked, anchors merged, variables filled in."""
    found: dict[str, Any] = json.loads(checker.run("compose", str(COMPOSE)))
    return found


def test_the_project_has_everything_one_machine_needs(project: dict[str, Any]) -> None:
    assert set(project["services"]) == {"kafka", "s3", "qdrant", "setup", "worker", "prometheus", "grafana"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stop_grace_period: 60s", "stop_grace_time: 60s"),
        ("depends_on: [prometheus]", "depends_on: [prometeus]"),
        ("  qdrant:\n\n", "\n"),
        ('"127.0.0.1:9090:9090"', '"127.0.0.1:9090:http"'),
    ],
)
def test_a_mistake_would_be_found(checker: Checker, tmp_path: Path, old: str, new: str) -> None:
    text = COMPOSE.read_text() + "\n"
    assert old in text or old.endswith("\n\n")
    broken = re.sub(r"(?m)^  qdrant:\n(?=  prometheus:$)", "", text) if old.endswith("\n\n") else text.replace(old, new)
    assert broken != text
    (tmp_path / "compose.yaml").write_text(broken)
    with pytest.raises(AssertionError):
        checker.run("compose", str(tmp_path / "compose.yaml"))


def test_images_are_pinned_to_a_version(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?", service["image"]), name


def test_every_port_is_bound_to_this_machine_only(project: dict[str, Any]) -> None:
    ports = [port for service in project["services"].values() for port in service.get("ports", [])]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_worker_understands_its_settings(project: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for service in ("worker", "setup"):
        variables = project["services"][service]["environment"]
        assert set(variables) <= setting_names()
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    settings = load_settings()
    services = project["services"]
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.storage.endpoint_url == "http://s3:7070"
    assert services["s3"]["environment"]["VGW_PORT"] == ":7070"
    assert settings.storage.secret_access_key is not None
    assert services["s3"]["environment"]["ROOT_SECRET_KEY"] == settings.storage.secret_access_key.get_secret_value()
    assert settings.catalogue.url == "http://qdrant:6333"


def test_the_worker_starts_after_its_set_up_and_may_end_in_order(project: dict[str, Any]) -> None:
    worker, setup = project["services"]["worker"], project["services"]["setup"]
    assert worker["depends_on"]["setup"]["condition"] == "service_completed_successfully"
    assert {name: on["condition"] for name, on in setup["depends_on"].items()} == {
        "kafka": "service_healthy", "s3": "service_started", "qdrant": "service_healthy",
    }  # fmt: skip
    stream = load_settings().stream
    assert worker["stop_grace_period"] == "1m0s"
    assert stream.drain_timeout_s + stream.call_timeout_s < 60


def test_the_set_up_script_is_python_that_compiles(project: dict[str, Any]) -> None:
    (script,) = project["services"]["setup"]["command"]
    body = re.search(r"<<'PYTHON'\n(.*?)\nPYTHON\n", script, re.DOTALL)
    assert body is not None
    compile(body.group(1), "setup", "exec")
    assert script.rstrip().endswith("intake topics create")


def test_the_worker_may_do_as_little_as_possible(project: dict[str, Any]) -> None:
    worker = project["services"]["worker"]
    assert worker["read_only"] is True
    assert worker["cap_drop"] == ["ALL"]
    assert worker["security_opt"] == ["no-new-privileges:true"]
    assert worker["tmpfs"] == ["/tmp", "/var/lib/intake"]
    assert not worker.get("privileged")


def test_the_image_is_built_from_the_dockerfile_of_this_folder(project: dict[str, Any]) -> None:
    build = project["services"]["worker"]["build"]
    assert Path(build["context"]) == ROOT
    assert (Path(build["context"]) / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert build["target"] == "cpu"


def test_mounted_folders_are_there(project: dict[str, Any]) -> None:
    sources = [
        Path(volume["source"])
        for service in project["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]
    assert len(sources) == 3
    assert all(source.is_dir() for source in sources)


def test_one_kafka_broker_has_one_copy_of_everything(project: dict[str, Any]) -> None:
    variables = project["services"]["kafka"]["environment"]
    copies = {name: value for name, value in variables.items() if "REPLICATION_FACTOR" in name or "MIN_ISR" in name}
    assert len(copies) == 5
    assert set(copies.values()) == {"1"}


def test_prometheus_asks_the_worker_where_it_answers(project: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    (discovery,) = jobs["intake-worker"]["dns_sd_configs"]
    assert discovery["port"] == load_settings().ops.http_port
    assert set(discovery["names"]) <= set(project["services"])
    for name in config["rule_files"]:
        assert (DEPLOY / "prometheus" / name).is_file()
