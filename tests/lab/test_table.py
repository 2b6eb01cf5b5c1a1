"""The table "method x data set": its methods, any segmenter of the registry in it, its Markdown, and what memory a method takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.infra.needs import require
from tests.lab.conftest import PhotoWriter
from tests.lab.test_embedding import run_lab
from tests.lab.test_evaluation import embedded, pictures
from tests.vision.conftest import row_of, segmenter_file
from worker.errors import ConfigurationError
from worker.lab.cache import LabCache
from worker.lab.descriptors.backbones import BACKBONES
from worker.lab.evaluation import Evaluated, evaluate
from worker.lab.manifest import ManifestLine, write_manifest
from worker.lab.method import parse_methods, read_methods
from worker.lab.report.markdown import markdown_table
from worker.lab.report.page import MOST_DRAWN, drawn_methods, write_page

TABLE = Path(__file__).parents[2] / "worker" / "lab" / "table.txt"
HAND_MADE = ("gist", "hog", "colour-histogram", "colour-coherence", "harris", "white-box")
NETWORKS = tuple(row.name for row in BACKBONES if not row.name.endswith("-pooled"))


@pytest.fixture
def shop(tmp_path: Path, write_photo: PhotoWriter, own_cache: Path) -> Path:
    """Three articles and a query of each."""
    lines = []
    for number in range(3):
        write_photo(tmp_path / "p" / f"{number}.png", number, 96)
        write_photo(tmp_path / "q" / f"{number}.png", number, 90)
        lines.append(ManifestLine(f"p/{number}.png", f"a{number}", "catalogue", "studio"))
        lines.append(ManifestLine(f"q/{number}.png", f"a{number}", "query", "phone"))
    write_manifest(tmp_path / "shop.csv", lines)
    return tmp_path / "shop.csv"


def test_the_table_holds_every_segmenter_descriptor_reduction_and_distance() -> None:
    methods = parse_methods(read_methods(TABLE))
    pairs = {(method.segmenter, method.descriptor) for method in methods}
    for descriptor in (*HAND_MADE, "efficientnet-lite0", "mobilenet-v2"):
        assert {("none", descriptor), ("grabcut", descriptor), ("u2netp", descriptor)} <= pairs
    reduced = {method.descriptor for method in methods if method.reduction is not None}
    for network in NETWORKS:
        assert ("u2netp", network) in pairs
        assert network in reduced
    assert {("default", "default"), ("none", "default"), ("grabcut", "default")} <= pairs
    assert {("default", "default"), ("u2netp", "resnet18")} <= {
        (method.segmenter, method.descriptor) for method in methods if method.text.endswith("+svm")
    }
    assert {method.distance for method in methods} == {None, "cosine", "l1", "l2"}


def test_methods_come_from_a_file_beside_those_that_are_named(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "m.txt").write_text("# mine\n\nnone+colour-histogram  # by its own distance\n  none+colour-histogram:l2\n")
    result = run_lab(
        "evaluate", "-m", shop, "--method", "none+harris", "--methods-file", tmp_path / "m.txt",
        "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "r.json").read_text())["methods"]
    assert [row["method"] for row in rows] == ["none+harris", "none+colour-histogram", "none+colour-histogram:l2"]
    assert all(row["cost"]["memory_mb"] is None for row in rows)
    assert "| `none+colour-histogram:l2` | " in (tmp_path / "r.md").read_text()
    (tmp_path / "m.txt").write_text("# nothing\n")
    for wrong in ("m.txt", "gone.txt"):
        result = run_lab("evaluate", "-m", shop, "--methods-file", tmp_path / wrong)
        assert isinstance(result.exception, ConfigurationError)
        assert wrong in str(result.exception)


def test_any_segmenter_of_the_registry_is_a_segmenter_of_a_method(
    tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of one's own, with an id as a trained network has it, whose mask is the photo's red channel."""
    row = row_of(segmenter_file(tmp_path / "red.onnx"), "segment", id="fc-densenet56_v1.2")
    folder = tmp_path / "registry" / "rows"
    folder.mkdir(parents=True)
    (folder / "red.json").write_text(row.model_dump_json(exclude_none=True))
    monkeypatch.setenv("INTAKE_VISION__REGISTRY_DIR", str(tmp_path / "registry"))
    vectors = {}
    for method in (f"{row.id}+colour-histogram", f"{row.id}+colour-histogram+pca2d:l1", "none+colour-histogram"):
        result = run_lab("embed", "-m", shop, "--method", method, "-o", tmp_path / "v.npy")
        assert result.exit_code == 0, result.output
        vectors[method] = np.load(tmp_path / "v.npy")
    own, reduced, whole = vectors.values()
    assert np.isfinite(own).all()
    assert reduced.shape == (6, 2)
    assert not np.allclose(own, whole)
    assert row.id in run_lab("methods").output


