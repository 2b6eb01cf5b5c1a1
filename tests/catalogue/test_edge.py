"""Embedded Qdrant Edge: the common behaviour, and what only a folder in one process has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from tests.catalogue.behaviour import CatalogueBehaviour, names
from tests.catalogue.points import DIMENSION, FINGERPRINT, article, pending, query, vector
from tests.infra.needs import require
from worker.catalogue import ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.protocol import CatalogueAdmin, PointState, Query
from worker.errors import CatalogueUnavailable, ConfigurationError
from worker.events import Attributes
from worker.settings import CatalogueSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> CatalogueSettings:
    try:
        import qdrant_edge  # noqa: F401
    except ModuleNotFoundError:
        require(False, "Qdrant Edge (the embedded extra)")
    return CatalogueSettings(engine="edge", path=tmp_path / "index")


@pytest.fixture
def admin(settings: CatalogueSettings) -> Iterator[CatalogueAdmin]:
    opened = open_catalogue_admin(settings)
    yield opened
    opened.close()


@pytest.fixture
def rival_admin(admin: CatalogueAdmin) -> CatalogueAdmin:
    """One process holds the folder: rivals are threads on one admin."""
    return admin


class TestEdge(CatalogueBehaviour):
    """The common behaviour."""


def test_what_was_written_is_there_after_closing_and_opening(settings: CatalogueSettings) -> None:
    first = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(first, FINGERPRINT, DIMENSION)
    catalogue.upsert([article("shirt", 1), pending("a-1", 2)])
    catalogue.settle({"a-1": "record"})
    first.close()
    first.close()

    second = open_catalogue_admin(settings)
    reopened = ensure_live_catalogue(second, FINGERPRINT, DIMENSION)

    assert sorted(names(reopened.search([query(1)])[0])) == ["article-a-1", "shirt"]
    assert reopened.points_of_arrivals(["a-1"])["a-1"][0].record == "record"
    second.close()


def test_using_a_catalogue_whose_admin_was_closed_is_an_error_that_stops(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    admin.close()

    with pytest.raises(ConfigurationError, match="closed"):
        catalogue.search([query(1)])
    with pytest.raises(ConfigurationError, match="closed"):
        admin.open(catalogue.collection)


def test_closing_waits_for_the_searches_that_are_under_way(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    catalogue.upsert([article(f"a{seed}", seed) for seed in range(500)])
    surprises: list[Exception] = []
    searched = threading.Event()

    def search_until_closed() -> None:
        while True:
            try:
                catalogue.search([query(seed) for seed in range(20)])
            except ConfigurationError:
                return
            except Exception as error:  # noqa: BLE001  whatever it is, the test reports it
                surprises.append(error)
                return
            finally:
                searched.set()

    threads = [threading.Thread(target=search_until_closed) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert searched.wait(30)
    admin.close()
    for thread in threads:
        thread.join(30)

    assert surprises == []
    assert not any(thread.is_alive() for thread in threads)


def test_a_second_admin_on_the_folder_is_refused_and_named_who_holds_it(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)

    with pytest.raises(ConfigurationError, match=f"held by process {os.getpid()}"):
        open_catalogue_admin(settings)
    admin.close()
    open_catalogue_admin(settings).close()


def test_another_process_is_refused_while_one_holds_the_folder(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)

    answer = _run_child(settings.path, "print('opened')")

    assert answer.returncode != 0
    assert f"held by process {os.getpid()}" in answer.stderr
    admin.close()
    assert _run_child(settings.path, "print('opened')").stdout.strip() == "opened"


def test_every_write_that_returned_survives_kill_9(settings: CatalogueSettings) -> None:
    """The child says what it has written after each call returned, and is killed in the middle of the next."""
    child = _start_child(
        settings.path,
        """
        number = 0
        while True:
            catalogue.upsert([pending(f"a-{number}", number), pending(f"a-{number}", number + 1, view="back")])
            catalogue.settle({f"a-{number}": f"record {number}"})
            print(number, flush=True)
            number += 1
        """,
    )
    assert child.stdout is not None
    written = -1
    for line in child.stdout:
        written = int(line)
        if written >= 200:
            break
    child.kill()
    rest = child.stdout.read()
    assert child.wait(30) == -signal.SIGKILL
    written = max([written, *(int(number) for number in rest.split())])

    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    points = catalogue.points_of_arrivals([f"a-{number}" for number in range(written + 1)])
    states = {(point.state, point.record == f"record {arrival[2:]}") for arrival, found in points.items() for point in found}
    admin.close()

    assert len(points) == written + 1
    assert all(len(found) == 2 for found in points.values())
    assert states == {(PointState.SETTLED, True)}


def test_withdrawn_points_do_not_come_back_after_kill_9(settings: CatalogueSettings) -> None:
    child = _start_child(
        settings.path,
        """
        catalogue.upsert([pending(f"a-{number}", number) for number in range(50)])
        catalogue.settle({"a-7": "record"})
        catalogue.withdraw([f"a-{number}" for number in range(50)])
        print("done", flush=True)
        sys.stdin.read()
        """,
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "done"
    child.kill()
    child.wait(30)

    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    remaining = names(catalogue.search([query(7, limit=60)])[0])
    admin.close()

    assert remaining == ["article-a-7"]


def test_a_kill_while_a_collection_is_made_leaves_a_whole_one_or_none(settings: CatalogueSettings) -> None:
    half_made = settings.path / "collections" / ".unfinished-catalogue-x" / "shard"
    half_made.mkdir(parents=True)
    (half_made / "segment").write_bytes(b"half")

    admin = open_catalogue_admin(settings)
    assert admin.collections() == []
    assert admin.ensure_collection("catalogue-x", DIMENSION) is True
    admin.close()


def test_a_nearly_full_disk_refuses_writes_and_goes_on_reading(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    catalogue.upsert([article("shirt", 1)])
    admin.close()

    full = open_catalogue_admin(settings.model_copy(update={"min_free_mb": 10**9}))
    held = full.open(catalogue.collection)
    writes: tuple[Callable[[], object], ...] = (
        lambda: held.upsert([article("coat", 2)]),
        lambda: held.settle({"a-1": "record"}),
        lambda: held.withdraw(["a-1"]),
        lambda: held.delete_articles(["shirt"]),
        held.check,
    )
    for write in writes:
        with pytest.raises(CatalogueUnavailable, match="MB left"):
            write()
    assert names(held.search([query(1)])[0]) == ["shirt"]
    full.close()


def test_a_file_that_could_not_grow_costs_no_point_and_writes_go_on_when_it_can(tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full: the engine's own write fails, with EFBIG instead of ENOSPC."""
    program = """
        import base64, os, random, resource
        from dataclasses import replace
        from worker.errors import CatalogueUnavailable

        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        def large(n):  # incompressible: payloads are packed into pages of 32 MB
            return replace(pending(f"a-{n}", n), record=base64.b64encode(random.Random(n).randbytes(2_000_000)).decode())

        catalogue.upsert([pending("first", 1)])
        limit(0)
        for n in range(30):
            try:
                catalogue.upsert([large(n)])
            except CatalogueUnavailable as error:
                print(n, error)
                break
        for _ in range(2):
            try:
                catalogue.upsert([pending("late", 2)])
            except CatalogueUnavailable as error:
                print("still", error)
        limit(resource.RLIM_INFINITY)
        catalogue.upsert([pending("later", 3)])
        wanted = ["first", "later", *(f"a-{i}" for i in range(n))]
        print(sorted(set(wanted) - set(catalogue.points_of_arrivals(wanted))))
        admin.close()
        """

    done = _run_child(tmp_path / "index", program)

    assert done.returncode == 0, done.stderr
    failed, still, again, missing = done.stdout.splitlines()
    assert "could not write" in failed
    assert "File too large" in failed
    assert int(failed.split()[0]) > 1
    assert still.startswith("still")
    assert again.startswith("still")
    assert missing == "[]"


