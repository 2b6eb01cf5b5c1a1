"""What `intake catalogue load` understands: folders, CSV, JSONL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.catalogue.entries import BadEntry, CatalogueEntry, id_from_name, is_valid_id, view_from_name
from worker.catalogue.sources import name_pattern, read_source
from worker.errors import ConfigurationError
from worker.events import Attributes


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"photo")
    return folder


def entries(source: Path, names: str | None = None) -> list[CatalogueEntry]:
    items = list(read_source(source, names))
    assert [item for item in items if isinstance(item, BadEntry)] == []
    return [item for item in items if isinstance(item, CatalogueEntry)]


def bad(source: Path) -> list[BadEntry]:
    return [item for item in read_source(source) if isinstance(item, BadEntry)]


# Folders


def test_a_file_is_an_article_and_a_sub_folder_one_with_its_views(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "coat.jpg",
        "shirt/front.JPG",
        "shirt/Back Side.png",
        "shirt/deep/label.webp",
        "notes.txt",
        ".hidden.jpg",
        "x/.y.jpg",
    )

    found = entries(tmp_path)

    assert [(item.article_id, item.view) for item in found] == [
        ("coat", "front"),
        ("shirt", "back-side"),
        ("shirt", "label"),
        ("shirt", "front"),
    ]
    assert found[0].location == str(tmp_path / "coat.jpg")
    assert all(Path(item.location).is_absolute() for item in found)


def test_names_tell_article_and_view_apart_and_a_plain_name_is_the_front(tmp_path: Path) -> None:
    touch(tmp_path, "mb03_black_main.jpg", "mb03_black_alt1.jpg", "mb04.jpg")

    found = entries(tmp_path, "<article>_<view>")

    assert [(item.article_id, item.view) for item in found] == [
        ("mb03_black", "alt1"),
        ("mb03_black", "main"),
        ("mb04", "front"),
    ]


@pytest.mark.parametrize("names", ["<view>", "<article>_<article>", "<article>_<view>_<view>", "article"])
def test_names_without_one_article_are_refused(names: str) -> None:
    with pytest.raises(ConfigurationError, match="<article>"):
        name_pattern(names)


def test_names_are_no_regular_expression() -> None:
    assert name_pattern("<article>.(<view>)").match("shirt.(back)")
    assert not name_pattern("<article>.(<view>)").match("shirtx(back)")


def test_a_name_that_is_no_id_becomes_one_and_two_names_stay_two() -> None:
    made = [id_from_name(name) for name in ("Blue Shirt", "Blue-Shirt", "Blue  Shirt", "größe", "服装", "x" * 300, "y" * 300)]

    assert all(is_valid_id(name) for name in made)
    assert len(set(made)) == len(made)
    assert made[1] == "Blue-Shirt"
    assert id_from_name("Blue Shirt") == made[0]


def test_a_view_is_always_a_view() -> None:
    assert [view_from_name(name) for name in ("Front", "Back Side", "__", "服", "a" * 99)] == [
        "front",
        "back-side",
        "front",
        "front",
        "a" * 32,
    ]


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_row_is_a_photo(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["Article_ID", "photo", "view", "brand", "color", "price"],
        ["a-1", "s3://studio/a 1/ö.jpg", "", "Müller", "rot", "9"],
        ["a-1", "sub/back.jpg", "Back", "", "", ""],
    ]
    file = tmp_path / "articles.csv"
    file.write_text("\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig")

    assert entries(file) == [
        CatalogueEntry("a-1", "front", "s3://studio/a 1/ö.jpg", Attributes(brand="Müller", colour="rot")),
        CatalogueEntry("a-1", "back", str(tmp_path / "sub/back.jpg")),
    ]


def test_a_csv_without_the_columns_is_refused_and_they_are_named(tmp_path: Path) -> None:
    file = tmp_path / "articles.csv"
    file.write_text("sku,file\n1,2\n")
    with pytest.raises(ConfigurationError, match="article_id and photo"):
        list(read_source(file))
    file.write_text("")
    with pytest.raises(ConfigurationError, match="article_id and photo"):
        list(read_source(file))


def test_bad_rows_are_named_with_their_line_and_the_rest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "articles.csv"
    file.write_text(
        "article_id,photo,brand\n"
        ",a.jpg,\n"
        "a b,a.jpg,\n"
        "a-1,https://shop.example/a.jpg,\n"
        "a-2,s3://bucket-only,\n"
        "a-3,,\n"
        f"a-4,a.jpg,{'x' * 300}\n"
        "a-5,a.jpg,ok\n"
        "short\n"
    )

    items = list(read_source(file))

    assert [item.article_id for item in items if isinstance(item, CatalogueEntry)] == ["a-5"]
    found = [(item.place, item.why) for item in items if isinstance(item, BadEntry)]
    assert [place for place, _ in found] == [f"articles.csv:{line}" for line in (2, 3, 4, 5, 6, 7, 9)]
    assert "URL" in found[2][1]
    assert "s3://bucket/key" in found[3][1]
    assert "empty" in found[4][1]
    assert "brand" in found[5][1]


# JSONL


def test_a_jsonl_line_is_an_article_with_its_photos(tmp_path: Path) -> None:
    file = tmp_path / "articles.jsonl"
    lines = [
        {"article_id": "a-1", "photos": ["s3://studio/1.jpg", {"location": "2.jpg", "view": "back"}], "colour": "rot"},
        {"article_id": "a-2", "photo": "/abs/3.jpg", "attributes": {"brand": "b", "size": 42, "gender": None}},
        {"article_id": 77, "photos": ["4.jpg"]},
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")

    assert entries(file) == [
        CatalogueEntry("a-1", "front", "s3://studio/1.jpg", Attributes(colour="rot")),
        CatalogueEntry("a-1", "back", str(tmp_path / "2.jpg"), Attributes(colour="rot")),
        CatalogueEntry("a-2", "front", "/abs/3.jpg", Attributes(brand="b", size="42")),
        CatalogueEntry("77", "front", str(tmp_path / "4.jpg")),
    ]


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "articles.jsonl"
    file.write_text('{"article_id": "a"\n[1]\n{"photos": ["x.jpg"]}\n{"article_id": "b"}\n{"article_id": "c", "photo": {"view": "x"}}\n'
                    '{"article_id": "d", "photo": "d.jpg", "brand": ["x"]}\n')  # fmt: skip

    assert [item.place for item in bad(file)] == [f"articles.jsonl:{line}" for line in range(1, 7)]


def test_a_source_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "articles.xlsx").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="no folder"):
        read_source(tmp_path / "articles.xlsx")
    with pytest.raises(ConfigurationError, match="there is no"):
        read_source(tmp_path / "nowhere")


def test_the_point_of_a_photo_is_the_same_in_every_load_and_another_for_another_photo() -> None:
    one = CatalogueEntry("a", "front", "s3://b/1.jpg")

    assert one.point_id == CatalogueEntry("a", "back", "s3://b/1.jpg", Attributes(brand="x")).point_id
    assert (
        len({one.point_id, CatalogueEntry("b", "front", "s3://b/1.jpg").point_id, CatalogueEntry("a", "front", "2").point_id})
        == 3
    )
