"""The wheel holds all the worker needs, and nothing of the lab's weight."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git tracks, as on a clean checkout: a file that is only on this machine would be missing."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"
    checkout.mkdir()
    archive = folder / "tree.tar"
    tree = (
        subprocess.run(["git", "stash", "create"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() or "HEAD"
    )
    subprocess.run(["git", "archive", "--output", str(archive), tree], cwd=ROOT, check=True)
    with tarfile.open(archive) as tar:
        tar.extractall(checkout, filter="data")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(checkout)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `worker` is the installed wheel and not the checkout."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("INTAKE_", "COV_", "COVERAGE_"))}
    return clean | {"PYTHONPATH": str(target), "XDG_DATA_HOME": str(target / "data")}


def run(code: str, environment: dict[str, str], folder: Path) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_the_installed_package_is_the_wheel_and_not_the_checkout(elsewhere: dict[str, str], tmp_path: Path) -> None:
    assert run("import worker; print(worker.__file__)", elsewhere, tmp_path).startswith(elsewhere["PYTHONPATH"])


def test_every_schema_is_inside_the_wheel(wheel: Path) -> None:
    inside = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("worker/schemas/")}
    committed = {path.name for path in (ROOT / "schemas").glob("*.json")} | {"asyncapi.yaml"}
    assert committed
    assert committed <= inside


def test_the_installed_command_lists_the_models_it_carries_and_verifies_them(elsewhere: dict[str, str], tmp_path: Path) -> None:
    listed = run("from worker.cli import app; app(['models', 'list'])", elsewhere, tmp_path)
    assert "u2netp" in listed
    assert "grabcut" in listed


def test_the_default_embedder_runs_from_the_wheel(elsewhere: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from worker.settings import VisionSettings\n"
        "from worker.vision import load_models\n"
        "from worker.vision.types import Crop\n"
        "models = load_models(VisionSettings(segmenter='none'))\n"
        "crop = Crop(np.full((models.crop_side,) * 2 + (3,), 90, np.uint8), np.full((models.crop_side,) * 2, 255, np.uint8))\n"
        "print(float(np.linalg.norm(models.embedder.embed([crop])[0])))\n"
    )
    assert float(run(code, elsewhere, tmp_path)) == pytest.approx(1.0, abs=1e-4)


def test_the_demo_page_template_is_inside_the_wheel(elsewhere: dict[str, str], tmp_path: Path) -> None:
    code = "from worker.demo.page import *; print(render_page(PageSummary('a title', ()), []).count('a title'))"
    assert int(run(code, elsewhere, tmp_path)) > 0


def test_the_serving_worker_asks_for_no_torch(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(metadata).decode())
    wanted = [Requirement(text) for text in headers.get_all("Requires-Dist", [])]
    serving = {each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})}
    assert {"kafka-python", "boto3", "onnxruntime", "qdrant-client", "pydantic-settings"} <= serving
    assert not serving & {"torch", "torchvision", "timm", "scikit-learn", "moto", "onnxruntime-gpu"}
    gpu = {each.name for each in wanted if each.marker is not None and each.marker.evaluate({"extra": "gpu"})}
    assert gpu == {"onnxruntime-gpu"}


def test_the_serving_worker_imports_nothing_of_the_lab() -> None:
    code = (
        "import sys\n"
        "from worker.cli import app\n"
        "import worker.pipeline, worker.assembly\n"
        "heavy = sorted(name for name in sys.modules if name.split('.')[0] in {'torch', 'torchvision', 'sklearn', 'skimage', 'timm'})\n"
        "print(heavy)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"