def several(count: int) -> list[Evaluated]:
    """Methods that find less and less; the last one was never trained."""
    from dataclasses import replace

    items = [evaluate(embedded(text=f"none+gist+pca{9 + n}d", noise=0.5 + n * 0.4)) for n in range(count)]
    last = replace(items[0].result, method="none+vgg16", random_weights=True, weights="random, seed 0")
    return [*items[::-1], replace(items[0], result=last)]


def test_the_markdown_table_says_what_was_measured_the_best_first_and_the_random_last() -> None:
    evaluated = several(3)
    lines = markdown_table([item.result for item in evaluated]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][:4] == ["method", "phone (30)", "back (30)", "all (60)"]
    assert {len(row) for row in cells} == {len(cells[0])}
    names = [row[0] for row in cells[2:]]
    assert names == [
        "`none+gist+pca9d`",
        "`none+gist+pca10d`",
        "`none+gist+pca11d`",
        "`none+vgg16` (RANDOM WEIGHTS)",
        "by chance",
    ]
    for row in cells[2:-1]:
        result = next(item.result for item in evaluated if f"`{item.result.method}`" == row[0].split(" (")[0])
        for cell, kind in zip(row[1:4], result.kinds, strict=True):
            assert kind.found_at_1_percent is not None
            assert cell == f"{kind.top[1] * 100:.0f} / {kind.found_at_1_percent * 100:.0f}"
        assert row[4:7] == ["8", "2", "3"]
    assert cells[-1][1:4] == ["3.3", "3.3", "3.3"]
    assert "memory, MB" not in cells[0]


def test_a_page_of_many_methods_draws_the_best_and_tells_of_all(tmp_path: Path) -> None:
    evaluated = several(MOST_DRAWN + 1)
    drawn = drawn_methods([item.result for item in evaluated])
    assert sorted(drawn.values()) == list(range(MOST_DRAWN))
    assert "none+vgg16" not in drawn
    write_page(evaluated, Path("m.csv"), tmp_path / "r.html", pictures, rows=1)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"The tables hold all {MOST_DRAWN + 2} methods" in page
    assert "none+vgg16 (RANDOM WEIGHTS)</td>" in page
    assert "figures say nothing about the trained network: none+vgg16.</p>" in page
    assert "<li>none+vgg16: random, seed 0</li>" in page
    assert "<h2>none+vgg16" not in page
    assert "<h2>none+gist+pca9d</h2>" in page


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


# The kernel is asked for the pages themselves: an allocator may answer from what was freed before, which is resident already.
HOLD_AND_LET_GO = """
import json, mmap
from worker.lab.memory import forget_peak, resident_mb

readings = [resident_mb("VmRSS")]
held = mmap.mmap(-1, 96_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(held), mmap.PAGESIZE):
    held[page] = 1
readings.append(resident_mb("VmRSS"))
held.close()
readings.append(resident_mb("VmHWM"))
forget_peak()
readings.append(resident_mb("VmHWM"))
print(json.dumps(readings))
"""


@linux
def test_the_peak_is_what_was_held_since_it_was_forgotten() -> None:
    """In a process of its own, as methods are measured: in this one, threads of other tests may hold and free memory meanwhile."""
    done = subprocess.run([sys.executable, "-c", HOLD_AND_LET_GO], capture_output=True, text=True, check=True, timeout=60)
    idle, holding, peak, forgotten = json.loads(done.stdout)
    assert 90 < holding - idle < 110
    assert 90 < peak - idle < 110
    require(forgotten - idle < 60, "a kernel that lets a process forget its peak")


@linux
def test_memory_is_measured_in_a_process_of_its_own_once_and_a_network_takes_more(
    tmp_path: Path, shop: Path, own_cache: Path
) -> None:
    methods = ("--method", "none+colour-histogram", "--method", "u2netp+colour-histogram")
    result = run_lab("evaluate", "-m", shop, *methods, "--memory", "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md")
    assert result.exit_code == 0, result.output
    small, network = (row["cost"] for row in json.loads((tmp_path / "r.json").read_text())["methods"])
    # U²-Netp: 4.6 MB of weights, and feature maps of 320 x 320 beside one another.
    assert network["memory_mb"] > small["memory_mb"] + 20
    assert network["memory_mb"] >= network["loaded_mb"] > small["loaded_mb"]
    assert "memory, MB" in (tmp_path / "r.md").read_text()
    again = run_lab("evaluate", "-m", shop, *methods, "--memory", "--json", tmp_path / "s.json")
    assert again.exit_code == 0
    assert json.loads((tmp_path / "s.json").read_text()) == json.loads((tmp_path / "r.json").read_text())
    cache = LabCache(own_cache.parent)
    assert cache.memory("nothing") is None
    cache.close()
