from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from worker.errors import Reason
from worker.simulate.arrivals import (
    DEFAULT_FAULTS,
    DEFAULT_MIX,
    Scenario,
    ScenarioOptions,
    SimulatedArrival,
    build_scenario,
    kind_counts,
)
from worker.simulate.garments import garment, studio_photo
from worker.simulate.photos import Drawn, RealPhoto, Shot
from worker.simulate.spoiling import RIGHT_REASONS, Spoiling
from worker.simulate.stock import drawn_stock, folder_stock, read_articles
from worker.simulate.truth import Kind, Truth, read_truth, write_truth


def scenario(**options: object) -> Scenario:
    return build_scenario(ScenarioOptions.model_validate({"catalogue_size": 40, "count": 120, **options}))


def of_kind(built: Scenario, kind: Kind) -> list[SimulatedArrival]:
    return [arrival for arrival in built.arrivals if arrival.truth.kind is kind]


def drawn(arrival: SimulatedArrival) -> Drawn:
    source = arrival.photos[0].source
    assert isinstance(source, Drawn)
    return source


@pytest.fixture(scope="module")
def full() -> Scenario:
    return scenario(faults=DEFAULT_FAULTS, burst=0.3, shots={"mild": 1, "harsh": 1, "second": 1})


def catalogue_sources(built: Scenario) -> set[tuple[int, int]]:
    sources = [photo.source for article in built.catalogue for photo in article.photos]
    return {(source.seed, source.colourway) for source in sources if isinstance(source, Drawn)}


def test_the_same_options_give_the_same_scenario() -> None:
    first, second = scenario(faults=DEFAULT_FAULTS, seed=9), scenario(faults=DEFAULT_FAULTS, seed=9)
    assert first.arrivals == second.arrivals
    assert [article.article_id for article in first.catalogue] == [article.article_id for article in second.catalogue]


def test_another_seed_gives_other_garments() -> None:
    assert not catalogue_sources(scenario(seed=1)) & catalogue_sources(scenario(seed=2))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 100, 1000])
def test_the_kinds_add_up_to_the_count(count: int) -> None:
    counts = kind_counts(ScenarioOptions(count=count, faults=DEFAULT_FAULTS))
    assert sum(counts.values()) == count
    assert counts[Kind.TWIN] % 2 == 0


def test_the_kinds_have_the_shares_asked_for() -> None:
    counts = kind_counts(ScenarioOptions(count=1000, faults={Kind.CORRUPT: 0.1, Kind.REPEAT: 0.05, Kind.TWIN: 0.02}))
    assert counts[Kind.CORRUPT] == 100
    assert counts[Kind.REPEAT] == 50
    assert counts[Kind.TWIN] == 20
    honest = 830
    for kind, share in DEFAULT_MIX.items():
        assert abs(counts[kind] - share * honest) <= 1


def test_the_scenario_holds_what_was_counted(full: Scenario) -> None:
    expected = {kind: number for kind, number in kind_counts(full.options).items() if number}
    assert dict(Counter(truth.kind for truth in full.truths)) == expected


def test_arrivals_have_ids_of_their_own_but_for_repeats(full: Scenario) -> None:
    ids = [arrival.arrival_id for arrival in full.arrivals if not arrival.repeated]
    assert len(set(ids)) == len(ids)


def test_a_repeat_comes_after_the_first_and_is_the_same_event(full: Scenario) -> None:
    first_at = {arrival.arrival_id: i for i, arrival in reversed(list(enumerate(full.arrivals))) if not arrival.repeated}
    repeats = [(i, arrival) for i, arrival in enumerate(full.arrivals) if arrival.repeated]
    assert repeats
    for i, repeat in repeats:
        original = full.arrivals[first_at[repeat.arrival_id]]
        assert i > first_at[repeat.arrival_id]
        assert repeat.photos == original.photos
        assert repeat.attributes == original.attributes
        assert original.truth.expected != "dead-letter"


def test_new_garments_are_of_styles_the_catalogue_has_not(full: Scenario) -> None:
    styles = {seed for seed, _ in catalogue_sources(full)}
    fresh = [drawn(arrival).seed for kind in (Kind.NEW, Kind.TWIN) for arrival in of_kind(full, kind)]
    assert fresh
    assert not styles & set(fresh)


def test_a_garment_is_new_only_once() -> None:
    built = scenario(mix={"new": 1}, count=60)
    seeds = [drawn(arrival).seed for arrival in built.arrivals]
    assert len(set(seeds)) == len(seeds)


