"""The data of the table, from tiny data sets and from the shared photos."""

from __future__ import annotations

import csv
import os
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.infra.needs import require
from tests.lab.conftest import drawn
from worker.errors import ConfigurationError
from worker.lab.bench_data import BenchOptions, is_close_up, make_bench_data
from worker.lab.manifest import read_manifest
from worker.lab.photo_sets import PhotoSet
from worker.lab.reduction import read_attributes
from worker.lab.splits import part_of_style, style_of


def jpeg(seed: int, side: int = 240) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(drawn(seed, side), cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    """Two shops, one zipped and one unpacked, and phone photos of four senders."""
    folder = tmp_path / "datasets"
    for shop in ("luma", "venia", "clothing"):
        (folder / shop).mkdir(parents=True)
    with zipfile.ZipFile(folder / "luma" / "images.zip", "w") as file:
        for number, name in enumerate(
            ("mh01-red_main", "mh01-red_back", "mh01-blue_main", "ms02-red_main", "ms02-red_alt1", "mb01-red-0")
        ):
            file.writestr(f"{name}.jpg", jpeg(number))
        file.writestr("mh09-red_back.jpg", jpeg(9))  # its main view is missing
    for number, name in enumerate(("vd01-ll_main", "vd01-ll_alt")):
        (folder / "venia" / f"{name}.jpg").write_bytes(jpeg(20 + number))
    labels = ["T-Shirt"] * 8 + ["Skip"]
    with (folder / "clothing" / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "sender_id", "label", "kids"))
        for number, label in enumerate(labels):
            writer.writerow((f"p{number}", number % 4, label, "False"))
            (folder / "clothing" / f"p{number}.jpg").write_bytes(jpeg(40 + number))
    return folder


def test_every_kind_of_query_is_made_and_named(tmp_path: Path, datasets: Path) -> None:
    count = make_bench_data(datasets, tmp_path / "out", BenchOptions())
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert len(manifest.lines) == count
    assert all(Path(location).is_file() for location in manifest.locations)
    kinds = Counter(line.kind for line in manifest.lines)
    assert kinds["studio"] == 5
    assert kinds["phone"] == kinds["harsh phone"] == 5
    assert kinds["phone back"] == kinds["harsh phone back"] == kinds["luma back"] == 1
    assert kinds["luma other view"] == kinds["venia other view"] == 1
    assert {line.category for line in manifest.lines} == {"luma mh", "luma ms", "luma mb", "venia vd", ""}
    # Senders 0 and 3 are held out (divisible by three); what shows no garment is not used.
    assert {Path(line.path).stem for line in manifest.lines if not line.item_id} == {"p0", "p3", "p4", "p7"}
    assert all(manifest.unseen(line) == (not line.item_id) for line in manifest.lines if line.role == "query")


def test_attributes_of_every_article_lie_beside_the_manifest(tmp_path: Path, datasets: Path) -> None:
    make_bench_data(datasets, tmp_path / "out", BenchOptions())
    assert read_attributes(tmp_path / "out" / "attributes.csv") == {
        "luma-mb01-red-0": {"category": "luma mb", "colour": "red"},
        "luma-mh01-blue": {"category": "luma mh", "colour": "blue"},
        "luma-mh01-red": {"category": "luma mh", "colour": "red"},
        "luma-ms02-red": {"category": "luma ms", "colour": "red"},
        "venia-vd01-ll": {"category": "venia vd", "colour": "ll"},
    }


def test_the_same_data_is_made_again_and_what_is_there_is_kept(tmp_path: Path, datasets: Path) -> None:
    for name in ("one", "two"):
        make_bench_data(datasets, tmp_path / name, BenchOptions())
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    photo = tmp_path / "one" / "phone" / "luma" / "mh01-red_main.jpg"
    before = photo.stat().st_mtime_ns
    make_bench_data(datasets, tmp_path / "one", BenchOptions())
    assert photo.stat().st_mtime_ns == before


def test_queries_of_one_part_are_searched_in_the_whole_catalogue(tmp_path: Path, datasets: Path) -> None:
    make_bench_data(datasets, tmp_path / "all", BenchOptions())
    whole = read_manifest(tmp_path / "all" / "manifest.csv").lines
    for part in ("development", "held-out"):
        make_bench_data(datasets, tmp_path / part, BenchOptions(queries=part))
        lines = read_manifest(tmp_path / part / "manifest.csv").lines
        assert [line for line in lines if line.role == "catalogue"] == [line for line in whole if line.role == "catalogue"]
        wanted = [
            line
            for line in whole
            if line.role == "query" and (not line.item_id or part_of_style(style_of(line.item_id.split("-", 1)[1])) == part)
        ]
        assert [line for line in lines if line.role == "query"] == wanted
    with pytest.raises(ConfigurationError, match="no part 'test'"):
        make_bench_data(datasets, tmp_path / "x", BenchOptions(queries="test"))


def test_parts_share_no_style(tmp_path: Path, datasets: Path) -> None:
    styles = {}
    for part in ("development", "held-out"):
        make_bench_data(datasets, tmp_path / part, BenchOptions(part=part, unseen=1))
        lines = read_manifest(tmp_path / part / "manifest.csv").lines
        styles[part] = {style_of(line.item_id.split("-", 1)[1]) for line in lines if line.item_id}
        assert all(part_of_style(style) == part for style in styles[part])
    assert not styles["development"] & styles["held-out"]
    assert len(styles["development"] | styles["held-out"]) == 4


def test_the_number_of_styles_and_unseen_photos_can_be_limited(tmp_path: Path, datasets: Path) -> None:
    make_bench_data(datasets, tmp_path / "out", BenchOptions(styles=1, unseen=2))
    lines = read_manifest(tmp_path / "out" / "manifest.csv").lines
    assert len({style_of(line.item_id) for line in lines if line.item_id}) == 2
    assert sum(not line.item_id for line in lines) == 2


def test_what_is_missing_is_said(tmp_path: Path, datasets: Path) -> None:
    with pytest.raises(ConfigurationError, match="no part 'middle'"):
        make_bench_data(datasets, tmp_path / "out", BenchOptions(part="middle"))
    (datasets / "luma" / "images.zip").write_bytes(b"no zip")
    with pytest.raises(ConfigurationError, match="cannot read the photos"):
        PhotoSet(datasets / "luma")
    with pytest.raises(ConfigurationError, match=r"holds neither images\.zip nor photos"):
        PhotoSet(tmp_path)


def test_a_garment_that_goes_on_beyond_the_picture_is_a_close_up() -> None:
    whole = np.full((300, 240, 3), 250, np.uint8)
    whole[40:260, 60:180] = (120, 30, 40)
    near = np.full((300, 240, 3), 250, np.uint8)
    near[30:, :200] = (120, 30, 40)
    assert not is_close_up(whole)
    assert is_close_up(near)


@pytest.mark.photos
def test_the_shared_photos_make_a_manifest(tmp_path: Path) -> None:
    place = os.environ.get("INTAKE_DATASETS")
    folder = Path(place) if place else Path(__file__).parents[2].parent / "shared" / "datasets"
    require((folder / "luma").is_dir(), "the shared photos (INTAKE_DATASETS)")
    make_bench_data(folder, tmp_path, BenchOptions(styles=2, unseen=5))
    kinds = Counter(line.kind for line in read_manifest(tmp_path / "manifest.csv").lines)
    assert kinds["phone"] == kinds["studio"] >= 4
    assert kinds["clothing (unseen)"] == 5
