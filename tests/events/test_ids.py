from __future__ import annotations

import pytest

from worker.errors import ConfigurationError
from worker.events import ids
from worker.events.common import PhotoLocation

PHOTO = PhotoLocation(bucket="intake-photos", key="in/A-1/front.jpg")


def test_ids_do_not_change_between_releases() -> None:
    # A release that derived others would publish every replay as something new.
    assert {
        "arrival": str(ids.arrival_event_id("A-1")),
        "alert": str(ids.match_alert_id("A-1")),
        "insert": str(ids.catalogue_insert_id("A-1")),
        "dead letter": str(ids.dead_letter_id("intake.item-photographed", 3, 17, "photo-corrupt")),
        "notification": str(ids.notification_event_id([("intake-photos", "k", "v", "s")])),
        "arrival point": str(ids.arrival_point_id("A-1", PHOTO)),
        "article point": str(ids.article_point_id("ART-1", "s3://studio/ART-1.jpg")),
    } == {
        "arrival": "086d151b-ac83-5b14-8082-e658c3c45b3a",
        "alert": "9c758125-4185-53fa-bf05-72e6de5b775f",
        "insert": "0648ab25-22f7-5c6f-9633-a45664ed0d00",
        "dead letter": "738efb9a-0310-5247-a093-62efbcd04cbc",
        "notification": "6a02bbe6-7dee-5970-8708-d185a9ebd618",
        "arrival point": "f4f57b3d-1167-5fc6-841d-28bc353896bd",
        "article point": "ad2991b7-5f7c-5ecc-8be5-787a02df0201",
    }


def test_different_things_have_different_ids() -> None:
    made = [
        ids.arrival_event_id("A-1"),
        ids.match_alert_id("A-1"),
        ids.match_alert_id("A-2"),
        ids.catalogue_insert_id("A-1"),
        ids.dead_letter_id("t", 1, 11, "r"),
        ids.dead_letter_id("t", 11, 1, "r"),
        ids.dead_letter_id("t", 1, 11, "s"),
        ids.arrival_point_id("A-1", PHOTO),
        ids.arrival_point_id("A-2", PHOTO),
        ids.arrival_point_id("A-1", PHOTO.model_copy(update={"key": "other"})),
        ids.arrival_point_id("A-1", PHOTO.model_copy(update={"version_id": "2"})),
        ids.article_point_id("A-1", "s3://intake-photos/in/A-1/front.jpg"),
        ids.notification_event_id([("b", "k", "v", "s")]),
        ids.notification_event_id([("b", "k", "v", "t")]),
        ids.notification_event_id([("b", "kv", "", "s")]),
    ]
    assert len(set(made)) == len(made)


def test_a_point_keeps_its_id_when_its_view_or_etag_is_told_otherwise() -> None:
    told = PHOTO.model_copy(update={"view": "back", "etag": "abc"})
    assert ids.arrival_point_id("A-1", told) == ids.arrival_point_id("A-1", PHOTO)


def test_a_new_article_is_called_after_its_arrival() -> None:
    assert ids.new_article_id("article-", "A-1") == "article-A-1"


def test_an_article_id_that_would_be_too_long_is_derived_instead() -> None:
    longest = "x" * 128
    name = ids.new_article_id("article-", longest)
    assert name.startswith("article-")
    assert len(name) == len("article-") + 36
    assert name != ids.new_article_id("article-", longest[:-1] + "y")


def test_a_prefix_that_leaves_no_room_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="article_id_prefix"):
        ids.new_article_id("p" * 93, "A-1")