def test_a_colourway_is_a_style_of_the_catalogue_in_a_colour_it_has_not(full: Scenario) -> None:
    catalogue = catalogue_sources(full)
    arrivals = of_kind(full, Kind.COLOURWAY)
    assert arrivals
    for arrival in arrivals:
        source = drawn(arrival)
        assert (source.seed, source.colourway) not in catalogue
        assert source.seed in {seed for seed, _ in catalogue}
        assert arrival.truth.expected == "new"
        assert arrival.truth.near in {article.article_id for article in full.catalogue}


def test_a_rephotographed_garment_names_the_article_it_is(full: Scenario) -> None:
    articles = {article.article_id: article for article in full.catalogue}
    for kind in (Kind.REPHOTOGRAPHED, Kind.MULTI, Kind.BACK):
        for arrival in of_kind(full, kind):
            article = articles[arrival.truth.article_id or ""]
            source = article.photos[0].source
            assert isinstance(source, Drawn)
            assert (drawn(arrival).seed, drawn(arrival).colourway) == (source.seed, source.colourway)
            assert arrival.truth.expected == "found"


def test_a_back_view_is_of_an_article_shown_from_the_front_alone(full: Scenario) -> None:
    views = {article.article_id: [photo.view for photo in article.photos] for article in full.catalogue}
    arrivals = of_kind(full, Kind.BACK)
    assert arrivals
    for arrival in arrivals:
        assert [photo.view for photo in arrival.photos] == ["back"]
        assert views[arrival.truth.article_id or ""] == ["front"]


def test_a_multi_photo_arrival_has_several_views(full: Scenario) -> None:
    for arrival in of_kind(full, Kind.MULTI):
        assert [photo.view for photo in arrival.photos] == ["front", "back"]


def test_twins_are_two_photos_of_one_new_garment_at_one_moment(full: Scenario) -> None:
    twins = {arrival.arrival_id: arrival for arrival in of_kind(full, Kind.TWIN)}
    assert twins
    for arrival in twins.values():
        other = twins[arrival.truth.twin or ""]
        assert other.truth.twin == arrival.arrival_id
        assert drawn(other) == drawn(arrival)
        assert other.photos[0].key != arrival.photos[0].key
        assert other.due_s == arrival.due_s


def test_corrupt_photos_take_turns_in_how_they_are_spoiled() -> None:
    built = scenario(faults={"corrupt": 0.2})
    spoilings = [arrival.photos[0].spoiling for arrival in of_kind(built, Kind.CORRUPT)]
    assert set(spoilings) == set(Spoiling)
    for arrival in of_kind(built, Kind.CORRUPT):
        spoiling = arrival.photos[0].spoiling
        assert spoiling is not None
        assert arrival.truth.reasons == tuple(reason.value for reason in RIGHT_REASONS[spoiling])
        assert arrival.truth.expected == "dead-letter"


def test_missing_photos_are_named_and_not_uploaded(full: Scenario) -> None:
    missing = of_kind(full, Kind.MISSING)
    assert missing
    for arrival in missing:
        assert not arrival.uploaded
        assert arrival.truth.reasons == (Reason.PHOTO_MISSING.value,)
    assert all(arrival.uploaded for arrival in full.arrivals if arrival.truth.kind is not Kind.MISSING)


def test_events_are_due_at_the_rate_and_in_order() -> None:
    built = scenario(rate=20, count=100)
    due = [arrival.due_s for arrival in built.arrivals]
    assert due == sorted(due)
    assert due[-1] == pytest.approx(99 / 20)


def test_bursts_come_at_one_moment_and_make_the_share_asked_for() -> None:
    built = scenario(mix={"re-photographed": 1}, count=3000, burst=0.5, burst_size=10)
    moments = Counter(arrival.due_s for arrival in built.arrivals)
    in_bursts = sum(number for number in moments.values() if number >= 10)
    assert max(moments.values()) >= 10
    assert 0.35 < in_bursts / 3000 < 0.65
    assert built.arrivals[-1].due_s <= 3000 / built.options.rate


def test_shots_are_taken_in_the_ways_asked_for(full: Scenario) -> None:
    shots = Counter(photo.shot for arrival in full.arrivals for photo in arrival.photos)
    assert set(shots) == {Shot.MILD, Shot.HARSH, Shot.SECOND}
    assert all(photo.shot is Shot.STUDIO for article in full.catalogue for photo in article.photos)


def test_the_run_is_in_every_arrival_id() -> None:
    built = scenario(run="monday", count=5)
    assert all(arrival.arrival_id.startswith("monday-") for arrival in built.arrivals)


def test_attributes_say_what_the_garment_is(full: Scenario) -> None:
    for arrival in of_kind(full, Kind.NEW):
        article = garment(drawn(arrival).seed, drawn(arrival).colourway)
        assert arrival.attributes == {"category": article.category.value, "colour": article.colour}


