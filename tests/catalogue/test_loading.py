"""The loader: resumable, ahead of the models, honest about what it could not load."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.catalogue.fakes import Thumbnail, draw, photo_embedder
from tests.catalogue.points import pending
from tests.infra.needs import require
from worker.catalogue import collection_name, ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.entries import CatalogueEntry
from worker.catalogue.loading import AHEAD, BATCH, Loader, tasks_of
from worker.catalogue.protocol import Catalogue, CatalogueAdmin, Point, PointState, Query
from worker.catalogue.reindexing import collection_to_go_back_to, reindex
from worker.errors import (
    AccessDenied,
    CatalogueUnavailable,
    ConfigurationError,
    IntakeError,
    PhotoRefused,
    Reason,
    StorageUnavailable,
)
from worker.events import derived_id
from worker.imaging.local import local_location
from worker.imaging.types import Photo
from worker.settings import CatalogueSettings


class Files:
    """Reads local files; a location in `failures` gives its errors first, one a fetch."""

    def __init__(self, failures: dict[str, list[IntakeError]] | None = None) -> None:
        self.failures = failures or {}
        self.fetched: list[str] = []
        self._lock = threading.Lock()

    def fetch(self, locations: Sequence[str]) -> list[Photo | IntakeError]:
        with self._lock:
            return [self._one(location) for location in locations]

    def _one(self, location: str) -> Photo | IntakeError:
        if self.failures.get(location):
            return self.failures[location].pop(0)
        self.fetched.append(location)
        try:
            return Photo(local_location(Path(location)), Path(location).read_bytes())
        except FileNotFoundError:
            return PhotoRefused(Reason.PHOTO_MISSING, f"{location} is not there")


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[CatalogueAdmin]:
    try:
        import qdrant_edge  # noqa: F401
    except ModuleNotFoundError:
        require(False, "Qdrant Edge (the embedded extra)")
    opened = open_catalogue_admin(CatalogueSettings(engine="edge", path=tmp_path / "index"))
    yield opened
    opened.close()


@pytest.fixture
def catalogue(admin: CatalogueAdmin) -> Catalogue:
    return ensure_live_catalogue(admin, "first", Thumbnail().dimension)


def entries(folder: Path, count: int) -> list[CatalogueEntry]:
    return [CatalogueEntry(f"a{number}", "front", str(draw(folder / f"{number}.png", number))) for number in range(count)]


def loader(catalogue: Catalogue, files: Files, **options: Any) -> Loader:
    return Loader(catalogue, files, photo_embedder(), first_pause_s=0.0, **options)


def test_every_photo_becomes_a_settled_point_that_its_own_photo_finds_first(tmp_path: Path, catalogue: Catalogue) -> None:
    wanted = entries(tmp_path, 50)
    done: list[int] = []

    report = loader(catalogue, Files(), progress=done.append).load(tasks_of(wanted, "first"))

    assert (report.loaded, report.skipped, report.refused) == (50, 0, [])
    assert sum(done) == 50
    points = [point for part in catalogue.scroll(with_vectors=True) for point in part]
    assert {point.point_id: (point.article_id, point.location, point.state, point.fingerprint) for point in points} == {
        entry.point_id: (entry.article_id, entry.location, PointState.SETTLED, "first") for entry in wanted
    }
    for point in points:
        assert point.vector is not None
        assert catalogue.search([Query(point.vector, 1)])[0][0].article_id == point.article_id


def test_a_second_run_fetches_only_what_is_new(tmp_path: Path, catalogue: Catalogue) -> None:
    loader(catalogue, Files()).load(tasks_of(entries(tmp_path, 20), "first"))
    files = Files()

    report = loader(catalogue, files).load(tasks_of(entries(tmp_path, 25), "first"))

    assert (report.loaded, report.skipped) == (5, 20)
    assert len(files.fetched) == 5


def test_again_makes_points_anew(tmp_path: Path, catalogue: Catalogue) -> None:
    wanted = entries(tmp_path, 3)
    loader(catalogue, Files()).load(tasks_of(wanted, "first"))
    draw(Path(wanted[0].location), 999)

    report = loader(catalogue, Files()).load(tasks_of(wanted, "first"), again=True)

    assert (report.loaded, report.skipped, catalogue.stats().points) == (3, 0, 3)


def test_a_photo_named_twice_is_loaded_once(tmp_path: Path, catalogue: Catalogue) -> None:
    one = entries(tmp_path, 1) * 3

    report = loader(catalogue, Files()).load(tasks_of(one, "first"))

    assert (report.loaded, report.skipped) == (1, 2)


def test_bad_photos_are_reported_with_their_reason_and_the_rest_is_loaded(tmp_path: Path, catalogue: Catalogue) -> None:
    wanted = entries(tmp_path, 40)
    Path(wanted[3].location).unlink()
    Path(wanted[21].location).write_bytes(b"no photo at all")
    done: list[int] = []

    report = loader(catalogue, Files(), progress=done.append).load(tasks_of(wanted, "first"))

    assert report.loaded == 38
    assert sum(done) == 40
    assert {photo.article_id for photo in report.refused} == {"a3", "a21"}
    assert "is not there" in next(photo.why for photo in report.refused if photo.article_id == "a3")


def test_storage_that_fails_for_a_moment_is_tried_again(tmp_path: Path, catalogue: Catalogue) -> None:
    wanted = entries(tmp_path, 20)
    files = Files({wanted[5].location: [StorageUnavailable("throttled"), StorageUnavailable("throttled")]})

    assert loader(catalogue, files).load(tasks_of(wanted, "first")).loaded == 20


def test_storage_that_stays_away_ends_the_load_and_the_next_run_goes_on(tmp_path: Path, catalogue: Catalogue) -> None:
    wanted = entries(tmp_path, BATCH * 2)
    files = Files({wanted[-1].location: [StorageUnavailable("away")] * 100})

    with pytest.raises(StorageUnavailable, match="away"):
        loader(catalogue, files).load(tasks_of(wanted, "first"))
    report = loader(catalogue, Files()).load(tasks_of(wanted, "first"))

    assert report.loaded + report.skipped == BATCH * 2
    assert catalogue.stats().points == BATCH * 2


def test_refused_credentials_stop_at_once(tmp_path: Path, catalogue: Catalogue) -> None:
    wanted = entries(tmp_path, 3)
    with pytest.raises(AccessDenied):
        loader(catalogue, Files({wanted[0].location: [AccessDenied("no")]})).load(tasks_of(wanted, "first"))


def test_an_index_that_fails_for_a_moment_is_tried_again(tmp_path: Path, catalogue: Catalogue) -> None:
    class Shaky:
        """The catalogue, whose first call of each kind fails."""

        def __init__(self) -> None:
            self.failed: set[str] = set()

        def __getattr__(self, name: str) -> Any:
            if name in {"upsert", "existing"} and name not in self.failed:
                self.failed.add(name)

                def fail(*_: object) -> None:
                    raise CatalogueUnavailable("away for a moment")

                return fail
            return getattr(catalogue, name)

    shaky: Any = Shaky()
    assert loader(shaky, Files()).load(tasks_of(entries(tmp_path, 5), "first")).loaded == 5
    assert shaky.failed == {"upsert", "existing"}


def test_photos_are_read_ahead_of_the_models_but_only_so_far(tmp_path: Path, catalogue: Catalogue) -> None:
    """While the first batch is in the models, the next ones are fetched; their number is bounded."""
    wanted = entries(tmp_path, BATCH * 12)
    files, inner = Files(), photo_embedder()
    fetched_at_cut: list[int] = []
    ahead_seen = threading.Event()

    class Watching:
        decode = staticmethod(inner.decode)
        embed = staticmethod(inner.embed)

        @staticmethod
        def cut_out(photos: Sequence[Any], categories: Sequence[str | None] | None = None) -> Any:
            deadline = threading.Event()
            while not ahead_seen.is_set() and not deadline.wait(0.01):
                if len(files.fetched) > BATCH * 2:
                    ahead_seen.set()
            fetched_at_cut.append(len(files.fetched))
            return inner.cut_out(photos, categories)

    report = Loader(catalogue, files, Watching(), first_pause_s=0.0).load(tasks_of(wanted, "first"))

    assert report.loaded == BATCH * 12
    assert ahead_seen.is_set()
    # In the models: one; waiting decoded or being fetched: at most AHEAD + 1.
    assert all(fetched <= BATCH * (done + 1 + AHEAD + 1) for done, fetched in enumerate(fetched_at_cut))


# Reindexing


def settled_arrival(location: str) -> Point:
    return replace(pending("arrival-1", 1), location=location, vector=None)


def test_a_reindex_makes_every_settled_point_again_and_switches_with_records_kept(
    tmp_path: Path, admin: CatalogueAdmin, catalogue: Catalogue
) -> None:
    loader(catalogue, Files()).load(tasks_of(entries(tmp_path, 20), "first"))
    base = next(iter(catalogue.scroll(with_vectors=True)))[0]
    one = replace(settled_arrival(str(draw(tmp_path / "arrival.png", 77))), vector=base.vector)
    catalogue.upsert([one, replace(one, point_id=tasks_point(), arrival_id="arrival-2")])
    catalogue.settle({"arrival-1": "the record"})
    other = Thumbnail(turn=3)
    admin.ensure_collection(collection_name("second"), other.dimension)
    target = admin.open(collection_name("second"))

    report = reindex(
        admin, catalogue, target, Loader(target, Files(), photo_embedder(other), first_pause_s=0.0), "second", allow_missing=False
    )

    assert (report.load.loaded, report.pending, report.switched) == (21, 1, True)
    assert admin.alias_target() == target.collection
    assert ensure_live_catalogue(admin, "second", other.dimension).stats().points == 21
    [point] = target.points_of_arrivals(["arrival-1"])["arrival-1"]
    assert (point.state, point.record, point.fingerprint) == (PointState.SETTLED, "the record", "second")
    with pytest.raises(ConfigurationError, match="reindex"):
        ensure_live_catalogue(admin, "first", Thumbnail().dimension)

    admin.switch_alias(collection_to_go_back_to(admin, None))
    assert ensure_live_catalogue(admin, "first", Thumbnail().dimension).stats().points == 22


def test_a_reindex_that_misses_a_photo_does_not_switch_unless_told_to(
    tmp_path: Path, admin: CatalogueAdmin, catalogue: Catalogue
) -> None:
    wanted = entries(tmp_path, 5)
    loader(catalogue, Files()).load(tasks_of(wanted, "first"))
    Path(wanted[2].location).unlink()
    other = Thumbnail(turn=3)
    admin.ensure_collection(collection_name("second"), other.dimension)
    target = admin.open(collection_name("second"))
    again = Loader(target, Files(), photo_embedder(other), first_pause_s=0.0)

    refused = reindex(admin, catalogue, target, again, "second", allow_missing=False)
    assert (refused.switched, admin.alias_target()) == (False, catalogue.collection)
    assert [photo.article_id for photo in refused.load.refused] == ["a2"]

    assert reindex(admin, catalogue, target, again, "second", allow_missing=True).switched
    assert admin.alias_target() == target.collection


def test_what_is_written_to_the_old_collection_meanwhile_comes_along(
    tmp_path: Path, admin: CatalogueAdmin, catalogue: Catalogue
) -> None:
    wanted = entries(tmp_path, 30)
    loader(catalogue, Files()).load(tasks_of(wanted[:20], "first"))
    other = Thumbnail(turn=3)
    admin.ensure_collection(collection_name("second"), other.dimension)
    target = admin.open(collection_name("second"))
    late = threading.Event()

    def a_worker_goes_on(_: int) -> None:
        if not late.is_set():
            late.set()
            loader(catalogue, Files()).load(tasks_of(wanted[20:], "first"))

    again = Loader(target, Files(), photo_embedder(other), a_worker_goes_on, first_pause_s=0.0)
    report = reindex(admin, catalogue, target, again, "second", allow_missing=False)

    assert (report.load.loaded, report.switched) == (30, True)


def test_going_back_needs_one_other_collection_or_its_name(admin: CatalogueAdmin, catalogue: Catalogue) -> None:
    with pytest.raises(ConfigurationError, match="no other"):
        collection_to_go_back_to(admin, None)
    for name in ("second", "third"):
        admin.ensure_collection(collection_name(name), 8)
    with pytest.raises(ConfigurationError, match="--collection"):
        collection_to_go_back_to(admin, None)
    with pytest.raises(ConfigurationError, match="none of the other"):
        collection_to_go_back_to(admin, catalogue.collection)
    assert collection_to_go_back_to(admin, collection_name("third")) == collection_name("third")


def tasks_point() -> Any:
    return derived_id("arrival", "arrival-2", "front")
