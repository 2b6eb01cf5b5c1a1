"""The whole of `intake lab calibrate`: figures, page, the pair's file, the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.lab.calibration.make import calibrated, shop
from tests.lab.conftest import PhotoWriter
from tests.lab.test_evaluation import Balance
from worker.calibration import LogisticCurve
from worker.cli import app
from worker.errors import ConfigurationError
from worker.lab.calibration.measure import CalibrationResult
from worker.lab.calibration.pair_file import described, pair_of, write_pair
from worker.lab.calibration.thresholds import FITTED, HELD_OUT
from worker.lab.manifest import ManifestLine, write_manifest
from worker.lab.report.calibration_data import sentences, tables, write_json
from worker.lab.report.calibration_page import write_page
from worker.settings.vision import VisionSettings
from worker.vision.registry import PAIRS, Registry, registry_dir


@pytest.fixture(scope="module")
def result() -> CalibrationResult:
    """A shop's."""
    return calibrated(shop())


def test_figures_are_identical_from_run_to_run(tmp_path: Path, result: CalibrationResult) -> None:
    write_json([result], Path("m.csv"), tmp_path / "one.json")
    write_json([calibrated(shop())], Path("m.csv"), tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    [stored] = json.loads((tmp_path / "one.json").read_bytes())["calibrations"]
    assert stored["thresholds"] == {"duplicate": result.thresholds.duplicate, "review": result.thresholds.review}
    assert len(stored["variants"]) == 6
    assert stored["rates"][0]["part"] == HELD_OUT
    assert stored["curve"]["kind"] == "logistic"


def test_the_page_is_whole_and_shows_reliability_with_counts(tmp_path: Path, result: CalibrationResult) -> None:
    write_page([result, replace(result, method="<other>", curve=None)], Path("<m>.csv"), tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    drawings = [part for part in re.findall(r"<svg.*?</svg>", page) if "swatch" not in part]
    assert len(drawings) == 3 + 2
    reliability = next(part for part in drawings if "Probability against truth" in part)
    assert reliability.count("<circle") == len(result.bins)
    for one in result.bins:
        assert f">{one.pairs}</text>" in reliability
    similarity = next(part for part in drawings if "Similarities and the thresholds" in part)
    assert f"duplicate {result.thresholds.duplicate:.3f}" in similarity
    assert f"review {result.thresholds.review:.3f}" in similarity
    assert similarity.count("<polyline") == 4
    assert "&lt;m&gt;.csv" in page
    assert "&lt;other&gt;" in page
    assert "http" not in page
    for words in ("stranger", "new style", "new colourway", "harsh phone", "z-norm", "isotonic", "held out"):
        assert words in page


def test_every_bin_and_every_part_of_a_distribution_is_drawn_inside_its_axes(tmp_path: Path, result: CalibrationResult) -> None:
    write_page([result], Path("m.csv"), tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    for points in re.findall(r'points="([^"]+)"', page):
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert 45.9 <= x <= 408.1
            assert 25.9 <= y <= 260.1


def test_what_is_said_holds(result: CalibrationResult) -> None:
    text = " ".join(sentences(result))
    assert f"Duplicate from {result.thresholds.duplicate:.4f}" in text
    assert "not better than none beyond chance" in text
    assert str(tables(result)[0].title).startswith(f"{result.method}: ")
    assert len(tables(result)) == 3
    alone = calibrated(shop(unseen=0))
    assert "Score normalisation was not tried" in " ".join(sentences(alone))
    assert len(tables(alone)) == 2
    wins = calibrated(shop(base=0.6, seed=1))
    assert "better beyond chance" in " ".join(sentences(wins))
    assert "The worker does not normalise" in " ".join(sentences(wins))


def test_a_rate_that_was_missed_is_said(result: CalibrationResult) -> None:
    missed = replace(result, options=replace(result.options, wanted_reviews=0.9))
    assert any("reviews lies outside" in sentence for sentence in sentences(missed))
    assert not any("lies outside" in sentence for sentence in sentences(result))


def test_the_pairs_file_is_what_the_registry_gives_the_worker(tmp_path: Path, result: CalibrationResult) -> None:
    vision = VisionSettings(registry_dir=tmp_path)
    assert not Registry(vision).calibration("none", "lite0-gem-lab").calibrated
    measured = replace(result, segmenter="none", descriptor="lite0-gem-lab")
    pair = pair_of(measured, described(measured, Path("/data/bench/manifest.csv")), date(2026, 11, 21))
    path = write_pair(pair, registry_dir(vision) / PAIRS)
    assert path.name == "none+lite0-gem-lab.json"
    read = Registry(vision).calibration("none", "lite0-gem-lab")
    assert read == pair
    assert read.calibrated
    assert (read.duplicate_threshold, read.review_threshold) == (result.thresholds.duplicate, result.thresholds.review)
    assert isinstance(read.curve, LogisticCurve)
    assert read.data.startswith("bench/manifest.csv: fitted on ")
    assert read.rates["wanted: duplicate"] == 0.01
    held_out = result.rate("new style")
    assert read.rates["new style: duplicate"] == pytest.approx(held_out.duplicate.share, abs=1e-4)
    assert (
        read.counts["new style"] == held_out.queries == result.counts[HELD_OUT]["new style"] < result.counts[FITTED]["new style"]
    )


def test_a_curve_over_distances_is_not_stored(result: CalibrationResult) -> None:
    with pytest.raises(ConfigurationError, match="compares by cosine"):
        pair_of(replace(result, curve=None, distance="l2"), "", date(2026, 11, 21))


def test_a_threshold_above_every_similarity_is_stored_as_one(result: CalibrationResult) -> None:
    high = replace(result, segmenter="none", descriptor="x", thresholds=replace(result.thresholds, duplicate=1.0001))
    assert pair_of(high, "", date(2026, 11, 21)).duplicate_threshold == 1.0


def run_calibrate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["lab", "calibrate", *map(str, arguments)], catch_exceptions=True)


@pytest.fixture
def drawn_shop(tmp_path: Path, write_photo: PhotoWriter, own_cache: Path) -> Path:
    """Forty styles of drawn garments, each twice as a query under another size, and as many unseen ones."""
    lines = []
    for number in range(40):
        item = f"s{number}-red"
        write_photo(tmp_path / "photos" / f"{item}.png", number, 60)
        lines.append(ManifestLine(f"photos/{item}.png", item, "catalogue", "studio"))
        for side in (62, 70):
            write_photo(tmp_path / "photos" / f"{item}-{side}.png", number, side)
            lines.append(ManifestLine(f"photos/{item}-{side}.png", item, "query", "phone"))
        write_photo(tmp_path / "photos" / f"unseen{number}.png", 1000 + number, 60)
        lines.append(ManifestLine(f"photos/unseen{number}.png", "", "query", "other"))
    write_manifest(tmp_path / "m.csv", lines)
    return tmp_path / "m.csv"


def test_one_command_measures_reports_and_says_why_it_stores_nothing(
    tmp_path: Path, drawn_shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTAKE_VISION__REGISTRY_DIR", str(tmp_path / "registry"))
    wanted = ("--wanted-duplicates", "0.05", "--json", tmp_path / "c.json", "--html", tmp_path / "c.html")
    got = run_calibrate("--manifest", drawn_shop, "--method", "none+colour-histogram:cosine", *wanted)
    assert got.exit_code == 0, got.output
    assert "Duplicate from" in got.stdout
    assert "nothing is stored; the worker runs models of the registry" in got.stderr
    assert not (tmp_path / "registry").exists()
    [stored] = json.loads((tmp_path / "c.json").read_bytes())["calibrations"]
    assert stored["articles"] == 40
    assert np.isfinite(stored["variants"][0]["checked"]["log_loss"])
    assert (tmp_path / "c.html").stat().st_size > 5000


def test_too_few_queries_are_said_by_the_command(drawn_shop: Path) -> None:
    got = run_calibrate("-m", drawn_shop, "--method", "none+colour-histogram", "--queries", "30", "--no-write")
    assert got.exit_code != 0
    assert "are needed" in str(got.exception)