def test_a_nearly_full_disk_does_not_make_a_failed_engine_forget_its_guard(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    catalogue.upsert([article("shirt", 1)])
    handle = catalogue._handle  # type: ignore[attr-defined]
    handle.failed, enough = True, handle.min_free_bytes

    handle.min_free_bytes = 10**18
    with pytest.raises(CatalogueUnavailable, match="MB left"):
        catalogue.upsert([article("coat", 2)])
    assert names(catalogue.search([query(1)])[0]) == ["shirt"]
    handle.min_free_bytes = enough
    catalogue.upsert([article("coat", 2)])
    assert sorted(names(catalogue.search([query(1)])[0])) == ["coat", "shirt"]
    admin.close()
    with pytest.raises(ConfigurationError, match="closed or dropped"):
        catalogue.search([query(1)])


def test_calls_that_run_while_the_engine_is_opened_again_wait_and_are_answered(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    catalogue.upsert([article("shirt", 1)])
    handle = catalogue._handle  # type: ignore[attr-defined]
    ended = threading.Event()

    def search() -> int:
        count = 0
        while not ended.is_set():
            assert "shirt" in names(catalogue.search([query(1, limit=100)])[0])
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        searches = [pool.submit(search) for _ in range(3)]
        for n in range(20):
            handle.failed = True
            catalogue.upsert([article(f"coat-{n}", 2)])
            assert handle.failed is False
        ended.set()
        assert min(each.result(30) for each in searches) > 0
    assert catalogue.stats().points == 21
    admin.close()


def test_optimising_builds_the_graph_and_finds_the_same(settings: CatalogueSettings) -> None:
    from worker.catalogue.edge import EdgeCatalogue  # loads the embedded engine, which may not be there

    # The graph is built from ten megabytes of vectors up.
    dimension, count = 1024, 2_600
    admin = open_catalogue_admin(settings)
    admin.ensure_collection("catalogue-big", dimension)
    catalogue = admin.open("catalogue-big")
    assert isinstance(catalogue, EdgeCatalogue)
    points = [article(f"a{seed}", seed) for seed in range(count)]
    catalogue.upsert([replace(point, vector=vector(seed, dimension)) for seed, point in enumerate(points)])

    assert catalogue.optimise() is True

    assert int(catalogue.stats().details["indexed_vectors"]) >= count
    found = catalogue.search([Query(vector(seed, dimension), 1) for seed in range(0, count, 50)])
    assert [hits[0].article_id for hits in found] == [f"a{seed}" for seed in range(0, count, 50)]
    catalogue.upsert([replace(pending("late", 1), vector=vector(99_999, dimension))])
    assert names(catalogue.search([Query(vector(99_999, dimension), 1)])[0]) == ["article-late"]
    admin.close()


@pytest.mark.parametrize("quantisation", ["scalar", "binary"])
def test_quantised_collections_find_what_is_there(settings: CatalogueSettings, quantisation: str) -> None:
    changed = settings.model_copy(update={"quantisation": quantisation, "on_disk": True})
    admin = open_catalogue_admin(changed)
    catalogue = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    catalogue.upsert([article(f"a{seed}", seed) for seed in range(50)])

    assert names(catalogue.search([query(7, limit=1)])[0]) == ["a7"]
    admin.close()


def test_attributes_that_narrow_searches_are_indexed_also_in_an_older_collection(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
    admin.close()

    later = open_catalogue_admin(settings.model_copy(update={"filter_attributes": ("gender",)}))
    catalogue = ensure_live_catalogue(later, FINGERPRINT, DIMENSION)
    schema = catalogue._handle.shard.info().payload_schema  # type: ignore[attr-defined]
    later.close()

    assert set(schema) == {"article_id", "arrival_id", "state", "attributes.gender"}


@pytest.mark.slow
def test_what_is_not_known_is_found_also_through_an_index_and_the_graph(settings: CatalogueSettings) -> None:
    from worker.catalogue.edge import EdgeCatalogue  # loads the embedded engine, which may not be there

    dimension, count = 1024, 2_600
    admin = open_catalogue_admin(settings.model_copy(update={"filter_attributes": ("colour",)}))
    admin.ensure_collection("catalogue-big", dimension)
    catalogue = admin.open("catalogue-big")
    assert isinstance(catalogue, EdgeCatalogue)
    colours = (None, "red", "blue")
    points = [article(f"a{seed}", seed, attributes=Attributes(colour=colours[seed % 3])) for seed in range(count)]
    catalogue.upsert([replace(point, vector=vector(seed, dimension)) for seed, point in enumerate(points)])
    assert catalogue.optimise() is True

    for seed in range(30):
        [hits] = catalogue.search([Query(vector(seed, dimension), 5, {"colour": "red"})])
        assert {hit.attributes.colour for hit in hits} <= {None, "red"}
        assert (hits[0].article_id == f"a{seed}") is (colours[seed % 3] != "blue")
    admin.close()


def test_a_folder_that_cannot_be_made_is_the_worlds_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(CatalogueUnavailable, match="cannot be opened"):
        open_catalogue_admin(CatalogueSettings(engine="edge", path=tmp_path / "file" / "index"))


def test_damaged_files_are_reported_with_their_place(settings: CatalogueSettings) -> None:
    admin = open_catalogue_admin(settings)
    name = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION).collection
    admin.close()
    (settings.path / "alias.json").write_text("{not json")
    damaged = open_catalogue_admin(settings)
    with pytest.raises(CatalogueUnavailable, match=r"alias\.json"):
        damaged.alias_target()
    damaged.close()
    (settings.path / "alias.json").write_text(json.dumps({"catalogue": name}))
    (settings.path / "collections" / name / "shape.json").unlink()
    damaged = open_catalogue_admin(settings)
    with pytest.raises(CatalogueUnavailable, match="cannot be opened"):
        damaged.open(name)
    damaged.close()


_PROLOGUE = f"""
import sys
from pathlib import Path
from tests.catalogue.points import pending
from worker.catalogue import ensure_live_catalogue, open_catalogue_admin
from worker.settings import CatalogueSettings
admin = open_catalogue_admin(CatalogueSettings(engine="edge", path=Path(sys.argv[1])))
catalogue = ensure_live_catalogue(admin, {FINGERPRINT!r}, {DIMENSION})
"""


def _start_child(folder: Path, program: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PROLOGUE + dedent(program), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _run_child(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROLOGUE + dedent(program), str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
