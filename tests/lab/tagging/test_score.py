from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from tests.lab.tagging.toys import COLOURS, config, make_table
from worker.errors import ConfigurationError
from worker.lab.tagging.data import Labelled, read_labelled
from worker.lab.tagging.report import tables, write_json, write_page
from worker.lab.tagging.score import TaggerScore, judge, score_tagger, twins
from worker.vision.rows import HeadSpec
from worker.vision.types import ByteArray, FloatArray


@dataclass
class ColourTagger:
    """Knows a gender by its colour, and of kinds only that it is a shoe; its labels stand in another order than the data's."""

    heads: tuple[HeadSpec, ...]
    model_id: str = "colours"

    def tag(self, photos: Sequence[ByteArray]) -> FloatArray:
        rows = []
        for rgb in photos:
            mean = rgb.reshape(-1, 3)[(rgb.reshape(-1, 3).astype(int).sum(1) < 600)].mean(0)
            gender = min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum()))
            whom = [3.0 if label.startswith(gender + " ") else 0.1 for label in self.heads[0].labels]
            kind = [0.8 if label == "Shoes" else 0.1 for label in self.heads[1].labels]
            rows.append([value / sum(part) for part in (whom, kind) for value in part])
        return np.array(rows, np.float32)


def tagger_of(data: Labelled) -> ColourTagger:
    return ColourTagger(tuple(HeadSpec(name=head.config.name, labels=head.labels[::-1], sure=0.7) for head in data.heads))


@pytest.fixture
def data(tmp_path: Path) -> Labelled:
    return read_labelled(config(make_table(tmp_path / "photos", 160)), Path())


@pytest.fixture
def score(data: Labelled) -> TaggerScore:
    return score_tagger(tagger_of(data), data, "test", (5, 50), "Somebody", lambda _: None)


def test_figures_are_of_the_test_part_alone(data: Labelled, score: TaggerScore) -> None:
    test = data.of_part("test")
    assert score.photos == len(test) > 0
    kind = score.splits[0].heads[1]
    assert kind.photos == int((data.labels[test, 1] >= 0).sum())
    shoes = data.heads[1].labels.index("Shoes")
    assert kind.tops[1] == pytest.approx(float((data.labels[test, 1] == shoes).mean()))
    assert kind.reference == 0.5


def test_labels_are_matched_by_name_not_by_place(data: Labelled, score: TaggerScore) -> None:
    whom = score.splits[0].heads[0]
    assert [item.label for item in whom.classes] == list(data.heads[0].labels)
    # The colour is always right; which of the three kinds it is it cannot know.
    assert whom.tops[3] == 1.0
    assert sum(sum(row[:3]) for row in whom.matrix[:3]) == sum(sum(row) for row in whom.matrix[:3])


def test_a_sure_head_says_how_often_it_was_right(score: TaggerScore) -> None:
    kind = score.splits[0].heads[1]
    assert kind.sure_share == 1.0
    assert kind.sure_right == kind.tops[1]
    assert score.splits[0].heads[0].sure_share == 0.0


def test_fewer_classes_leave_their_photos_out_and_share_the_probability(data: Labelled) -> None:
    classes = data.heads[1]
    rng = np.random.default_rng(2)
    truths = data.labels[:, 1]
    probabilities = rng.dirichlet(np.ones(3), len(truths)).astype(np.float32)
    limit = sorted(classes.counts)[1]
    kept = [at for at, count in enumerate(classes.counts) if count >= limit]
    found = judge(classes, probabilities, truths, limit, 0.9)
    rows = [at for at, truth in enumerate(truths) if truth in kept]
    right = sum(kept[int(np.argmax(probabilities[at][kept]))] == truths[at] for at in rows)
    assert found.photos == len(rows)
    assert found.tops[1] == pytest.approx(right / len(rows))
    assert [item.label for item in found.classes] == [classes.labels[at] for at in kept]
    assert found.chance == pytest.approx(max(np.bincount(truths[rows])) / len(rows))


def test_a_head_without_a_class_of_so_many_images_is_left_out(score: TaggerScore) -> None:
    assert [split.min_images for split in score.splits] == [5, 50]
    assert [head.name for head in score.splits[0].heads] == ["whom", "kind"]
    assert [head.name for head in score.splits[1].heads] == ["kind"]


def test_data_of_other_classes_are_refused(data: Labelled, tmp_path: Path) -> None:
    tagger = tagger_of(data)
    other = read_labelled(config(tmp_path / "photos", min_images=max(data.heads[0].counts)), Path())
    with pytest.raises(ConfigurationError, match="min_images"):
        score_tagger(tagger, other, "test", (50,), "", lambda _: None)
    tagger.heads = (HeadSpec(name="season", labels=("a", "b")),)
    with pytest.raises(ConfigurationError, match="head season"):
        score_tagger(tagger, data, "test", (5,), "", lambda _: None)


def test_pictures_with_two_labels_are_counted(tmp_path: Path) -> None:
    folder = make_table(tmp_path, 40)
    with (folder / "styles.csv").open("a", encoding="utf-8") as file:
        for n, label in ((1000, "Shoes"), (1001, "Shirts"), (1002, "Dresses")):
            copy = folder / "images" / f"{n + 4000}.png"
            copy.write_bytes((folder / "images" / f"{n}.png").read_bytes())
            file.write(f"{n + 4000},Men,{label},copy\n")
    data = read_labelled(config(folder, min_images=1), Path())
    labelled = {name: data.heads[1].labels[number] for name, number in zip(data.names, data.labels[:, 1], strict=True)}
    differ = sum(labelled[f"{n}.png"] != labelled[f"{n + 4000}.png"] for n in (1000, 1001, 1002))
    assert twins(data, 1) == (3, differ)
    assert differ > 0


def test_json_holds_every_figure_and_is_the_same_again(data: Labelled, score: TaggerScore, tmp_path: Path) -> None:
    write_json(score, tmp_path / "a.json")
    write_json(score_tagger(tagger_of(data), data, "test", (5, 50), "Somebody", lambda _: None), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    read = orjson.loads((tmp_path / "a.json").read_bytes())
    assert read["splits"][0]["heads"][1]["tops"]["1"] == pytest.approx(score.splits[0].heads[1].tops[1], abs=1e-6)
    assert read["splits"][0]["heads"][0]["sure_right"] is None


def test_the_page_is_one_file_with_matrix_and_curves_of_every_head(score: TaggerScore, tmp_path: Path) -> None:
    write_page(score, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="http', page)
    for name in ("whom", "kind"):
        assert f'aria-label="{name}: confusion matrix"' in page
        assert f'aria-label="{name}: precision and recall of each class"' in page
    assert "Somebody" in page
    assert page.count("<polyline") == sum(len(head.classes) for head in score.splits[0].heads)


def test_labels_on_the_page_are_text_whatever_they_hold(score: TaggerScore, tmp_path: Path) -> None:
    score.splits[0].heads[1].classes[0] = type(score.splits[0].heads[1].classes[0])(
        "<b>&", 1, 1, 0.5, 0.5, 0.5, 0.5, [(0.0, 1.0), (1.0, 0.5)]
    )
    write_page(score, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_the_terminal_shows_the_published_figure_beside_ours(score: TaggerScore) -> None:
    console = Console(width=200, record=True)
    for table in tables(score):
        console.print(table)
    text = console.export_text()
    assert "Somebody" in text
    assert "50.0" in text
    assert "Hardest confusions" in text
