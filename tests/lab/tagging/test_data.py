from __future__ import annotations

import csv
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.infra.needs import require
from tests.infra.photos import datasets
from tests.lab.tagging.toys import KINDS, config, content, encoded, make_table, picture
from worker.errors import ConfigurationError
from worker.lab.splits import part_of_sender
from worker.lab.tagging.data import DataConfig, HeadConfig, PhotoFiles, part_of, read_labelled


def test_products_with_a_photo_are_read_and_others_left_out(tmp_path: Path) -> None:
    data = read_labelled(config(make_table(tmp_path, 30)), Path())
    assert len(data.names) == 30
    assert "99999.png" not in data.names


def test_a_folder_and_a_zip_give_the_same(tmp_path: Path) -> None:
    one = read_labelled(config(make_table(tmp_path / "a", 30)), Path())
    other = read_labelled(config(make_table(tmp_path / "b", 30, zipped=True)), Path())
    assert one.names == other.names
    assert (one.labels == other.labels).all()
    assert (one.parts == other.parts).all()
    assert one.groups == other.groups
    np.testing.assert_array_equal(one.source.read(one.names[3]), other.source.read(other.names[3]))


def test_classes_are_those_with_enough_images_and_no_others(tmp_path: Path) -> None:
    folder = make_table(tmp_path, 90)
    counts = Counter(row["kind"] for row in csv.DictReader((folder / "styles.csv").open()) if row["id"] != "99999")
    limit = sorted(counts.values())[1]  # the second: one class is below it, one exactly at it
    data = read_labelled(config(folder, min_images=limit, heads=[{"name": "kind", "columns": ["kind"]}]), Path())
    assert set(data.heads[0].labels) == {kind for kind, count in counts.items() if count >= limit}
    assert len(data.heads[0].labels) == 2
    left_out = [at for at, label in enumerate(data.labels[:, 0]) if label == -1]
    assert len(left_out) == min(counts.values())
    assert not set(left_out) & set(data.of_part("train").tolist())


def test_the_paper_asks_for_500_images() -> None:
    assert DataConfig.model_fields["min_images"].default == 500


def test_labels_of_several_columns_stand_for_the_value_of_one(tmp_path: Path) -> None:
    head = read_labelled(config(make_table(tmp_path)), Path()).heads[0]
    assert head.labels == tuple(sorted(f"{gender} {kind}" for gender in ("Men", "Women") for kind in KINDS))
    assert head.values == ("Men",) * 3 + ("Women",) * 3


def test_no_product_is_in_two_parts_and_the_shares_are_those_of_the_paper() -> None:
    wanted = config(Path())
    parts = {group: part_of(group, wanted) for group in (f"{n:08x}-{n % 977}" for n in range(20_000))}
    shares = Counter(parts.values())
    assert shares["test"] / 20_000 == pytest.approx(0.2, abs=0.01)
    assert shares["validation"] / (20_000 - shares["test"]) == pytest.approx(0.2, abs=0.01)
    assert parts == {group: part_of(group, wanted) for group in reversed(parts)}, "whatever else is in the table"


def test_the_same_picture_under_two_ids_is_in_one_part(tmp_path: Path) -> None:
    folder = make_table(tmp_path, 60)
    with (folder / "styles.csv").open("a", encoding="utf-8") as file:
        for n in range(60):
            (folder / "images" / f"{5000 + n}.png").write_bytes((folder / "images" / f"{1000 + n}.png").read_bytes())
            file.write(f"{5000 + n},Men,Shoes,copy\n")
    data = read_labelled(config(folder), Path())
    part = dict(zip(data.names, data.parts, strict=True))
    assert len(part) == 120
    assert all(part[f"{5000 + n}.png"] == part[f"{1000 + n}.png"] for n in range(60))
    assert len(set(part.values())) == 3


def test_a_product_with_two_lines_counts_once(tmp_path: Path) -> None:
    folder = make_table(tmp_path, 20)
    with (folder / "styles.csv").open("a", encoding="utf-8") as file:
        file.write("1000,Men,Shoes,again\n")
    data = read_labelled(config(folder, min_images=1), Path())
    assert len(data.names) == len(set(data.names)) == 20


