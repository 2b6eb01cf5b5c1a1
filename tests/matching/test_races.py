"""Races of the real settle stage: pairs and triples of photos of one new garment, at the same instant, in several workers.

Forced: every step in an order the test chooses, with deaths. Random: threads on the embedded engine, and processes on a server that kill
themselves at the named points. After each race: exactly one article or an alert that names the twin, and no orphan.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from qdrant_client import QdrantClient

from tests.infra.needs import require
from tests.infra.qdrant_fixtures import GIVEN_URL
from tests.matching.conductor import Conductor
from tests.matching.memory import MemoryCatalogue
from tests.matching.processes import Track
from tests.matching.racing import FINGERPRINT, RACE_DIMENSION, Entry, live, verdict
from worker.catalogue import ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.protocol import Catalogue
from worker.matching.requests import Settled, SettleOutcome
from worker.matching.tools import SettleTools
from worker.settings import CatalogueSettings, MatchingSettings

FORCED_RACES = 1_000
RANDOM_RACES = 1_000
PATIENT = MatchingSettings(twin_wait_s=1e6, orphan_after_s=1e7, settle_wait_s=0.05)
# In the forced races time passes only while somebody sleeps: this bound is reached in some of them.
HASTY = MatchingSettings(twin_wait_s=0.3, orphan_after_s=1e7, settle_wait_s=0.05)


def draw(rng: random.Random, race: int) -> list[list[Entry]]:
    """Two or three workers with a twin each; some with two photos, some with another arrival in the batch, or a twin of their own.

    Half of the arrivals know their garment's category, by which searches are narrowed.
    """
    sides = rng.choice([2, 2, 3])
    ids = rng.sample(range(100), sides * 2)
    batches = []
    for side in range(sides):
        batch = [Entry(f"r{race}-{ids[side]:02}", race, rng.choice([1, 1, 2]))]
        if rng.random() < 0.3:
            other = race if rng.random() < 0.5 else 1_000_000 + race * 10 + rng.choice([0, side])
            batch.insert(rng.choice([0, 1]), Entry(f"r{race}-{ids[sides + side]:02}", other))
        batches.append(batch)
    known = random.Random(f"category {race}")
    return [[replace(each, category=known.choice([None, f"kind-{each.garment}"])) for each in batch] for batch in batches]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    try:
        import qdrant_edge  # noqa: F401
    except ModuleNotFoundError:
        require(False, "Qdrant Edge (the embedded extra)")
    admin = open_catalogue_admin(CatalogueSettings(engine="edge", path=tmp_path_factory.mktemp("edge") / "index"))
    yield ensure_live_catalogue(admin, FINGERPRINT, RACE_DIMENSION)
    admin.close()


def force(open_catalogue: Callable[[], Catalogue], races: range) -> Counter[str]:
    """Races in every style, half of them with deaths, a tenth with a bound that may be reached."""
    counts: Counter[str] = Counter()
    for race in races:
        catalogue = open_catalogue()
        rng = random.Random(race)
        batches = draw(rng, race)
        bounded = rng.random() < 0.1
        settings = HASTY if bounded else PATIENT
        lives = {str(side): partial(live, catalogue, batch, settings) for side, batch in enumerate(batches)}
        conductor = Conductor(lives, rng, kills=rng.choice([0.0, 0.08]))
        outcomes = conductor.run(rng.choice(["random", "lockstep", "bursts"]))
        entries = [entry for batch in batches for entry in batch]

        assert verdict(catalogue, entries, outcomes, bounded=bounded) is None, (race, conductor.way)
        counts["races"] += 1
        counts["arrivals"] += len(entries)
        counts["articles"] += sum(isinstance(one, Settled) for one in outcomes.values())
        counts["deaths"] += conductor.deaths
        counts["steps"] += len(conductor.way)
        counts["all-alert"] += not any(isinstance(one, Settled) for one in outcomes.values())
        assert catalogue.stats().pending == 0
    return counts


def test_a_thousand_forced_races_make_one_article_each() -> None:
    counts = force(lambda: MemoryCatalogue("races", RACE_DIMENSION), range(FORCED_RACES))

    assert counts["races"] == FORCED_RACES
    assert counts["deaths"] > FORCED_RACES / 4
    assert counts["arrivals"] > 2 * FORCED_RACES


def test_forced_races_on_the_embedded_engine(edge: Catalogue) -> None:
    counts = force(lambda: edge, range(5_000, 5_150))

    assert counts["races"] == 150


def test_the_same_seed_gives_the_same_race() -> None:
    ways = []
    for _ in range(2):
        catalogue = MemoryCatalogue("races", RACE_DIMENSION)
        lives = {name: partial(live, catalogue, [Entry(name, 1)], PATIENT) for name in ("a", "b", "c")}
        conductor = Conductor(lives, random.Random(3), kills=0.05)
        conductor.run("random")
        ways.append(conductor.way)

    assert ways[0] == ways[1]
    assert len(ways[0]) > 30


def start_together(start: threading.Barrier, catalogue: Catalogue, batch: list[Entry]) -> dict[str, SettleOutcome]:
    """One worker, from the instant all are there."""
    start.wait(30)
    return live(catalogue, batch, MatchingSettings(), SettleTools())


def test_a_thousand_random_races_in_threads_make_one_article_each(edge: Catalogue) -> None:
    """Nobody orders the steps: threads that start at the same instant, on the engine the demo runs on."""
    seen: Counter[int] = Counter()
    with ThreadPoolExecutor(3) as pool:
        for race in range(10_000, 10_000 + RANDOM_RACES):
            batches = draw(random.Random(race), race)
            start = threading.Barrier(len(batches))

            futures = [pool.submit(start_together, start, edge, batch) for batch in batches]
            outcomes = {name: one for future in futures for name, one in future.result(60).items()}
            entries = [entry for batch in batches for entry in batch]
            assert verdict(edge, entries, outcomes, bounded=False) is None, race
            seen[len(batches)] += 1

    assert sum(seen.values()) == RANDOM_RACES
    assert edge.stats().pending == 0


@pytest.mark.integration
@pytest.mark.parametrize(
    ("races", "deadly"),
    [(40, 0.25), pytest.param(RANDOM_RACES, 0.2, marks=pytest.mark.slow)],
    ids=["short", "full"],
)
def test_races_of_processes_that_are_killed_at_the_named_points(
    qdrant_settings: CatalogueSettings, races: int, deadly: float
) -> None:
    """Real worker processes on a server: the stand-in, or the one given by INTAKE_TEST_QDRANT_URL."""
    admin = open_catalogue_admin(qdrant_settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, RACE_DIMENSION)
    rng = random.Random(races)
    try:
        with Track(qdrant_settings, catalogue.collection, sides=3) as track:
            for race in range(20_000, 20_000 + races):
                batches = draw(rng, race)
                outcomes = track.race(batches, rng, deadly)
                entries = [entry for batch in batches for entry in batch]
                assert verdict(catalogue, entries, outcomes, bounded=False) is None, race
        assert track.deaths >= races * deadly / 3
        assert catalogue.stats().pending == 0
    finally:
        admin.close()
        if qdrant_settings.url == GIVEN_URL:  # nobody else clears a server that was given
            QdrantClient(url=GIVEN_URL).delete_collection(catalogue.collection)
