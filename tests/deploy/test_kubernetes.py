from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.checking import DEPLOY, Checker
from worker.ops.settings_reference import all_settings, setting_names
from worker.settings import Settings, load_settings

# Building the checker for the first time compiles Kubernetes' types.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

OVERLAYS = ("cpu", "gpu")
# The oldest and newest cluster these files are for, and one between.
VERSIONS = ("1.30", "1.33", kubernetes_validate.latest_version())
CUSTOM = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")

Manifests = dict[str, list[dict[str, Any]]]


def one(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def pod(documents: list[dict[str, Any]]) -> dict[str, Any]:
    template: dict[str, Any] = one(documents, "StatefulSet")["spec"]["template"]
    return template


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = pod(documents)["spec"]["containers"]
    return dict(found)


def environment(documents: list[dict[str, Any]]) -> dict[str, str]:
    """What the container's environment will be, fields of the pod included."""
    found: dict[str, str] = {}
    for source in container(documents)["envFrom"]:
        config = one(documents, "ConfigMap")
        assert source["configMapRef"]["name"] == config["metadata"]["name"]
        found.update(config["data"])
    for variable in container(documents)["env"]:
        found[variable["name"]] = variable.get("value") or f"the pod's {variable['valueFrom']['fieldRef']['fieldPath']}"
    return found


# ---- schemas


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_in_every_supported_cluster(manifests: Manifests, overlay: str, version: str) -> None:
    core = [document for document in manifests[overlay] if document["apiVersion"] not in CUSTOM]
    assert {document["kind"] for document in core} == {
        "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount", "StatefulSet",
    }  # fmt: skip
    for document in core:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_be_found(manifests: Manifests) -> None:
    broken = copy.deepcopy(one(manifests["cpu"], "StatefulSet"))
    broken["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_resources_are_what_their_operators_types_say(manifests: Manifests, checker: Checker, overlay: str) -> None:
    custom = [document for document in manifests[overlay] if document["apiVersion"] in CUSTOM]
    seen = checker.run("custom", stdin=yaml.safe_dump_all(custom))
    assert sorted(line.split()[0] for line in seen.splitlines()) == [
        "PodMonitor",
        "PrometheusRule",
        "ScaledObject",
        "TriggerAuthentication",
    ]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ScaledObject", ("spec", "maxReplicas"), 3),
        ("ScaledObject", ("spec", "maxReplicaCount"), 0),
        ("ScaledObject", ("spec", "fallback", "failureThreshold"), -1),
        ("PodMonitor", ("spec", "podMetricEndpoints"), []),
        ("TriggerAuthentication", ("spec", "secretTargetRefs"), []),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "expression"), "up"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_custom_resource_would_be_found(
    manifests: Manifests, checker: Checker, kind: str, path: tuple[str | int, ...], value: Any
) -> None:
    broken = copy.deepcopy(one(manifests["cpu"], kind))
    place: Any = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(AssertionError, match=kind):
        checker.run("custom", stdin=yaml.safe_dump(broken))


# ---- settings and secrets


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_worker_starts_with_the_settings_of_the_overlay(
    manifests: Manifests, overlay: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables = environment(manifests[overlay])
    assert set(variables) <= setting_names()
    (tmp_path / "INTAKE_KAFKA__SASL_PASSWORD").write_text("from the secret")
    monkeypatch.chdir(tmp_path)
    for name, value in (variables | {"INTAKE_SECRETS_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.stream.group_instance_id == "the pod's metadata.name"
    assert settings.vision.provider == {"cpu": "cpu", "gpu": "cuda"}[overlay]
    assert settings.kafka.security_protocol == "SASL_SSL"
    assert settings.ops.http_port == container(manifests[overlay])["ports"][0]["containerPort"]
    assert settings.ops.faults is None


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_any_manifest(manifests: Manifests, overlay: str) -> None:
    assert "Secret" not in {document["kind"] for document in manifests[overlay]}
    secret_settings = {setting.variable for setting in all_settings() if setting.secret}
    assert secret_settings
    assert not secret_settings & set(environment(manifests[overlay]))
    mounted = {volume["name"]: volume for volume in pod(manifests[overlay])["spec"]["volumes"]}
    assert mounted["secrets"]["secret"]["secretName"] == "intake-worker"
    mounts = {mount["name"]: mount for mount in container(manifests[overlay])["volumeMounts"]}
    assert mounts["secrets"]["mountPath"] == environment(manifests[overlay])["INTAKE_SECRETS_DIR"]
    assert mounts["secrets"]["readOnly"] is True


def test_a_file_named_in_a_setting_is_mounted(manifests: Manifests) -> None:
    authority = environment(manifests["cpu"])["INTAKE_KAFKA__SSL_CAFILE"]
    assert any(authority.startswith(mount["mountPath"] + "/") for mount in container(manifests["cpu"])["volumeMounts"])


def test_a_changed_setting_rolls_the_pods(manifests: Manifests) -> None:
    names = {overlay: one(documents, "ConfigMap")["metadata"]["name"] for overlay, documents in manifests.items()}
    assert len(set(names.values())) == len(OVERLAYS)
    assert all(name.startswith("intake-worker-settings-") for name in names.values())


# ---- how it runs


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_may_do_as_little_as_possible(manifests: Manifests, overlay: str) -> None:
    spec = pod(manifests[overlay])["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert container(manifests[overlay])["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    writable = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
    assert {mount["mountPath"] for mount in container(manifests[overlay])["volumeMounts"] if mount["name"] in writable} == {
        "/tmp", "/var/lib/intake",
    }  # fmt: skip
    assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_orderly_end_fits_into_the_grace_period(manifests: Manifests, overlay: str) -> None:
    variables = environment(manifests[overlay])
    needed = float(variables["INTAKE_STREAM__DRAIN_TIMEOUT_S"]) + float(variables["INTAKE_STREAM__CALL_TIMEOUT_S"])
    assert pod(manifests[overlay])["spec"]["terminationGracePeriodSeconds"] > needed


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_the_right_questions(manifests: Manifests, overlay: str) -> None:
    worker = container(manifests[overlay])
    assert worker["startupProbe"]["httpGet"] == worker["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert worker["ports"][0]["name"] == "http"
    warm_up = worker["startupProbe"]["periodSeconds"] * worker["startupProbe"]["failureThreshold"]
    assert warm_up >= {"cpu": 120, "gpu": 300}[overlay]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_selector_selects_the_worker(manifests: Manifests, overlay: str) -> None:
    documents = manifests[overlay]
    labels = pod(documents)["metadata"]["labels"]
    selectors = {
        "StatefulSet": one(documents, "StatefulSet")["spec"]["selector"]["matchLabels"],
        "Service": one(documents, "Service")["spec"]["selector"],
        "PodDisruptionBudget": one(documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": one(documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        "PodMonitor": one(documents, "PodMonitor")["spec"]["selector"]["matchLabels"],
    }
    for spread in pod(documents)["spec"]["topologySpreadConstraints"]:
        selectors[spread["topologyKey"]] = spread["labelSelector"]["matchLabels"]
    for name, selector in selectors.items():
        assert selector, name
        assert selector.items() <= labels.items(), name
    assert one(documents, "StatefulSet")["spec"]["serviceName"] == one(documents, "Service")["metadata"]["name"]
    assert {document["metadata"]["namespace"] for document in documents} == {"intake"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_keda_scales_the_worker_by_the_lag_of_its_own_group(manifests: Manifests, overlay: str) -> None:
    documents = manifests[overlay]
    scaled = one(documents, "ScaledObject")["spec"]
    target = one(documents, "StatefulSet")
    assert scaled["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": target["metadata"]["name"]}
    assert "replicas" not in target["spec"], "a number here would fight KEDA at every apply"
    (trigger,) = scaled["triggers"]
    from_worker = {name: value for name, value in trigger["metadata"].items() if name.endswith("FromEnv")}
    assert set(from_worker) == {"bootstrapServersFromEnv", "consumerGroupFromEnv", "topicFromEnv"}
    assert set(from_worker.values()) <= set(environment(documents))
    assert trigger["authenticationRef"]["name"] == one(documents, "TriggerAuthentication")["metadata"]["name"]
    assert scaled["minReplicaCount"] >= 1


def test_never_more_workers_than_partitions(manifests: Manifests) -> None:
    from worker.stream.topics import INPUT_PARTITIONS

    assert one(manifests["cpu"], "ScaledObject")["spec"]["maxReplicaCount"] <= INPUT_PARTITIONS


def test_names_in_the_base_are_the_defaults_of_the_settings(manifests: Manifests) -> None:
    variables = environment(manifests["cpu"])
    defaults = Settings.model_construct().stream
    assert variables["INTAKE_STREAM__TOPICS__ITEM_PHOTOGRAPHED"] == defaults.topics.item_photographed
    assert variables["INTAKE_STREAM__GROUP_ID"] == defaults.group_id


def test_the_network_lets_out_what_the_settings_name_and_not_the_metadata_address(manifests: Manifests) -> None:
    policy = one(manifests["cpu"], "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    names, world = policy["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert "169.254.169.254/32" in world["to"][0]["ipBlock"]["except"]
    open_ports: set[int] = set()
    for rule in world["ports"]:
        open_ports.update(range(rule["port"], rule.get("endPort", rule["port"]) + 1))
    variables = environment(manifests["cpu"])
    kafka = int(variables["INTAKE_KAFKA__BOOTSTRAP_SERVERS"].rsplit(":", 1)[1])
    qdrant = int(variables["INTAKE_CATALOGUE__URL"].rsplit(":", 1)[1])
    assert {kafka, qdrant, 443} <= open_ports
    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"port": "http"}]


def test_only_the_gpu_overlay_asks_for_a_gpu(manifests: Manifests) -> None:
    gpu, cpu = container(manifests["gpu"]), container(manifests["cpu"])
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["image"].endswith("-cuda")
    assert environment(manifests["gpu"])["INTAKE_VISION__PROVIDER"] == "cuda"
    assert "nvidia" not in json.dumps(manifests["cpu"])
    assert cpu["resources"]["requests"] == {"cpu": "2", "memory": "2Gi"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_threads_and_memory_fit_what_is_asked_for(manifests: Manifests, overlay: str) -> None:
    variables, resources = environment(manifests[overlay]), container(manifests[overlay])["resources"]
    assert int(variables["INTAKE_VISION__THREADS"]) <= int(resources["requests"]["cpu"])
    decoders = int(variables["INTAKE_IMAGING__DECODER_PROCESSES"]) * Settings.model_construct().imaging.decoder_memory_mb
    limit = int(resources["limits"]["memory"].removesuffix("Gi")) * 1024
    # What is left beside decoders at their limit: the process with both models, warm, needs below 1.5 GiB.
    assert limit - decoders >= 1536
    assert "cpu" not in resources["limits"], "throttling makes heartbeats late"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_pinned(manifests: Manifests, overlay: str) -> None:
    name, _, tag = container(manifests[overlay])["image"].partition(":")
    assert name == "intake-worker"
    assert tag[0].isdigit()


def test_every_file_of_the_folder_is_used() -> None:
    folder = DEPLOY / "k8s"
    used = {folder / "base" / "worker.env"}
    for kustomization in folder.rglob("kustomization.yaml"):
        used.add(kustomization)
        content = yaml.safe_load(kustomization.read_text())
        for name in content.get("resources", []):
            used.add((kustomization.parent / name).resolve())
    assert {path for path in folder.rglob("*") if path.is_file()} <= used
