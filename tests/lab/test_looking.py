"""`intake lab look` from a manifest to files: what lies there, that it is the same again, and what is said where it cannot be."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.lab.conftest import PhotoWriter
from tests.lab.test_embedding import run_lab
from worker.errors import ConfigurationError
from worker.lab.looking.maps import Spot, draw_map, group_colours, on_canvas, thumbnail_side, with_thumbnails
from worker.lab.manifest import ManifestLine, write_manifest

pytest.importorskip("sklearn")

METHOD = "none+colour-histogram"


@pytest.fixture
def shop(tmp_path: Path, write_photo: PhotoWriter, own_cache: Path) -> Path:
    """Eight articles, a query of each of three, two unseen garments, a photo that is not there; an article with a name that HTML minds."""
    lines = []
    for number in range(8):
        write_photo(tmp_path / "p" / f"{number}.png", number, 96)
        name = "<b>&'\"" if number == 3 else f"a{number}"
        lines.append(ManifestLine(f"p/{number}.png", name, "catalogue", "studio", ("tops", "skirts")[number % 2]))
    for number in range(5):
        write_photo(tmp_path / "q" / f"{number}.png", number if number < 3 else 50 + number, 90)
        lines.append(ManifestLine(f"q/{number}.png", f"a{number}" if number < 3 else "", "query", "phone"))
    lines.append(ManifestLine("q/gone.png", "a1", "query", "phone"))
    write_manifest(tmp_path / "shop.csv", lines)
    return tmp_path / "shop.csv"


def test_pictures_table_and_page_are_written_and_are_the_same_in_a_second_run(tmp_path: Path, shop: Path) -> None:
    for name in ("one", "two"):
        result = run_lab("look", "-m", shop, "--method", METHOD, "-o", tmp_path / name, "--sheets", "4")
        assert result.exit_code == 0, result.output
    assert "row 14 (q/gone.png): photo-missing" in result.stderr
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [
        "clusters-tsne.png",
        "clusters.csv",
        "clusters.png",
        "false-alerts.png",
        "hits.png",
        "index.html",
        "map-tsne.png",
        "misses.png",
        "silhouette.png",
    ]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    for name in files:
        if name.endswith(".png"):
            pixels = np.asarray(Image.open(tmp_path / "one" / name))
            assert pixels.ndim == 3
            assert pixels.std() > 1, name
    with (tmp_path / "one" / "clusters.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"p/{number}.png" for number in range(8)]
    assert {row["category"] for row in rows} == {"tops", "skirts"}
    assert sum(row["place"] == "1" for row in rows) == len({row["cluster"] for row in rows}) >= 2
    page = (tmp_path / "one" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page
    assert page.count("data:image/jpeg;base64,") == len(files) - 2
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    # A hover title for each of the 13 photos that can be read, and again for the catalogue's on the map of clusters.
    assert page.count("<i style=") == 13 + 8
    assert "1 photos cannot be read" in page


def test_without_queries_there_are_maps_and_clusters_and_without_a_catalogue_a_map_alone(tmp_path: Path, shop: Path) -> None:
    lines = shop.read_text().splitlines()
    (tmp_path / "c.csv").write_text("\n".join([lines[0], *(line for line in lines if ",catalogue," in line)]) + "\n")
    (tmp_path / "q.csv").write_text("\n".join([lines[0], *(line for line in lines if ",query," in line)]) + "\n")
    assert run_lab("look", "-m", tmp_path / "c.csv", "--method", METHOD, "-o", tmp_path / "n", "--clusters", "3").exit_code == 0
    made = {path.name for path in (tmp_path / "n").iterdir()}
    assert made == {"map-tsne.png", "clusters.csv", "silhouette.png", "clusters.png", "clusters-tsne.png", "index.html"}
    assert "k = 3 was asked for" in (tmp_path / "n" / "index.html").read_text()
    assert run_lab("look", "-m", tmp_path / "q.csv", "--method", METHOD, "-o", tmp_path / "m").exit_code == 0
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"map-tsne.png", "index.html"}


def test_what_cannot_be_is_said_before_anything_is_written(tmp_path: Path, shop: Path) -> None:
    lines = shop.read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(lines[:5]) + "\n")
    result = run_lab("look", "-m", tmp_path / "few.csv", "--method", METHOD, "-o", tmp_path / "o")
    assert isinstance(result.exception, ConfigurationError)
    assert "a map needs 5 photos or more that can be read; there are 4" in str(result.exception)
    result = run_lab("look", "-m", shop, "--method", METHOD, "-o", tmp_path / "o", "--clusters", "9")
    assert "8 different photos cannot be parted into 9 clusters" in str(result.exception)
    assert isinstance(run_lab("look", "-m", shop, "-o", tmp_path / "o", "--projection", "pca").exception, ConfigurationError)
    for wrong in ("one", "1", "-3", "2.5"):
        assert run_lab("look", "-m", shop, "-o", tmp_path / "o", "--clusters", wrong).exit_code == 2
    assert not (tmp_path / "o").exists()


def spots(count: int, groups: int = 2) -> list[Spot]:
    rng = np.random.default_rng(0)
    return [
        Spot(float(x), float(y), f"p{number}", f"g{number % groups}", number % 2 == 0, f"photo {number}")
        for number, (x, y) in enumerate(rng.random((count, 2)))
    ]


@pytest.mark.parametrize("count", [1, 5, 300, 3000])
def test_thumbnails_do_not_cover_one_another_and_are_drawn_where_their_photo_is(count: int) -> None:
    placed = spots(count)
    shown = with_thumbnails(placed)
    places = np.array([on_canvas(placed[number]) for number in shown])
    apart = np.abs(places[:, None] - places[None]).max(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert count == 1 or apart.min() >= thumbnail_side(count) * 0.8
    assert shown == with_thumbnails(placed)
    assert len(shown) >= min(count, 100)


def test_a_map_shows_crops_in_their_groups_colour_and_dots_where_there_is_no_room() -> None:
    placed = [
        Spot(0.2, 0.2, "a", "g", catalogue=True, title=""),
        Spot(0.8, 0.8, "b", "", catalogue=False, title=""),
        Spot(0.8, 0.81, "c", "h", catalogue=False, title=""),
    ]
    crops = {name: np.full((20, 20, 3), shade, np.uint8) for name, shade in (("a", 10), ("b", 60), ("c", 110))}
    colours = group_colours(placed, "")
    drawn = draw_map("t", placed, colours, crops)
    x, y = (round(v) for v in on_canvas(placed[0]))
    side = thumbnail_side(3)
    assert drawn[y, x].tolist() == [10, 10, 10]
    assert tuple(drawn[y - side // 2 - 2, x].tolist()) == colours["g"]
    shown = {placed[number].location for number in with_thumbnails(placed)}
    assert len(shown & {"b", "c"}) == 1
    assert np.array_equal(drawn, draw_map("t", placed, colours, crops))


def test_groups_beyond_the_colours_and_the_grey_one_are_grey() -> None:
    many = group_colours(spots(100, 20), "g3")
    assert len(many) == 13
    assert len(set(many.values())) == 13
    assert many["g3"] == (150, 156, 165)
    assert list(many)[-1] == "g3"
