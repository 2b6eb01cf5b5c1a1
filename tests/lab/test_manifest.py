"""The manifest file."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.lab.manifest import ManifestLine, read_manifest, relative, write_manifest


def manifest_file(folder: Path, text: str) -> Path:
    path = folder / "m.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file_or_absolute_or_in_s3(tmp_path: Path) -> None:
    text = "path,item_id,role,kind\nsub/a.jpg,a,catalogue,studio\n/other/b.jpg,b,query,phone\ns3://bucket/c.jpg,,query,phone\n"
    manifest = read_manifest(manifest_file(tmp_path, text))
    assert manifest.locations == (str(tmp_path / "sub/a.jpg"), "/other/b.jpg", "s3://bucket/c.jpg")
    assert manifest.rows("query") == [1, 2]


def test_the_same_photo_has_one_location_however_it_is_written(tmp_path: Path) -> None:
    text = "path,item_id,role,kind\na.jpg,a,catalogue,\n./x/../a.jpg,a,query,\n"
    assert len(set(read_manifest(manifest_file(tmp_path, text)).locations)) == 1


def test_a_query_without_an_item_or_of_no_article_is_unseen(tmp_path: Path) -> None:
    text = "path,item_id,role,kind\na.jpg,a,catalogue,\nb.jpg,a,query,\nc.jpg,,query,\nd.jpg,zz,query,\n"
    manifest = read_manifest(manifest_file(tmp_path, text))
    assert [manifest.unseen(line) for line in manifest.lines] == [False, False, True, True]


def test_columns_may_come_in_any_order_with_others_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffrole,kind,extra,item_id,path,category\ncatalogue,studio,x,a,a.jpg,shirts\n"
    [line] = read_manifest(manifest_file(tmp_path, text)).lines
    assert line == ManifestLine("a.jpg", "a", "catalogue", "studio", "shirts")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column path, item_id, role, kind"),
        ("path,item_id,role\na.jpg,a,query\n", "no column kind"),
        ("path;item_id;role;kind\n", "no column"),
        ("path,item_id,role,kind\n", "names no photos"),
        ("path,item_id,role,kind\na.jpg,a,gallery,\n", "line 2: role is 'gallery', not catalogue or query"),
        ("path,item_id,role,kind\n,a,query,\n", "line 2: path is empty"),
        ("path,item_id,role,kind\na.jpg,,catalogue,\n", "line 2: a catalogue photo needs an item_id"),
        ("path,item_id,role,kind\na,b.jpg,a,query,phone\n", "line 2: more values than columns"),
        ("path,item_id,role,kind\na\0.jpg,a,query,phone\n", "zero byte"),
    ],
)
def test_a_wrong_manifest_is_refused_by_line_and_reason(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_manifest(manifest_file(tmp_path, text))


def test_of_many_wrong_lines_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    text = "path,item_id,role,kind\n" + "a.jpg,a,no,\n" * 12
    with pytest.raises(ConfigurationError, match=r"line 6: .*; and 7 more"):
        read_manifest(manifest_file(tmp_path, text))


def test_a_manifest_that_is_no_text_or_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "m.csv", tmp_path / "none.csv", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot read the manifest"):
            read_manifest(path)


def test_what_is_written_is_read_back_with_commas_quotes_and_categories(tmp_path: Path) -> None:
    lines = [
        ManifestLine('a,"b".jpg', "ä", "catalogue", "studio", "tops"),
        ManifestLine("c.jpg", "", "query", "phone, dark"),
    ]
    assert write_manifest(tmp_path / "deep" / "m.csv", lines) == 2
    assert list(read_manifest(tmp_path / "deep" / "m.csv").lines) == lines


def test_without_categories_the_file_has_the_four_columns(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", [ManifestLine("a.jpg", "a", "catalogue", "studio")])
    assert (tmp_path / "m.csv").read_text() == "path,item_id,role,kind\na.jpg,a,catalogue,studio\n"
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_a_manifest_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        write_manifest(tmp_path / "file" / "m.csv", [ManifestLine("a.jpg", "a", "catalogue", "")])


def test_photos_below_the_manifest_are_written_relative_and_others_absolute(tmp_path: Path) -> None:
    assert relative(tmp_path / "x" / "a.jpg", tmp_path) == "x/a.jpg"
    assert relative(tmp_path / "a.jpg", tmp_path / "x") == str((tmp_path / "a.jpg").resolve())
