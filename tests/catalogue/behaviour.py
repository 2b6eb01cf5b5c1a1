"""What every engine of the catalogue must do: one suite, inherited by the tests of each (`test_edge`, `test_qdrant`, `test_qdrant_real`).

A subclass gives the fixtures `admin` (a fresh `CatalogueAdmin`) and, where several clients can share an engine, `rival_admin`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from uuid import uuid4

import numpy as np
import pytest

from tests.catalogue.points import DIMENSION, FINGERPRINT, article, near, pending, query, vector
from worker.catalogue import collection_name, ensure_live_catalogue
from worker.catalogue.protocol import Catalogue, CatalogueAdmin, Hit, PointState, Query
from worker.errors import ConfigurationError
from worker.events import Attributes

RACES = 400


def names(hits: list[Hit]) -> list[str]:
    return [hit.article_id for hit in hits]


def together(*calls: Callable[[], object]) -> list[object]:
    """Run the calls at one moment, each in its thread; the first exception is raised."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait(10)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(run, call) for call in calls]]


class CatalogueBehaviour:
    """Inherited; not collected by itself (its name does not begin with Test)."""

    @pytest.fixture
    def catalogue(self, admin: CatalogueAdmin) -> Iterator[Catalogue]:
        opened = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)
        yield opened
        opened.close()

    @pytest.fixture
    def rival(self, rival_admin: CatalogueAdmin, catalogue: Catalogue) -> Catalogue:
        """The same collection through another client."""
        return rival_admin.open(catalogue.collection)

    # Reading and writing

    def test_a_search_finds_what_was_written_best_first_with_all_that_a_hit_carries(self, catalogue: Catalogue) -> None:
        shirt = article("shirt", 1, attributes=Attributes(brand="Müller & Söhne", colour="grün"))
        catalogue.upsert([shirt, article("coat", 2), article("hat", 3)])

        [hits] = catalogue.search([Query(near(1), 2)])

        assert len(hits) == 2
        assert hits[0].point_id == shirt.point_id
        assert hits[0].similarity == pytest.approx(float(near(1) @ vector(1)), abs=1e-5)
        assert hits[0].similarity > hits[1].similarity
        assert (hits[0].article_id, hits[0].view, hits[0].location) == ("shirt", "front", "s3://studio/shirt/front.jpg")
        assert hits[0].state is PointState.SETTLED
        assert hits[0].attributes == Attributes(brand="Müller & Söhne", colour="grün")
        assert hits[0].arrival_id is None

    def test_a_batch_of_searches_is_answered_in_order(self, catalogue: Catalogue) -> None:
        catalogue.upsert([article(f"a{seed}", seed) for seed in range(150)])

        answers = catalogue.search([query(seed, limit=1) for seed in range(150)])

        assert [names(hits) for hits in answers] == [[f"a{seed}"] for seed in range(150)]
        assert all(-1.0 <= hit.similarity <= 1.0 for hits in answers for hit in hits)

    def test_no_searches_and_no_points_are_no_work(self, catalogue: Catalogue) -> None:
        assert catalogue.search([]) == []
        catalogue.upsert([])
        catalogue.settle({})
        catalogue.withdraw([])
        catalogue.delete_articles([])
        assert catalogue.points_of_arrivals([]) == {}
        assert catalogue.existing([]) == set()
        assert catalogue.stats().points == 0

    def test_an_empty_catalogue_finds_nothing(self, catalogue: Catalogue) -> None:
        assert catalogue.search([query(1)]) == [[]]
        assert list(catalogue.scroll()) == []

    def test_writing_a_point_again_replaces_it(self, catalogue: Catalogue) -> None:
        catalogue.upsert([article("shirt", 1)])
        catalogue.upsert([replace(article("shirt", 1), vector=vector(2), location="s3://studio/new.jpg")])

        [hits] = catalogue.search([query(2)])

        assert catalogue.stats().points == 1
        assert hits[0].similarity == pytest.approx(1.0, abs=1e-5)
        assert hits[0].location == "s3://studio/new.jpg"

    def test_a_thousand_points_in_one_call_are_all_there(self, catalogue: Catalogue) -> None:
        points = [article(f"a{seed}", seed) for seed in range(1_000)]
        catalogue.upsert(points)

        assert catalogue.stats().points == 1_000
        assert catalogue.existing([point.point_id for point in points] + [uuid4()]) == {point.point_id for point in points}

    def test_text_of_any_script_and_length_survives(self, catalogue: Catalogue) -> None:
        odd = 'größe "42" \\ 服装 👗 \u202e\n' + "x" * 500
        settled = replace(pending("arrival-1", 1), state=PointState.SETTLED, record=odd * 40, location=odd, view="détail")
        catalogue.upsert([settled])

        [point] = catalogue.points_of_arrivals(["arrival-1"])["arrival-1"]

        assert (point.record, point.location, point.view) == (odd * 40, odd, "détail")
        assert catalogue.search([query(1)])[0][0].location == odd

    def test_points_are_looked_up_by_id_and_those_that_are_not_there_are_left_out(self, catalogue: Catalogue) -> None:
        shirt, coat = article("shirt", 1, attributes=Attributes(colour="red")), pending("arrival-1", 2)
        catalogue.upsert([shirt, coat])

        found = catalogue.points([coat.point_id, uuid4(), shirt.point_id])

        assert set(found) == {shirt.point_id, coat.point_id}
        read = found[shirt.point_id]
        assert (read.article_id, read.location, read.attributes.colour, read.vector) == ("shirt", shirt.location, "red", None)
        assert found[coat.point_id].arrival_id == "arrival-1"
        assert catalogue.points([]) == {}

    def test_a_point_comes_back_as_it_was_written(self, catalogue: Catalogue) -> None:
        written = replace(pending("arrival-1", 1), attributes=Attributes(brand="b", size="XL"))
        catalogue.upsert([written])

        [[read]] = list(catalogue.scroll(with_vectors=True))

        assert read.vector is not None
        assert written.vector is not None
        np.testing.assert_allclose(read.vector, written.vector, atol=1e-6)
        for field in (
            "point_id",
            "article_id",
            "view",
            "location",
            "state",
            "fingerprint",
            "written_at",
            "attributes",
            "arrival_id",
        ):
            assert getattr(read, field) == getattr(written, field), field
        assert read.record is None

    # Filters

    def test_an_arrival_never_matches_itself(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("arrival-1", 1), pending("arrival-2", 2), article("shirt", 3)])

        [hits] = catalogue.search([query(1, exclude_arrival="arrival-1")])

        assert sorted(names(hits)) == ["article-arrival-2", "shirt"]

    def test_attributes_narrow_a_search_to_points_that_have_no_other_value(self, catalogue: Catalogue) -> None:
        catalogue.upsert(
            [
                article("red", 1, attributes=Attributes(colour="rot", gender="damen")),
                article("blue", 2, attributes=Attributes(colour="blau", gender="damen")),
                article("none", 3),
            ]
        )

        assert sorted(names(catalogue.search([query(2, colour="rot")])[0])) == ["none", "red"]
        assert sorted(names(catalogue.search([query(1, gender="damen")])[0])) == ["blue", "none", "red"]
        assert names(catalogue.search([query(1, colour="rot", gender="herren")])[0]) == ["none"]

    def test_each_attribute_by_itself_may_be_unknown(self, catalogue: Catalogue) -> None:
        catalogue.upsert(
            [
                article("colour-alone", 1, attributes=Attributes(colour="rot")),
                article("gender-alone", 2, attributes=Attributes(gender="damen")),
                article("other-colour", 3, attributes=Attributes(colour="blau")),
                article("other-gender", 4, attributes=Attributes(colour="rot", gender="herren")),
                article("brand", 5, attributes=Attributes(brand="rot")),
            ]
        )

        [hits] = catalogue.search([query(1, colour="rot", gender="damen")])

        assert sorted(names(hits)) == ["brand", "colour-alone", "gender-alone"]

    def test_of_any_two_arrivals_both_find_the_other_or_none_does(self, catalogue: Catalogue) -> None:
        known = {
            f"{colour or 'unknown'}-{gender or 'unknown'}": Attributes(colour=colour, gender=gender)
            for colour in (None, "rot", "blau")
            for gender in (None, "damen")
        }
        catalogue.upsert([replace(pending(name, 1), attributes=attributes) for name, attributes in known.items()])

        found = catalogue.search([Query(vector(1), 10, attributes.present(), name) for name, attributes in known.items()])

        sees = {name: {str(hit.arrival_id) for hit in hits} for name, hits in zip(known, found, strict=True)}
        assert {(one, other) for one in sees for other in sees[one]} == {(one, other) for other in sees for one in sees[other]}
        assert sees["unknown-unknown"] == known.keys() - {"unknown-unknown"}
        assert sees["rot-damen"] == {"rot-unknown", "unknown-damen", "unknown-unknown"}

    def test_searches_of_one_batch_keep_their_own_filters(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("arrival-1", 1), pending("arrival-2", 1)])

        first, second, both = catalogue.search(
            [query(1, exclude_arrival="arrival-1"), query(1, exclude_arrival="arrival-2"), query(1)]
        )

        assert names(first) == ["article-arrival-2"]
        assert names(second) == ["article-arrival-1"]
        assert len(both) == 2

    # The race protocol's calls

    def test_settling_sets_every_photo_of_the_arrival_and_stores_the_record_on_each(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("a-1", 1), pending("a-1", 2, view="back"), pending("a-2", 3)])

        catalogue.settle({"a-1": '{"decision": "new"}'})

        points = catalogue.points_of_arrivals(["a-1", "a-2", "unknown"])
        assert sorted(points) == ["a-1", "a-2"]
        assert [(point.state, point.record) for point in points["a-1"]] == [(PointState.SETTLED, '{"decision": "new"}')] * 2
        assert [(point.state, point.record) for point in points["a-2"]] == [(PointState.PENDING, None)]
        assert catalogue.search([query(1)])[0][0].state is PointState.SETTLED

    def test_many_arrivals_are_settled_each_with_its_own_record(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending(f"a-{n}", n) for n in range(300)])

        catalogue.settle({f"a-{n}": f"record {n}" for n in range(300)})

        points = catalogue.points_of_arrivals([f"a-{n}" for n in range(300)])
        assert {arrival: [point.record for point in found] for arrival, found in points.items()} == {
            f"a-{n}": [f"record {n}"] for n in range(300)
        }
        assert catalogue.stats().pending == 0

    def test_settling_what_was_withdrawn_brings_nothing_back(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("a-1", 1)])
        catalogue.withdraw(["a-1"])

        catalogue.settle({"a-1": "record"})

        assert catalogue.points_of_arrivals(["a-1"]) == {}
        assert catalogue.stats().points == 0

    def test_the_first_settlers_record_stays(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("a-1", 1)])
        catalogue.settle({"a-1": "first"})

        catalogue.settle({"a-1": "second"})

        assert [point.record for point in catalogue.points_of_arrivals(["a-1"])["a-1"]] == ["first"]

    def test_withdrawing_deletes_pending_points_only(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("a-1", 1), pending("a-2", 2), pending("a-3", 3), article("shirt", 4)])
        catalogue.settle({"a-1": "record"})

        catalogue.withdraw(["a-1", "a-2", "unknown"])

        assert sorted(names(catalogue.search([query(1)])[0])) == ["article-a-1", "article-a-3", "shirt"]

    def test_a_pending_point_never_replaces_a_settled_one(self, catalogue: Catalogue) -> None:
        # A worker that was stopped before its write, overtaken, and woken.
        catalogue.upsert([pending("a-1", 1)])
        catalogue.settle({"a-1": "record"})

        catalogue.upsert([pending("a-1", 1), pending("a-1", 2, view="back")])

        states = {point.view: (point.state, point.record) for point in catalogue.points_of_arrivals(["a-1"])["a-1"]}
        assert states == {"front": (PointState.SETTLED, "record"), "back": (PointState.PENDING, None)}

    def test_a_settled_point_replaces_a_pending_one(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("a-1", 1)])
        catalogue.upsert([replace(pending("a-1", 1), state=PointState.SETTLED, record="record")])

        [point] = catalogue.points_of_arrivals(["a-1"])["a-1"]
        assert (point.state, point.record) == (PointState.SETTLED, "record")

    def test_pending_points_are_counted(self, catalogue: Catalogue) -> None:
        catalogue.upsert([pending("a-1", 1), pending("a-2", 2), article("shirt", 3)])
        before = catalogue.stats()
        catalogue.settle({"a-1": "record"})
        catalogue.withdraw(["a-2"])
        after = catalogue.stats()

        assert (before.points, before.pending) == (3, 2)
        assert (after.points, after.pending) == (2, 0)
        assert (after.collection, after.dimension) == (catalogue.collection, DIMENSION)

    # Races

    @pytest.mark.parametrize("meet_before_searching", [False, True], ids=["free", "both-written"])
    def test_of_two_that_write_and_then_search_at_once_at_least_one_sees_the_other(
        self, catalogue: Catalogue, rival: Catalogue, meet_before_searching: bool
    ) -> None:
        """Promise 3 stands on this: a search begun after a write returned sees the write of whoever wrote before."""
        unseen = []

        def write_and_search(side: Catalogue, race: int, me: str, other: str, written: threading.Barrier | None) -> bool:
            side.upsert([pending(me, race)])
            if written is not None:
                written.wait(30)
            [hits] = side.search([query(race, limit=3, exclude_arrival=me)])
            return f"article-{other}" in names(hits)

        for race in range(RACES // 4 if meet_before_searching else RACES):
            written = threading.Barrier(2) if meet_before_searching else None
            first, second = f"race-{race}-a", f"race-{race}-b"
            seen = together(
                partial(write_and_search, catalogue, race, first, second, written),
                partial(write_and_search, rival, race, second, first, written),
            )
            # Whoever searches after both have written must see the other; free, that is at least the later writer.
            if not (all(seen) if meet_before_searching else any(seen)):
                unseen.append((race, seen))

        assert unseen == []

    def test_every_write_is_seen_by_the_next_search_of_another_client(self, catalogue: Catalogue, rival: Catalogue) -> None:
        for seed in range(100):
            catalogue.upsert([pending(f"a-{seed}", seed)])
            assert names(rival.search([query(seed, limit=1)])[0]) == [f"article-a-{seed}"]
            catalogue.settle({f"a-{seed}": "record"})
            assert rival.search([query(seed, limit=1)])[0][0].state is PointState.SETTLED
        for seed in range(0, 100, 10):
            catalogue.delete_articles([f"article-a-{seed}"])
            assert f"article-a-{seed}" not in names(rival.search([query(seed, limit=5)])[0])

    def test_settling_and_withdrawing_at_once_leaves_all_photos_or_none(self, catalogue: Catalogue, rival: Catalogue) -> None:
        for race in range(60):
            arrival = f"race-{race}"
            catalogue.upsert([pending(arrival, race), pending(arrival, race + 1, view="back")])

            together(
                partial(catalogue.settle, {arrival: "record"}),
                partial(rival.withdraw, [arrival]),
            )

            points = catalogue.points_of_arrivals([arrival]).get(arrival, [])
            assert len(points) in {0, 2}
            assert all(point.state is PointState.SETTLED and point.record == "record" for point in points)

    def test_of_two_settlers_at_once_one_record_stands_on_all_photos(self, catalogue: Catalogue, rival: Catalogue) -> None:
        for race in range(30):
            arrival = f"race-{race}"
            catalogue.upsert([pending(arrival, race), pending(arrival, race + 1, view="back")])

            together(
                partial(catalogue.settle, {arrival: "mine"}),
                partial(rival.settle, {arrival: "theirs"}),
            )

            records = {point.record for point in catalogue.points_of_arrivals([arrival])[arrival]}
            assert records in ({"mine"}, {"theirs"})

    def test_many_threads_share_one_catalogue(self, catalogue: Catalogue) -> None:
        def work(worker: int) -> None:
            for step in range(20):
                seed = worker * 1_000 + step
                catalogue.upsert([pending(f"t-{seed}", seed)])
                assert names(catalogue.search([query(seed, limit=1)])[0]) == [f"article-t-{seed}"]
                catalogue.settle({f"t-{seed}": str(seed)})

        together(*(partial(work, worker) for worker in range(8)))

        stats = catalogue.stats()
        assert (stats.points, stats.pending) == (160, 0)

    # Deleting, scrolling

    def test_deleting_an_article_deletes_all_its_photos(self, catalogue: Catalogue) -> None:
        catalogue.upsert([article("shirt", 1), article("shirt", 2, view="back"), article("coat", 3)])

        catalogue.delete_articles(["shirt", "unknown"])

        assert names(catalogue.search([query(1)])[0]) == ["coat"]

    def test_scrolling_gives_every_point_once_in_a_stable_order(self, catalogue: Catalogue) -> None:
        points = [article(f"a{seed}", seed) for seed in range(523)]
        catalogue.upsert(points)

        batches = list(catalogue.scroll(batch=100))
        again = [point.point_id for part in catalogue.scroll(batch=37) for point in part]

        ids = [point.point_id for part in batches for point in part]
        assert [len(part) for part in batches] == [100] * 5 + [23]
        assert sorted(ids, key=str) == sorted((point.point_id for point in points), key=str)
        assert again == ids
        assert all(point.vector is None for part in batches for point in part)

    # What does not fit

    def test_a_vector_of_another_dimension_is_refused_as_configuration(self, catalogue: Catalogue) -> None:
        wrong = vector(1, DIMENSION + 1)

        with pytest.raises(ConfigurationError, match="reindex"):
            catalogue.search([Query(wrong, 5)])
        with pytest.raises(ConfigurationError, match="reindex"):
            catalogue.upsert([replace(article("shirt", 1), vector=wrong)])
        with pytest.raises(ConfigurationError, match="without a vector"):
            catalogue.upsert([replace(article("shirt", 1), vector=None)])
        with pytest.raises(ConfigurationError, match="not finite"):
            catalogue.upsert([replace(article("shirt", 1), vector=np.full(DIMENSION, np.nan, np.float32))])
        assert catalogue.stats().points == 0

    def test_a_collection_of_another_dimension_is_refused_as_configuration(
        self, admin: CatalogueAdmin, catalogue: Catalogue
    ) -> None:
        with pytest.raises(ConfigurationError, match="dimension"):
            admin.ensure_collection(catalogue.collection, DIMENSION + 1)

    def test_models_other_than_the_catalogues_are_refused_and_reindex_is_named(
        self, admin: CatalogueAdmin, catalogue: Catalogue
    ) -> None:
        with pytest.raises(ConfigurationError, match="intake catalogue reindex"):
            ensure_live_catalogue(admin, "other-models", DIMENSION)
        assert admin.alias_target() == catalogue.collection

    # Collections and the alias

    def test_the_first_start_makes_the_collection_and_the_alias_and_the_next_opens_them(
        self, admin: CatalogueAdmin, catalogue: Catalogue
    ) -> None:
        catalogue.upsert([article("shirt", 1)])

        again = ensure_live_catalogue(admin, FINGERPRINT, DIMENSION)

        assert again.collection == catalogue.collection == collection_name(FINGERPRINT, admin.alias)
        assert admin.alias_target() == catalogue.collection
        assert catalogue.collection in admin.collections()
        assert admin.ensure_collection(catalogue.collection, DIMENSION) is False
        assert names(again.search([query(1)])[0]) == ["shirt"]

    def test_a_healthy_catalogue_passes_its_check(self, catalogue: Catalogue) -> None:
        catalogue.check()

    def test_workers_that_start_at_once_open_one_collection(self, admin: CatalogueAdmin, rival_admin: CatalogueAdmin) -> None:
        opened = together(
            lambda: ensure_live_catalogue(admin, FINGERPRINT, DIMENSION).collection,
            lambda: ensure_live_catalogue(rival_admin, FINGERPRINT, DIMENSION).collection,
            lambda: ensure_live_catalogue(admin, FINGERPRINT, DIMENSION).collection,
        )

        assert set(opened) == {collection_name(FINGERPRINT, admin.alias)}

    def test_the_alias_is_switched_and_back_while_searches_go_on(self, admin: CatalogueAdmin, catalogue: Catalogue) -> None:
        catalogue.upsert([article("old", 1)])
        beside = collection_name("newmodels", admin.alias)
        assert admin.ensure_collection(beside, DIMENSION) is True
        new = admin.open(beside)
        new.upsert([article("new", 1)])
        searched, enough = threading.Event(), threading.Event()

        def search() -> set[str]:
            found: set[str] = set()
            while not enough.is_set():
                target = admin.alias_target()
                assert target is not None, "a moment without an alias"
                found.update(names(admin.open(target).search([query(1)])[0]))
                found.update(f"held:{name}" for name in names(catalogue.search([query(1)])[0]))
                searched.set()
            return found

        def switch() -> None:
            try:
                for _ in range(10):
                    admin.switch_alias(beside)
                    assert admin.alias_target() == beside
                    admin.switch_alias(catalogue.collection)
                assert searched.wait(30)
            finally:
                enough.set()

        found, _ = together(search, switch)

        assert isinstance(found, set)
        assert found <= {"old", "new", "held:old"}
        assert "held:old" in found
        assert admin.alias_target() == catalogue.collection

    def test_the_live_collection_cannot_be_dropped_and_another_can(self, admin: CatalogueAdmin, catalogue: Catalogue) -> None:
        beside = collection_name("newmodels", admin.alias)
        admin.ensure_collection(beside, DIMENSION)

        with pytest.raises(ConfigurationError, match="live"):
            admin.drop_collection(catalogue.collection)
        admin.drop_collection(beside)
        admin.drop_collection(beside)

        assert beside not in admin.collections()
        assert catalogue.collection in admin.collections()

    def test_an_alias_is_never_switched_to_what_is_not_there(self, admin: CatalogueAdmin, catalogue: Catalogue) -> None:
        with pytest.raises(ConfigurationError, match="no collection"):
            admin.switch_alias("nothing-here")
        assert admin.alias_target() == catalogue.collection

    def test_a_collection_that_is_not_there_cannot_be_opened(self, admin: CatalogueAdmin) -> None:
        with pytest.raises(ConfigurationError):
            admin.open("nothing-here")

    def test_a_name_that_could_leave_its_folder_is_refused(self, admin: CatalogueAdmin) -> None:
        for name in ("../elsewhere", "a/b", "", ".hidden"):
            with pytest.raises(ConfigurationError, match="no name for a collection"):
                admin.ensure_collection(name, DIMENSION)

    def test_using_a_dropped_collection_is_an_error_that_stops(self, admin: CatalogueAdmin) -> None:
        beside = collection_name("newmodels", admin.alias)
        admin.ensure_collection(beside, DIMENSION)
        held = admin.open(beside)
        admin.drop_collection(beside)

        with pytest.raises(ConfigurationError):
            held.search([query(1)])
        with pytest.raises(ConfigurationError):
            held.check()