def test_another_seed_splits_otherwise() -> None:
    one, other = config(Path()), config(Path(), split_seed=1)
    assert [part_of(str(n), one) for n in range(100)] != [part_of(str(n), other) for n in range(100)]


def test_photos_of_a_sender_are_in_one_part_by_the_labs_own_rule() -> None:
    wanted = config(Path(), rule="sender", group="gender")
    for sender in range(60):
        assert (part_of(str(sender), wanted) == "test") == (part_of_sender(sender) == "held-out")


def test_a_group_column_keeps_its_photos_together(tmp_path: Path) -> None:
    data = read_labelled(config(make_table(tmp_path), group="gender"), Path())
    for gender in ("Men", "Women"):
        assert len({part for part, group in zip(data.parts, data.groups, strict=True) if group == gender}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "absent.csv"}, "cannot be read as a table"),
        ({"photos": "absent.zip"}, "neither a folder nor a zip"),
        ({"photo": "{nothing}.png"}, "does not fit the columns"),
        ({"photo": "{id}.gif"}, "holds none of the photos"),
        ({"group": "sender"}, "no column sender"),
        ({"min_images": 10_000}, "no class has 10000 images"),
        ({"heads": [{"name": "x", "columns": ["season"]}]}, "no column season"),
    ],
)
def test_what_is_wrong_with_the_data_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_labelled(config(make_table(tmp_path, 12), **change), Path())


def test_a_value_must_be_of_the_label() -> None:
    with pytest.raises(ValueError, match="value_column"):
        HeadConfig.model_validate({"name": "x", "columns": ["gender"], "value_column": "kind"})


def test_two_heads_of_one_name_are_refused(tmp_path: Path) -> None:
    heads = content(tmp_path)["heads"]
    with pytest.raises(ValueError, match="same name"):
        config(tmp_path, heads=[heads[0], heads[0]])


def test_a_file_that_is_no_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"a\.png is no photo"):
        PhotoFiles(tmp_path).read("a.png")
    with pytest.raises(ConfigurationError, match=r"b\.png cannot be read"):
        PhotoFiles(tmp_path).read("b.png")


def test_photos_are_read_as_rgb(tmp_path: Path) -> None:
    rgb = picture("Women", "Shoes", 3)
    (tmp_path / "a.png").write_bytes(encoded(rgb))
    np.testing.assert_array_equal(PhotoFiles(tmp_path).read("a.png"), rgb)


def test_a_zip_can_be_handed_to_another_process(tmp_path: Path) -> None:
    data = read_labelled(config(make_table(tmp_path, 12, zipped=True), min_images=1), Path())
    first = data.source.read(data.names[0])
    again: PhotoFiles = pickle.loads(pickle.dumps(data.source))
    np.testing.assert_array_equal(again.read(data.names[0]), first)


@pytest.mark.photos
def test_the_classes_of_the_shared_data_are_those_the_configuration_says() -> None:
    folder = datasets()
    require((folder / "fashion-product-small").is_dir(), "no shared photos of fashion-product-small")
    heads = [
        {"name": "gender-master", "columns": ["gender", "masterCategory"]},
        {"name": "sub-category", "columns": ["subCategory"]},
        {"name": "article-type", "columns": ["articleType"]},
    ]
    fields = {"data": str(folder / "fashion-product-small"), "photo": "{id}.jpg", "photos": "images.zip", "heads": heads}
    found = {}
    for limit in (400, 500):
        data = read_labelled(config(Path(), **fields, min_images=limit), Path())
        found[limit] = [len(head.labels) for head in data.heads]
    assert found == {400: [12, 15, 23], 500: [9, 14, 19]}
    by_sum: dict[str, set[str]] = {}
    for group, part in zip(data.groups, data.parts, strict=True):
        by_sum.setdefault(group, set()).add(str(part))
    assert all(len(parts) == 1 for parts in by_sum.values()), "a picture is in two parts"
