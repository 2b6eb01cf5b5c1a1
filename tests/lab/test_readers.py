"""Readers, each on a tiny data set in its authors' layout."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.errors import ConfigurationError
from worker.lab.manifest import ManifestLine, read_manifest, write_manifest
from worker.lab.readers import READERS, read_dataset
from worker.lab.splits import part_of_sender, part_of_style, style_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def listing(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(rows)), header, *rows]) + "\n")


def short(lines: list[ManifestLine], folder: Path) -> list[tuple[str, str, str, str, str]]:
    return [(str(Path(x.path).relative_to(folder)), x.item_id, x.role, x.kind, x.category) for x in lines]


@pytest.fixture(params=[("Eval", "Img"), (".", ".")], ids=["with folders", "flat"])
def in_shop(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    where, photos = request.param
    rows = [
        "img/WOMEN/Dresses/id_00000001/02_1_front.jpg id_00000001 train",
        "img/WOMEN/Dresses/id_00000002/02_1_front.jpg id_00000002 gallery",
        "img/WOMEN/Dresses/id_00000002/02_2_side.jpg    id_00000002 query",
        "img/MEN/Denim/id_00000003/01_7_additional.jpg id_00000003 gallery",
    ]
    listing(tmp_path / where / "list_eval_partition.txt", "image_name item_id evaluation_status", rows)
    touch(tmp_path / photos, *(row.split()[0] for row in rows))
    return tmp_path, "" if photos == "." else f"{photos}/"


def test_in_shop_has_the_official_queries_and_gallery(in_shop: tuple[Path, str]) -> None:
    folder, base = in_shop
    assert short(read_dataset("deepfashion-inshop", folder), folder) == [
        (f"{base}img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "id_00000002", "catalogue", "front", "WOMEN/Dresses"),
        (f"{base}img/WOMEN/Dresses/id_00000002/02_2_side.jpg", "id_00000002", "query", "side", "WOMEN/Dresses"),
        (f"{base}img/MEN/Denim/id_00000003/01_7_additional.jpg", "id_00000003", "catalogue", "additional", "MEN/Denim"),
    ]
    [train] = read_dataset("deepfashion-inshop", folder, "train")
    assert (train.item_id, train.role) == ("id_00000001", "catalogue")


def test_consumer_to_shop_names_each_photo_once(tmp_path: Path) -> None:
    base = "img/DRESSES/Skirt/id_00000001"
    rows = [
        f"{base}/comsumer_01.jpg {base}/shop_01.jpg id_00000001 test",
        f"{base}/comsumer_02.jpg {base}/shop_01.jpg id_00000001 test",
        f"{base}/comsumer_01.jpg {base}/shop_02.jpg id_00000001 test",
        "img/TOPS/Tank/id_00000009/comsumer_01.jpg img/TOPS/Tank/id_00000009/shop_01.jpg id_00000009 val",
    ]
    listing(tmp_path / "Eval/list_eval_partition.txt", "image_pair_name_1 image_pair_name_2 item_id evaluation_status", rows)
    touch(tmp_path, *(name for row in rows for name in row.split()[:2]))
    lines = short(read_dataset("deepfashion-consumer", tmp_path), tmp_path)
    assert sorted((Path(path).name, role) for path, _, role, _, _ in lines) == [
        ("comsumer_01.jpg", "query"),
        ("comsumer_02.jpg", "query"),
        ("shop_01.jpg", "catalogue"),
        ("shop_02.jpg", "catalogue"),
    ]
    assert {line[4] for line in lines} == {"DRESSES/Skirt"}
    assert {line.item_id for line in read_dataset("deepfashion-consumer", tmp_path, "val")} == {"id_00000009"}


def test_category_searches_the_training_part_by_category(tmp_path: Path) -> None:
    listing(tmp_path / "Anno/list_category_cloth.txt", "category_name  category_type", ["Anorak  1", "Jeans  2", "Dress  3"])
    labels = ["img/A/img_00000001.jpg    1", "img/B/img_00000001.jpg    2", "img/C/img_00000001.jpg    3"]
    listing(tmp_path / "Anno/list_category_img.txt", "image_name  category_label", labels)
    parts = ["img/A/img_00000001.jpg train", "img/B/img_00000001.jpg test", "img/C/img_00000001.jpg val"]
    listing(tmp_path / "Eval/list_eval_partition.txt", "image_name evaluation_status", parts)
    touch(tmp_path, *(part.split()[0] for part in parts))
    assert [line[1:4] for line in short(read_dataset("deepfashion-category", tmp_path), tmp_path)] == [
        ("Anorak", "catalogue", "upper-body"),
        ("Jeans", "query", "lower-body"),
    ]
    assert [line.item_id for line in read_dataset("deepfashion-category", tmp_path, "val")] == ["Anorak", "Dress"]


def test_street2shop_pairs_street_photos_with_the_shops_and_leaves_out_what_was_not_fetched(tmp_path: Path) -> None:
    meta = tmp_path / "meta/json"
    meta.mkdir(parents=True)
    box = {"width": 1, "top": 2, "left": 3, "height": 4}
    (meta / "retrieval_dresses.json").write_text(json.dumps([{"photo": 1, "product": 7}, {"photo": 2, "product": 8}]))
    pairs = [
        {"photo": 3, "product": 7, "bbox": box},
        {"photo": 3, "product": 8, "bbox": box},
        {"photo": 99, "product": 8, "bbox": box},
    ]
    (meta / "test_pairs_dresses.json").write_text(json.dumps(pairs))
    (meta / "train_pairs_dresses.json").write_text(json.dumps([{"photo": 4, "product": 8, "bbox": box}]))
    touch(tmp_path, "photos/000000001.jpg", "photos/2.png", "photos/000000003.jpg", "photos/000000004.jpeg")
    assert short(read_dataset("street2shop", tmp_path), tmp_path) == [
        ("photos/000000001.jpg", "7", "catalogue", "shop", "dresses"),
        ("photos/2.png", "8", "catalogue", "shop", "dresses"),
        ("photos/000000003.jpg", "7", "query", "street", "dresses"),
        ("photos/000000003.jpg", "8", "query", "street", "dresses"),
    ]
    assert [line.path for line in read_dataset("street2shop", tmp_path, "train") if line.role == "query"] == [
        str(tmp_path / "photos/000000004.jpeg")
    ]


def test_fashion_products_hold_out_about_a_fifth_and_bear_commas_in_names(tmp_path: Path) -> None:
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"
    rows = [f"{n},Men,Apparel,Topwear,Tshirts,Blue,Summer,2013,Sports,A shirt, blue, new\n" for n in range(200)]
    (tmp_path / "styles.csv").write_text(header + "".join(rows))
    touch(tmp_path, *(f"images/{n}.jpg" for n in range(199)))
    test, train = read_dataset("fashion-products", tmp_path), read_dataset("fashion-products", tmp_path, "train")
    roles = Counter(line.role for line in test)
    assert sum(roles.values()) == 199
    assert 20 <= roles["query"] <= 60
    assert {line.path for line in train} == {line.path for line in test if line.role == "catalogue"}
    assert {(line.item_id, line.category) for line in test} == {("Tshirts", "Apparel")}


def test_a_folder_for_each_article_makes_the_front_the_catalogue(tmp_path: Path) -> None:
    touch(tmp_path, "shirt/back.jpg", "shirt/front.jpg", "hat/2.png", "hat/1.png", "hat/notes.txt", ".hidden/a.jpg")
    assert short(read_dataset("folders", tmp_path), tmp_path) == [
        ("hat/1.png", "hat", "catalogue", "photo", ""),
        ("hat/2.png", "hat", "query", "photo", ""),
        ("shirt/back.jpg", "shirt", "query", "back", ""),
        ("shirt/front.jpg", "shirt", "catalogue", "front", ""),
    ]


def test_two_folders_name_catalogue_and_queries_and_what_is_unseen(tmp_path: Path) -> None:
    touch(tmp_path, "catalogue/shirt/a_front.jpg", "queries/shirt/phone.jpg", "queries/other/phone.jpg", "queries/loose.jpg")
    lines = read_dataset("folders", tmp_path)
    write_manifest(tmp_path / "m.csv", lines)
    manifest = read_manifest(tmp_path / "m.csv")
    assert {Path(line.path).as_posix().rsplit("/", 2)[-2] for line in lines if manifest.unseen(line)} == {"other", "queries"}
    assert [line.item_id for line in lines if line.role == "catalogue"] == ["shirt"]


def test_the_simulators_output_is_read_as_it_was_written(tmp_path: Path) -> None:
    from worker.simulate.arrivals import ScenarioOptions, build_scenario
    from worker.simulate.folder import write_manifest as write_simulated

    scenario = build_scenario(ScenarioOptions(count=6, catalogue_size=5))
    write_simulated(tmp_path, scenario)
    lines = read_dataset("simulator", tmp_path)
    assert Counter(line.role for line in lines)["catalogue"] >= 5
    assert any(line.role == "query" for line in lines)
    assert all(Path(line.path).is_relative_to(tmp_path) for line in lines)


@pytest.mark.parametrize("name", [row.name for row in READERS])
def test_a_folder_that_is_not_the_data_set_is_a_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        read_dataset(name, tmp_path)
    with pytest.raises(ConfigurationError, match="is no folder"):
        read_dataset(name, tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="has no split 'never'"):
        read_dataset(name, tmp_path, "never")


def test_a_list_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list_eval_partition.txt").write_text("3\nimage_name item_id evaluation_status\nimg/a.jpg id train\n")
    with pytest.raises(ConfigurationError, match="says it has 3 rows and has 1"):
        read_dataset("deepfashion-inshop", tmp_path)


def test_the_command_writes_a_manifest_with_relative_paths(tmp_path: Path) -> None:
    touch(tmp_path, "data/shirt/front.jpg", "data/shirt/back.jpg")
    result = CliRunner().invoke(app, ["lab", "manifest", "folders", str(tmp_path / "data"), "--output", str(tmp_path / "m.csv")])
    assert result.exit_code == 0, result.output
    assert [line.path for line in read_manifest(tmp_path / "m.csv").lines] == ["data/shirt/back.jpg", "data/shirt/front.jpg"]
    assert "1 catalogue photos of 1 articles, 1 queries" in result.output
    unknown = CliRunner().invoke(app, ["lab", "manifest", "imagenet", str(tmp_path), "--output", str(tmp_path / "m.csv")])
    assert isinstance(unknown.exception, ConfigurationError)
    assert "deepfashion-inshop" in CliRunner().invoke(app, ["lab", "readers"]).output


def test_colours_of_a_style_and_photos_of_a_sender_are_never_in_both_parts() -> None:
    assert style_of("mh01-black") == style_of("mh01-gray") == "mh01"
    assert style_of("plain") == "plain"
    parts = Counter(part_of_style(f"mh{n:02d}") for n in range(300))
    assert 70 <= parts["held-out"] <= 130
    assert part_of_sender(6) == "held-out"
    assert part_of_sender(7) == "development"
