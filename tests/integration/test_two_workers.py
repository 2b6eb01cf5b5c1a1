"""Two worker processes on real Kafka and a real S3 server, sharing one index."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.infra.kafka import KafkaServer, wait_until
from tests.integration.system import Outcomes, System, verify
from worker.embedded.s3 import S3Endpoint
from worker.events import CatalogueInsert, MatchAlert, PhotoLocation
from worker.imaging.decode import encode_jpeg
from worker.settings import CatalogueSettings
from worker.simulate.garments import garment, studio_photo

pytestmark = pytest.mark.integration

ARRIVALS = 2_000
GARMENTS = 120
# Bad input of every kind, repeated so that it meets every partition.
CORRUPT, MISSING, FORBIDDEN, UNREADABLE = 40, 40, 40, 40


@pytest.fixture
def system(kafka: KafkaServer, s3_plain: S3Endpoint, qdrant_settings: CatalogueSettings, tmp_path: Path) -> Iterator[System]:
    system = System(
        kafka,
        s3_plain,
        qdrant_settings,
        tmp_path,
        # one arrival in twelve is refused here on purpose, in unlucky runs of many
        more={"INTAKE_STREAM__DEAD_LETTER_LIMITS__RUN_LENGTH": "1000", "INTAKE_STREAM__DEAD_LETTER_LIMITS__RATE": "1.0"},
    ).set_up()
    yield system
    system.stop_workers()


def photo(seed: int, *, quality: int = 92, turn: int = 0) -> bytes:
    rgb = studio_photo(garment(seed), side=256).rgb
    return encode_jpeg(np.ascontiguousarray(np.rot90(rgb, turn)), quality)


def arrivals(system: System) -> tuple[list[tuple[bytes | None, bytes | None]], list[str]]:
    """Events in a seeded random order, and the id every one of them must end under ("None" where the event is unreadable)."""
    rng = random.Random(7)
    places: list[PhotoLocation] = []
    for seed in range(GARMENTS):
        places.append(system.put(f"garment-{seed}.jpg", photo(seed)))
        places.append(system.put(f"garment-{seed}-again.jpg", photo(seed, quality=60)))
    corrupt = system.put("corrupt.jpg", photo(0)[:700])
    missing = PhotoLocation(bucket=system.bucket, key="arrivals/nobody.jpg")
    forbidden = PhotoLocation(bucket=system.bucket, key="elsewhere/photo.jpg")
    events: list[tuple[bytes | None, bytes | None]] = []
    ids: list[str] = []
    bad = [corrupt] * CORRUPT + [missing] * MISSING + [forbidden] * FORBIDDEN
    for number in range(ARRIVALS - UNREADABLE):
        place = bad[number] if number < len(bad) else rng.choice(places)
        events.append(system.event(f"arrival-{number:05d}", place))
        ids.append(f"arrival-{number:05d}")
    for number in range(UNREADABLE):
        events.append((f"unreadable-{number}".encode(), b'{"arrival_id": 7'))
        ids.append("None")
    rng.shuffle(events)
    return events, ids


def content(found: Outcomes) -> dict[str, str]:
    """Each outcome by id, without what may differ between two replays: timings, and for alerts what the grown catalogue adds."""
    inserts = {str(one.event_id): one.model_dump_json(exclude={"timings"}) for one in found.inserts}
    return inserts | {str(one.event_id): one.arrival_id for one in found.alerts}


def test_two_thousand_arrivals_give_two_thousand_outcomes_and_the_same_again_after_a_replay(system: System) -> None:
    events, ids = arrivals(system)
    for _ in range(2):
        system.start_worker()
    system.send(events)

    found = system.wait_for(ARRIVALS, timeout_s=600)

    assert found.total == ARRIVALS
    verify(found, system.points(), ids)
    reasons = Counter(letter.reason.value for letter in found.dead_letters)
    assert reasons == {
        "photo-corrupt": CORRUPT,
        "photo-missing": MISSING,
        "location-forbidden": FORBIDDEN,
        "event-not-json": UNREADABLE,
    }
    decided: list[MatchAlert | CatalogueInsert] = [*found.alerts, *found.inserts]
    for outcome in decided:
        assert outcome.explanation.reason
        assert outcome.models.pipeline
    # a garment becomes an article once: whatever came first, the others alert
    assert 0 < len(found.inserts) <= GARMENTS
    assert all(alert.candidates for alert in found.alerts)

    # every event once more: under the same ids, no new article, the same decisions
    system.send(events)
    again = system.wait_for(2 * ARRIVALS, timeout_s=600)
    assert again.total == 2 * ARRIVALS
    assert {point.article_id for point in system.points()} == {insert.article_id for insert in found.inserts}
    readable = Counter({arrival: 2 for arrival in ids if arrival != "None"})
    assert Counter({name: count for name, count in again.arrivals().items() if name != "None"}) == readable
    first, all_ids = content(found), again.event_ids()
    assert all(all_ids[event_id] == 2 for event_id in first)
    repeated = [insert for insert in again.inserts if insert.arrival_id in {one.arrival_id for one in found.inserts}]
    assert len(repeated) == 2 * len(found.inserts) == len(again.inserts)
    assert {one.model_dump_json(exclude={"timings"}) for one in repeated} == {
        one.model_dump_json(exclude={"timings"}) for one in found.inserts
    }
    wait_until(system.committed_everything, "offsets at the end")


def test_a_worker_that_is_killed_at_any_moment_loses_and_repeats_nothing(system: System) -> None:
    places = [system.put(f"garment-{seed}.jpg", photo(1000 + seed)) for seed in range(30)]
    ids = [f"arrival-{number:04d}" for number in range(240)]
    system.send([system.event(name, places[number % len(places)]) for number, name in enumerate(ids)])
    # each life is ended at another point of the flow, the last one is not
    for point in ("after-pending-write:crash:2", "after-settle:crash:2", "after-send:crash:2", "before-commit:crash:2"):
        system.start_worker(INTAKE_OPS__FAULTS=point, INTAKE_STREAM__BATCH_SIZE="8").wait(180)
    system.workers.clear()
    system.start_worker()

    found = system.wait_for(len(ids), timeout_s=300)
    wait_until(system.committed_everything, "offsets at the end")
    verify(system.outcomes(), system.points(), ids)
    assert len(found.inserts) > 0
