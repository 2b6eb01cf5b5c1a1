from __future__ import annotations

import json
from collections import Counter, deque
from io import StringIO
from pathlib import Path

import cv2
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from worker.cli import app
from worker.cli.following import Followed
from worker.cli.publishing import Destination
from worker.cli.showing import one_line
from worker.cli.simulate import weights
from worker.cli.submit import attributes_of, views_of
from worker.cli.watch import live_table
from worker.errors import ConfigurationError
from worker.settings import load_settings
from worker.simulate.garments import garment, studio_photo
from worker.simulate.score import ScoreReport
from worker.simulate.truth import Kind, Truth, read_truth, write_truth


def intake(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refusal(*arguments: str) -> str:
    result = intake(*arguments)
    assert isinstance(result.exception, ConfigurationError), result.output
    return str(result.exception)


def test_a_dry_run_says_what_would_be_sent_and_touches_nothing(tmp_path: Path) -> None:
    result = intake(
        "simulate", "--dry-run", "--count", "50", "--catalogue-size", "20", "--faults", "all", "--truth", str(tmp_path / "t")
    )
    assert result.exit_code == 0
    assert "20 articles; 50 events over 5 s" in result.output
    assert "2 repeat" in result.output
    assert not list(tmp_path.iterdir())


def test_a_dry_run_is_the_same_every_time() -> None:
    first, second = (intake("simulate", "--dry-run", "--seed", "3", "--faults", "corrupt=0.1").output for _ in range(2))
    assert first == second


def test_a_scenario_goes_into_a_folder_without_kafka_and_s3(tmp_path: Path) -> None:
    result = intake(
        "simulate", "--to-folder", str(tmp_path), "--count", "6", "--catalogue-size", "3", "--processes", "0", "--shots", "second=1"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"catalogue", "arrivals", "manifest.csv", "truth.jsonl"}
    assert len(read_truth(tmp_path / "truth.jsonl")) == 6


def test_articles_only_writes_a_catalogue_and_says_how_to_load_it(tmp_path: Path) -> None:
    target = tmp_path / "catalogue"
    result = intake("simulate", "--articles", str(target), "--articles-only", "--catalogue-size", "4", "--processes", "0")
    assert result.exit_code == 0, result.output
    assert f"intake catalogue load {target / 'articles.jsonl'}" in result.output.replace("\n", "")
    assert len([path for path in target.iterdir() if path.is_dir()]) == 4


def test_a_folder_of_real_photos_and_backgrounds_can_be_simulated(tmp_path: Path) -> None:
    shop, floors = tmp_path / "shop", tmp_path / "floors"
    shop.mkdir()
    floors.mkdir()
    for number in range(4):
        photo = studio_photo(garment(number), side=256)
        cv2.imwrite(str(shop / f"item-{number}.png"), photo.rgb[..., ::-1])
        cv2.imwrite(str(floors / f"floor-{number}.jpg"), photo.rgb[:128, :128])
    result = intake(
        "simulate", "--photos", str(shop), "--backgrounds", str(floors), "--to-folder", str(tmp_path / "out"), "--count", "4",
        "--processes", "0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "manifest.csv").exists()


def test_a_photo_that_cannot_be_cut_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"no picture")
    (tmp_path / "two.jpg").write_bytes(b"no picture")
    (tmp_path / "three.jpg").write_bytes(b"no picture")
    message = refusal(
        "simulate", "--photos", str(tmp_path), "--to-folder", str(tmp_path / "out"), "--count", "3", "--processes", "0"
    )
    assert ".jpg" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--faults", "corrupt"), "name=number"),
        (("--faults", "corrupt=x"), "name=number"),
        (("--faults", "new=0.5"), "twin, corrupt, missing, repeat"),
        (("--mix", "corrupt=1"), "faults"),
        (("--faults", "unheard=0.5"), "no such scenario"),
        (("--run", "a b"), "run"),
        (("--articles-only",), "--articles"),
        (("--score-only",), "--truth"),
        (("--rate", "0"), "rate"),
    ],
)
def test_options_that_make_no_sense_are_explained(arguments: tuple[str, ...], words: str) -> None:
    assert words in refusal("simulate", "--dry-run", *arguments)


def test_an_empty_folder_of_backgrounds_is_refused(tmp_path: Path) -> None:
    assert "no photo" in refusal("simulate", "--dry-run", "--backgrounds", str(tmp_path))


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Path, Path]:
    truth, outcomes = tmp_path / "truth.jsonl", tmp_path / "outcomes.jsonl"
    write_truth(
        truth,
        [
            Truth(arrival_id="a1", kind=Kind.REPHOTOGRAPHED, expected="found", article_id="shirt-1"),
            Truth(arrival_id="a2", kind=Kind.NEW, expected="new"),
        ],
    )
    alert = {
        "event_id": "e1",
        "arrival_id": "a1",
        "decision": "duplicate",
        "candidates": [{"article_id": "shirt-1", "similarity": 0.9}],
    }
    insert = {"event_id": "e2", "arrival_id": "a2", "decision": "new", "article_id": "article-a2", "nearest": None}
    outcomes.write_text(json.dumps(alert) + "\n" + json.dumps(insert) + "\n")
    return truth, outcomes


