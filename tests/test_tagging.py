"""What a tagger's probabilities become: attributes and flags of the outcome, and nothing that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest

from tests.matching.make import CALIBRATION, DIMENSION, FINGERPRINT, PLAN, article, photo_of
from tests.matching.memory import MemoryCatalogue
from worker.embedding import CutOut, PhotoEmbedder
from worker.errors import InferenceUnavailable
from worker.events import Attributes, ItemPhotographed, ModelFingerprint, PhotoLocation
from worker.events.codec import ParsedArrival
from worker.flow import Arrival, Embedded, Searched, Segmented, Settled
from worker.imaging.types import Pixels
from worker.matching.settle import Settler
from worker.pipeline import Pipeline, Publishing
from worker.settings import MatchingSettings, StreamSettings
from worker.stream.types import OutputRecord
from worker.tagging import AttributeReader, Reading, meaning, plain, say
from worker.vision.crop import NOT_FOUND_FLAG
from worker.vision.rows import HeadSpec
from worker.vision.types import ByteArray, Crop, FloatArray, Mask

KIND = HeadSpec(
    name="kind",
    labels=("Dresses", "Heels", "Flip Flops"),
    attribute="category",
    words={"shoes": ("Heels", "Flip Flops")},
    sure=0.9,
)
WHOM = HeadSpec(
    name="whom", labels=("Men Top", "Men Shoe", "Women Top"), attribute="gender", values=("Men", "Men", "Women"), sure=0.8
)
LOOK = HeadSpec(name="look", labels=("plain", "striped"), sure=0.5)


@dataclass
class ToyTagger:
    """Says for each photo what stands in its first pixel: the row of `table` with that number."""

    table: Sequence[Sequence[float]]
    heads: tuple[HeadSpec, ...] = (KIND, WHOM, LOOK)
    model_id: str = "toy"
    seen: list[int] = field(default_factory=list)

    def tag(self, photos: Sequence[ByteArray]) -> FloatArray:
        self.seen += [int(photo[0, 0, 0]) for photo in photos]
        width = sum(len(head.labels) for head in self.heads)
        return np.array([self.table[int(photo[0, 0, 0])] for photo in photos], np.float32).reshape(-1, width)


def crop(number: int, *flags: str) -> Crop:
    return Crop(np.full((4, 4, 3), number, np.uint8), np.full((4, 4), 255, np.uint8), flags)


SURE_DRESS = (0.97, 0.02, 0.01, 0.05, 0.05, 0.9, 1.0, 0.0)
SURE_HEELS = (0.01, 0.98, 0.01, 0.1, 0.1, 0.8, 1.0, 0.0)
UNSURE = (0.6, 0.3, 0.1, 0.3, 0.3, 0.4, 1.0, 0.0)
TABLE = (SURE_DRESS, SURE_HEELS, UNSURE)


def read(*numbers: int, event: Attributes | None = None, words: Mapping[str, tuple[str, ...]] | None = None) -> Reading:
    reader = AttributeReader(ToyTagger(TABLE), words or {})
    return reader.read([[crop(number) for number in numbers]], [event or Attributes()])[0]


def test_what_the_event_lacks_is_filled_and_said_to_come_from_the_photo() -> None:
    reading = read(0)
    assert reading.attributes == Attributes(category="Dresses", gender="Women")
    assert reading.flags == ("category-from-photo", "gender-from-photo")


def test_what_the_tagger_is_not_sure_of_is_left_open() -> None:
    assert read(2) == Reading(Attributes())


def test_what_the_event_says_is_never_overwritten() -> None:
    reading = read(0, event=Attributes(category="shoes", gender="Men", brand="B"))
    assert reading.attributes == Attributes(category="shoes", gender="Men", brand="B")


def test_a_sure_dress_contradicts_shoes() -> None:
    assert read(0, event=Attributes(category="Shoes", gender="Women")).flags == ("category-contradicted",)


def test_a_sure_woman_contradicts_men() -> None:
    assert read(0, event=Attributes(category="dress", gender="men")).flags == ("gender-contradicted",)


def test_a_word_for_several_labels_is_contradicted_by_none_of_them() -> None:
    assert "category-contradicted" not in read(1, event=Attributes(category="shoe")).flags


def test_a_word_the_tagger_does_not_know_is_not_contradicted() -> None:
    assert "category-contradicted" not in read(0, event=Attributes(category="Schuhe")).flags


def test_the_operators_own_words_count() -> None:
    words = {"Schuhe": ("Heels",), "Kleider": ("Dresses",)}
    assert "category-contradicted" in read(0, event=Attributes(category="schuhe"), words=words).flags
    assert "category-contradicted" not in read(0, event=Attributes(category="Kleider"), words=words).flags


def test_an_unsure_tagger_contradicts_nobody() -> None:
    assert read(2, event=Attributes(category="shoes", gender="Men")).flags == ()


def test_photos_of_an_arrival_are_read_together() -> None:
    assert read(0, 1) == Reading(Attributes(gender="Women"), ("gender-from-photo",)), "half a dress, half heels: no category"


def test_labels_that_stand_for_one_value_are_added_up() -> None:
    said = say(WHOM, np.array([0.45, 0.4, 0.15], np.float32))
    assert said.value == "Men"
    assert said.probability == pytest.approx(0.85)
    assert said.sure


def test_a_crop_without_garment_says_nothing() -> None:
    tagger = ToyTagger(TABLE)
    crops = [[crop(1, NOT_FOUND_FLAG), crop(0)], [crop(1, NOT_FOUND_FLAG)], [crop(1)]]
    readings = AttributeReader(tagger, {}).read(crops, [Attributes()] * 3)
    assert [reading.attributes.category for reading in readings] == ["Dresses", None, "Heels"]
    assert tagger.seen == [0, 1]


def test_a_batch_of_many_arrivals_is_one_call_and_keeps_its_order() -> None:
    rng = np.random.default_rng(5)
    crops = [[crop(int(n)) for n in rng.integers(0, 3, rng.integers(1, 4))] for _ in range(30)]
    tagger = ToyTagger(TABLE)
    together = AttributeReader(tagger, {}).read(crops, [Attributes()] * 30)
    alone = [AttributeReader(ToyTagger(TABLE), {}).read([some], [Attributes()])[0] for some in crops]
    assert together == alone


@pytest.mark.parametrize(
    ("one", "other"),
    [("T-Shirt", "Tshirts"), ("dress", "Dresses"), ("FLIP FLOPS", "flip-flop"), ("Women's", "women"), ("Watches", "watch")],
)
def test_words_that_differ_in_writing_alone_are_the_same(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(("one", "other"), [("shirt", "tshirt"), ("top", "stop"), ("men", "women"), ("glass", "gla")])
def test_words_that_differ_are_not_the_same(one: str, other: str) -> None:
    assert plain(one) != plain(other)


def test_a_word_may_be_a_value_or_a_label() -> None:
    assert meaning("men", WHOM, {}) == {"Men"}
    assert meaning("women top", WHOM, {}) == {"Women"}
    assert meaning("children", WHOM, {}) == frozenset()


# ---- in the flow


class ToyEmbedder:
    """The vector of the garment whose number stands in the crop."""

    model_id, dimension = "toy", DIMENSION

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        return np.stack([photo_of(int(each.rgb[0, 0, 0])) for each in crops])


def pipeline(catalogue: MemoryCatalogue, reader: AttributeReader | None) -> Pipeline:
    unused: Any = None  # neither bytes nor masks are needed from the embed stage on
    settings = MatchingSettings()
    stream = StreamSettings()
    return Pipeline(
        source=unused,
        embedder=PhotoEmbedder(unused, unused, ToyEmbedder(), 4),
        catalogue=catalogue,
        settler=Settler(catalogue, CALIBRATION, settings, PLAN),
        plan=PLAN,
        models=ModelFingerprint(segmenter="none", embedder="toy", pipeline=FINGERPRINT, collection="c"),
        publishing=Publishing(stream.topics, stream.source_uri, settings.article_id_prefix),
        reader=reader,
    )


def arrival(number: int, attributes: Attributes) -> Segmented:
    event = ItemPhotographed(
        arrival_id=f"arrival-{number}",
        photographed_at=datetime(2026, 11, 21, tzinfo=UTC),
        photos=(PhotoLocation(bucket="intake", key=f"{number}.jpg"),),
        attributes=attributes,
    )
    parsed = ParsedArrival(
        event=event, event_id="e", source="s", time=event.photographed_at, traceparent=None, body_hash=f"body of {number}"
    )
    pixels = Pixels(event.photos[0], np.zeros((4, 4, 3), np.uint8), (4, 4), "jpeg")
    return Segmented(Arrival(parsed), (pixels,), (CutOut(Mask(np.full((4, 4), 255, np.uint8), 1.0), crop(number)),))


def publish(line: Pipeline, *arrivals: Segmented) -> list[dict[str, Any]]:
    """The events that go out."""
    embedded = [one for one in line.embed(arrivals) if isinstance(one, Embedded)]
    searched = [one for one in line.search(embedded) if isinstance(one, Searched)]
    settled = [one for one in line.settle(searched) if isinstance(one, Settled)]
    records: list[OutputRecord] = [record for made in line.publish(settled) if isinstance(made, tuple) for record in made]
    assert len(records) == len(arrivals)
    return [orjson.loads(record.value) for record in records if record.value is not None]


def test_a_contradicted_category_is_flagged_in_an_insert_and_changes_no_decision() -> None:
    catalogue = MemoryCatalogue("c", DIMENSION)
    reader = AttributeReader(ToyTagger(TABLE), {})
    (event,) = publish(pipeline(catalogue, reader), arrival(0, Attributes(category="shoes")))
    assert event["decision"] == "new"
    assert "category-contradicted" in event["explanation"]["flags"]
    assert event["attributes"]["category"] == "shoes"
    assert event["attributes"]["gender"] == "Women"
    assert "gender-from-photo" in event["explanation"]["flags"]


def test_a_contradicted_category_is_flagged_in_an_alert_too() -> None:
    catalogue = MemoryCatalogue("c", DIMENSION)
    catalogue.upsert([article("known", photo_of(0))])
    reader = AttributeReader(ToyTagger(TABLE), {})
    (event,) = publish(pipeline(catalogue, reader), arrival(0, Attributes(category="shoes")))
    assert event["decision"] == "duplicate"
    assert event["candidates"][0]["article_id"] == "known"
    assert "category-contradicted" in event["explanation"]["flags"]


def test_with_and_without_a_tagger_the_same_is_decided() -> None:
    outcomes = []
    for reader in (None, AttributeReader(ToyTagger(TABLE), {})):
        catalogue = MemoryCatalogue("c", DIMENSION)
        catalogue.upsert([article("known", photo_of(1))])
        line = pipeline(catalogue, reader)
        events = [publish(line, arrival(number, Attributes(category="shoes")))[0] for number in (0, 1, 2)]
        outcomes.append([(event["decision"], event["explanation"]["best_similarity"]) for event in events])
    assert outcomes[0] == outcomes[1]
    assert {decision for decision, _ in outcomes[0]} == {"new", "duplicate"}


def test_what_was_read_off_a_photo_never_reaches_the_index() -> None:
    catalogue = MemoryCatalogue("c", DIMENSION)
    line = pipeline(catalogue, AttributeReader(ToyTagger(TABLE), {}))
    (event,) = publish(line, arrival(0, Attributes(brand="B")))
    assert event["attributes"]["category"] == "Dresses"
    stored = [point.attributes for batch in catalogue.scroll() for point in batch]
    assert stored == [Attributes(brand="B")]


def test_without_a_tagger_an_event_goes_out_as_it_came() -> None:
    (event,) = publish(pipeline(MemoryCatalogue("c", DIMENSION), None), arrival(0, Attributes(brand="B")))
    assert Attributes.model_validate(event["attributes"]) == Attributes(brand="B")
    assert event["explanation"]["flags"] == []


def test_a_tagger_that_runs_out_of_memory_fails_the_batch_as_an_embedder_does() -> None:
    class Full(ToyTagger):
        def tag(self, photos: Sequence[ByteArray]) -> FloatArray:
            raise InferenceUnavailable(f"no memory for {len(photos)}")

    line = replace(pipeline(MemoryCatalogue("c", DIMENSION), None), reader=AttributeReader(Full(TABLE), {}))
    with pytest.raises(InferenceUnavailable):
        line.embed([arrival(0, Attributes())])
