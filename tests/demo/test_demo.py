"""The demo: the whole system, with the default models, in the command a newcomer runs first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from rich.console import Console

from tests.infra.photos import PhotoArchive
from worker.demo.child import child_environment
from worker.demo.plan import demo_options, folder_plan, simulated_plan
from worker.demo.run import DemoOptions, run_demo
from worker.errors import ConfigurationError
from worker.events import CatalogueInsert, DeadLetter, MatchAlert
from worker.imaging.decode import encode_jpeg
from worker.simulate.phone import phone_shot
from worker.simulate.studio import cut_out_studio
from worker.vision.types import ByteArray


def decoded(data: bytes) -> ByteArray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.integration
def test_a_drawn_demo_decides_every_arrival_and_leaves_a_page(tmp_path: Path) -> None:
    result = run_demo(DemoOptions(output=tmp_path / "out", articles=10, count=16, rate=50.0, seed=3), Console(quiet=True))

    assert result.published == 16
    assert result.report is not None
    assert result.report.complete
    assert result.report.right >= 12, result.report.misses
    page = result.page.read_text()
    assert page.count("<article ") == 16
    assert "data:image/jpeg;base64," in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.integration
@pytest.mark.photos
def test_real_photos_go_through_the_whole_worker_and_rephotographed_articles_are_found(tmp_path: Path) -> None:
    studio, phone = PhotoArchive("luma"), PhotoArchive("clothing")
    # one colour of each style: other colours are near-identical articles, and which of them it is, is another question
    fronts = [name for name in studio.names if name.endswith("_main.jpg")]
    styles = list({name.rsplit("-", 1)[0]: name for name in fronts}.values())[:24]
    catalogue, arrivals = tmp_path / "catalogue", tmp_path / "arrivals"
    catalogue.mkdir()
    arrivals.mkdir()
    for name in styles:
        (catalogue / name.replace("_main", "")).write_bytes(studio.read(name))
    again = styles[::3]
    for number, name in enumerate(again):
        rgb = decoded(studio.read(name))
        image, _ = phone_shot(rgb, cut_out_studio(rgb), None, np.random.default_rng(number))
        (arrivals / f"again-{name.replace('_main', '')}").write_bytes(encode_jpeg(image, 90))
    for name in phone.names[100:108]:
        (arrivals / f"unseen-{name}").write_bytes(phone.read(name))
    (arrivals / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")

    result = run_demo(
        DemoOptions(output=tmp_path / "out", catalogue=catalogue, arrivals=arrivals, rate=50.0), Console(quiet=True)
    )

    outcomes = lines(result.outcomes)
    assert len(outcomes) == len(again) + 8 + 1
    found = 0
    for outcome in outcomes:
        text = json.dumps(outcome)
        if "original_value_base64" in outcome:
            assert DeadLetter.model_validate_json(text).arrival_id == "broken"
        elif outcome["decision"] == "new":
            CatalogueInsert.model_validate_json(text)
        else:
            alert = MatchAlert.model_validate_json(text)
            found += alert.arrival_id == f"again-{alert.candidates[0].article_id}"
    assert found >= 0.75 * len(again)


def _interruptible() -> None:
    """A shell ignores SIGINT in what it starts in the background, and its children inherit that: not what a person at a terminal has."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.integration
def test_ctrl_c_ends_the_demo_and_everything_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "worker.cli", "demo", "--output", str(tmp_path / "out"), "--articles", "2", "--count", "2"]
    demo = subprocess.Popen(
        command,
        env=child_environment({}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_interruptible,  # noqa: PLW1509  it only sets a signal
    )
    children: list[psutil.Process] = []
    end = time.monotonic() + 60
    while len(children) < 2:
        assert time.monotonic() < end
        assert demo.poll() is None
        children = [child for child in psutil.Process(demo.pid).children(recursive=True) if child.is_running()]
        time.sleep(0.05)
    os.kill(demo.pid, signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode != 0
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert gone


def test_a_folder_is_read_as_files_and_sub_folders_of_views(tmp_path: Path) -> None:
    catalogue, arrivals = tmp_path / "catalogue", tmp_path / "arrivals"
    (catalogue / "shirt-1").mkdir(parents=True)
    (catalogue / "shirt-1" / "front.jpg").write_bytes(b"x")
    (catalogue / "shirt-2.png").write_bytes(b"x")
    (arrivals / "seen 1").mkdir(parents=True)
    for view in ("front.jpg", "back.jpg"):
        (arrivals / "seen 1" / view).write_bytes(b"x")
    (arrivals / "seen-2.webp").write_bytes(b"x")
    (arrivals / "notes.txt").write_text("not a photo")

    plan = folder_plan(catalogue, arrivals)

    assert plan.articles == 2
    assert [len(arrival.photos) for arrival in plan.arrivals] == [2, 1]
    assert {view for view, _ in plan.arrivals[0].photos} == {"front", "back"}
    assert all(" " not in arrival.arrival_id for arrival in plan.arrivals)
    assert plan.truths == []


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        folder_plan(tmp_path / "nowhere", tmp_path)
    with pytest.raises(ConfigurationError, match="holds no photo"):
        folder_plan(tmp_path, tmp_path)


def test_one_folder_without_the_other_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="both"):
        run_demo(DemoOptions(output=tmp_path, catalogue=tmp_path), Console(quiet=True))


def test_drawn_photos_are_not_drawn_again(tmp_path: Path) -> None:
    options = demo_options(3, 4, seed=1)
    first = simulated_plan(tmp_path, options, lambda _done, _total: None, processes=1)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    second = simulated_plan(tmp_path, options, lambda _done, _total: None, processes=1)
    assert first == second
    assert written
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} == written