def test_outcomes_in_a_file_are_scored_against_the_truth(scored: tuple[Path, Path]) -> None:
    truth, outcomes = scored
    result = intake("simulate", "--score-only", "--truth", str(truth), "--outcomes", str(outcomes))
    assert result.exit_code == 0, result.output
    assert "2 of 2 right" in result.output


def test_the_score_comes_as_json_too(scored: tuple[Path, Path]) -> None:
    truth, outcomes = scored
    result = intake("simulate", "--score-only", "--truth", str(truth), "--outcomes", str(outcomes), "--json")
    assert ScoreReport.model_validate_json(result.output).right == 2


def test_a_lost_arrival_is_listed_and_ends_with_one(scored: tuple[Path, Path]) -> None:
    truth, outcomes = scored
    outcomes.write_text(outcomes.read_text().splitlines()[0] + "\n")
    result = intake("simulate", "--score-only", "--truth", str(truth), "--outcomes", str(outcomes))
    assert result.exit_code == 1
    assert "1 without an outcome" in result.output
    assert "nothing" in result.output


def test_a_broken_truth_file_is_explained(tmp_path: Path, scored: tuple[Path, Path]) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n")
    assert "line 1" in refusal("simulate", "--score-only", "--truth", str(broken), "--outcomes", str(scored[1]))
    assert "absent" in refusal("simulate", "--score-only", "--truth", str(tmp_path / "absent"), "--outcomes", str(scored[1]))


def test_weights_are_read() -> None:
    assert weights("--mix", "new=3, re-photographed=0.5") == {"new": 3.0, "re-photographed": 0.5}


# --- submit


def test_views_follow_the_order_people_photograph_in() -> None:
    photos = [Path(f"{i}.jpg") for i in range(6)]
    assert views_of(photos[:2], []) == ["front", "back"]
    assert views_of(photos, []) == ["front", "back", "label", "detail", "photo-5", "photo-6"]
    assert views_of(photos[:2], ["back", "front"]) == ["back", "front"]


@pytest.mark.parametrize("views", [["front"], ["front", "front"], ["a", "b", "c"]])
def test_views_must_fit_the_photos(views: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="--view"):
        views_of([Path("a.jpg"), Path("b.jpg")], views)


def test_attributes_are_read_and_checked() -> None:
    assert attributes_of(["brand=Acme", "colour=navy=blue"]) == {"brand": "Acme", "colour": "navy=blue"}
    for wrong in ("brand", "brand=", "price=5"):
        with pytest.raises(ConfigurationError, match="--attribute"):
            attributes_of([wrong])


def test_photos_go_where_the_worker_may_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_STORAGE__ALLOWED", json.dumps([{"bucket": "photos", "prefix": "in/"}, {"bucket": "more"}]))
    settings = load_settings()
    assert Destination.of(settings, None, None).key("a1", "front", ".jpg") == "in/a1/front.jpg"
    assert Destination.of(settings, "more", None) == Destination("more", "")
    assert Destination.of(settings, "photos", "in/today/").prefix == "in/today/"
    for bucket, prefix in (("elsewhere", None), ("photos", "out/"), (None, "out/")):
        with pytest.raises(ConfigurationError, match="INTAKE_STORAGE__ALLOWED"):
            Destination.of(settings, bucket, prefix)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--view", "Front!"), "view"), (("--attribute", "x=1"), "--attribute"), (("--arrival-id", "has space"), "arrival_id")],
)
def test_submit_refuses_before_anything_is_uploaded(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """Nothing answers at the default addresses: a refusal shows that nobody was asked."""
    photo = tmp_path / "shirt.jpg"
    photo.write_bytes(b"any")
    assert words in refusal("submit", str(photo), *arguments)


# --- what is shown


def test_the_live_table_shows_time_outcome_arrival_and_what_became_of_it() -> None:
    examples = Path(__file__).resolve().parents[2] / "schemas" / "examples"
    recent = deque(
        Followed("topic", json.loads((examples / f"{name}.v1.json").read_text()), 1_790_000_000_000)
        for name in ("match-alert", "catalogue-insert", "dead-letter")
    )
    console = Console(width=200, record=True, file=StringIO())
    console.print(live_table(recent, Counter({"review": 1, "new": 1, "dead-letter": 1})))
    shown = console.export_text()
    assert "1 dead-letter, 1 new, 1 review" in shown
    for followed in recent:
        assert str(followed.event["arrival_id"]) in shown
    assert recent[0].event["candidates"][0]["article_id"] in shown
    assert recent[2].event["reason"] in shown


def test_markup_in_what_came_from_outside_is_shown_as_text() -> None:
    example = Path(__file__).resolve().parents[2] / "schemas" / "examples" / "dead-letter.v1.json"
    event = json.loads(example.read_text()) | {"message": "[bold]not markup[/bold] [/]"}
    line = one_line(event)
    assert line is not None
    assert "[bold]not markup[/bold] [/]" in line.plain