@pytest.mark.parametrize(
    "wrong",
    [
        {"mix": {"corrupt": 1}},
        {"faults": {"new": 0.5}},
        {"faults": {"corrupt": 0.7, "missing": 0.6}},
        {"mix": {"new": 0}},
        {"mix": {"new": -1, "re-photographed": 3}},
        {"shots": {"studio": 1}},
        {"count": 0},
        {"rate": 0},
        {"run": "with space"},
        {"colour": "red"},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ScenarioOptions.model_validate(wrong)


def test_a_drawn_catalogue_holds_several_colourways_of_some_styles() -> None:
    stock = drawn_stock(0, 200, 0, 0)
    styles = Counter(article.article_id.rsplit("-", 1)[0] for article in stock.catalogue)
    assert len(stock.catalogue) == 200
    assert max(styles.values()) == 3
    assert 0.4 < sum(number == 1 for number in styles.values()) / len(styles) < 0.8


def test_truth_survives_being_written_and_read(tmp_path: Path, full: Scenario) -> None:
    file = tmp_path / "deep" / "truth.jsonl"
    assert write_truth(file, full.truths) == len(full.truths)
    assert read_truth(file) == full.truths


def test_a_line_that_is_no_truth_is_named(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    file.write_text(Truth(arrival_id="a", kind=Kind.NEW, expected="new").model_dump_json() + "\n{}\n")
    with pytest.raises(ValueError, match="line 2"):
        read_truth(file)


# --- a folder of real photos takes the place of drawings


def write_photo(path: Path, seed: int, view: str = "front") -> None:
    photo = studio_photo(garment(seed), "back" if view == "back" else "front", 256)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2BGR))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    for number in range(12):
        for colour in ("red", "blue"):
            write_photo(folder / f"style{number:02d}-{colour}_main.jpg", number)
        write_photo(folder / f"style{number:02d}-red_back.jpg", number, "back")
    write_photo(folder / "hat" / "front.png", 50)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_files_and_subfolders_become_articles_with_views(shop: Path) -> None:
    articles = {article.article_id: article for article in read_articles(shop)}
    assert len(articles) == 25
    assert set(articles["style03-red"].views) == {"front", "back"}
    assert set(articles["style03-blue"].views) == {"front"}
    assert set(articles["hat"].views) == {"front"}


def test_a_folder_is_split_into_catalogue_new_styles_and_colourways(shop: Path) -> None:
    stock = folder_stock(shop, seed=1)
    catalogue = {article.article_id for article in stock.catalogue}
    fresh = {article.article_id for article in stock.fresh}
    colourways = {article.article_id for article in stock.colourways}
    assert catalogue
    assert fresh
    assert colourways
    assert not catalogue & (fresh | colourways)
    styles = {name.rpartition("-")[0] for name in catalogue}
    assert not styles & {name.rpartition("-")[0] for name in fresh if name != "hat"}
    assert {name.rpartition("-")[0] for name in colourways} <= styles
    assert {article.near for article in stock.colourways} <= catalogue


def test_a_scenario_from_a_folder_uses_its_photos_and_no_drawing(shop: Path) -> None:
    built = scenario(folder=shop, count=40, faults=DEFAULT_FAULTS)
    photos = [photo for arrival in built.arrivals for photo in arrival.photos]
    photos += [photo for article in built.catalogue for photo in article.photos]
    assert all(isinstance(photo.source, RealPhoto) for photo in photos)
    assert len(built.arrivals) == 40
    new = [arrival for arrival in built.arrivals if arrival.truth.kind in {Kind.NEW, Kind.TWIN} and not arrival.repeated]
    assert len({arrival.photos[0].source for arrival in new}) >= len(new) - len(of_kind(built, Kind.TWIN)) // 2


def test_what_a_folder_cannot_give_becomes_rephotographed(tmp_path: Path) -> None:
    for number in range(4):
        write_photo(tmp_path / f"item{number}.jpg", number)
    built = scenario(folder=tmp_path, count=50, mix={"new": 1, "colourway": 1, "back-view": 1, "re-photographed": 1})
    counts = Counter(truth.kind for truth in built.truths)
    assert counts[Kind.COLOURWAY] == 0
    assert counts[Kind.BACK] == 0
    assert counts[Kind.NEW] <= 2
    assert counts[Kind.REPHOTOGRAPHED] == 50 - counts[Kind.NEW]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no photo"):
        scenario(folder=tmp_path)


def test_names_of_any_kind_become_identifiers(tmp_path: Path) -> None:
    write_photo(tmp_path / "Süßes Kleid (rot).jpg", 1)
    [article] = read_articles(tmp_path)
    assert article.article_id.isascii()
    assert np.all([c.isalnum() or c in "._:@+=-" for c in article.article_id])
