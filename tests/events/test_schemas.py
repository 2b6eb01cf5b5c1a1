from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

import worker
from tests.events.building import EXAMPLES, LIMITS, SCHEMAS, as_bytes, example
from worker.errors import ConfigurationError, Reason
from worker.events import Event
from worker.events.codec import decode_event, parse_item_photographed
from worker.events.json_schema import EVENTS, NOTIFICATION_FILE, Direction, schema_of, schemas
from worker.events.s3_notification import IgnoredNotification, S3Notification, compile_key_pattern, parse_s3_notification
from worker.events.schemas import schema_folder, schema_text
from worker.settings import StreamSettings

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json"))
OF_EVENTS = [(event, name) for event in EVENTS for name in NAMES if name.startswith(event.schema_name().removesuffix(".json"))]
NOTIFICATIONS = [name for name in NAMES if name.startswith("s3-")]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        json.loads((SCHEMAS / name).read_text("utf-8")), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


@pytest.mark.parametrize("name", schemas())
def test_every_schema_is_json_schema_2020_12_with_id_title_and_description(name: str) -> None:
    schema = json.loads((SCHEMAS / name).read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:intake:schema:")
    assert schema["title"]
    assert schema["description"]


def undescribed(node: Any, place: str) -> list[str]:
    if isinstance(node, list):
        return [place_found for index, inner in enumerate(node) for place_found in undescribed(inner, f"{place}[{index}]")]
    if not isinstance(node, dict):
        return []
    bare = [
        f"{place}.{name}" for name, field in node.get("properties", {}).items() if "if" not in node and "description" not in field
    ]
    return bare + [
        found for name, inner in node.items() if name not in {"if", "then"} for found in undescribed(inner, f"{place}/{name}")
    ]


@pytest.mark.parametrize("event", EVENTS, ids=[event.EVENT_NAME for event in EVENTS])
def test_every_field_of_every_event_is_described(event: type[Event]) -> None:
    schema = json.loads((SCHEMAS / event.schema_name()).read_text("utf-8"))
    schema.pop("if", None)
    schema.pop("then", None)
    assert undescribed(schema, event.EVENT_NAME) == []


def test_every_example_belongs_to_an_event_or_a_notification() -> None:
    covered = {name for _, name in OF_EVENTS} | set(NOTIFICATIONS) | {"cloudevent.item-photographed.v1"}
    assert covered == set(NAMES)


def test_every_event_has_an_example() -> None:
    assert {event for event, _ in OF_EVENTS} == set(EVENTS)


@pytest.mark.parametrize(("event", "name"), OF_EVENTS, ids=[name for _, name in OF_EVENTS])
def test_an_example_fits_its_schema_and_its_model(event: type[Event], name: str) -> None:
    value = example(name)
    validator(event.schema_name()).validate(value)
    decoded, _ = decode_event(event, as_bytes(value), [], LIMITS)
    validator(event.schema_name()).validate(json.loads(decoded.model_dump_json()))
    if EVENTS[event] is Direction.OUTPUT:
        assert json.loads(decoded.model_dump_json()) == value


def test_the_structured_example_is_read_and_its_data_fits_the_schema() -> None:
    whole = example("cloudevent.item-photographed.v1")
    validator("item-photographed.v1.json").validate(whole["data"])
    headers = [("content-type", b"application/cloudevents+json")]
    assert parse_item_photographed(None, as_bytes(whole), headers, LIMITS).event_id == whole["id"]


@pytest.mark.parametrize("name", NOTIFICATIONS)
def test_an_example_notification_is_read_and_fits_its_schema_if_it_names_objects(name: str) -> None:
    value = example(name)
    parsed = parse_s3_notification(as_bytes(value), [], LIMITS, compile_key_pattern(StreamSettings().notification_key_pattern))
    assert isinstance(parsed, IgnoredNotification) == (name in {"s3-notification.aws.removed", "s3-test-event"})
    if "Records" in value:
        validator(NOTIFICATION_FILE).validate(value)
        S3Notification.model_validate(value)


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("item-photographed.v1", "arrival_id", "a b"),
        ("item-photographed.v1", "photographed_at", "2026-11-21"),
        ("item-photographed.v1", "photos", []),
        ("item-photographed.v1", "photos", [{"bucket": "169.254.169.254", "key": "k"}]),
        ("item-photographed.v1", "photos", [{"bucket": "abc", "key": "a/../k"}]),
        ("item-photographed.v1", "photos", [{"bucket": "abc", "key": "/k"}]),
        ("item-photographed.v1", "photos", [{"bucket": "abc", "key": "a\\k"}]),
        ("item-photographed.v1", "attributes", {"brand": 3}),
        ("match-alert.v1", "decision", "new"),
        ("match-alert.v1", "candidates", [{}]),
        ("match-alert.v1", "event_id", 3),
        ("catalogue-insert.v1", "decision", "review"),
        ("dead-letter.v1", "attempts", 0),
        ("dead-letter.v1", "reason", "Not A Reason"),
        ("match-decision.v1", "verdict", "maybe"),
        ("match-decision.v1", "article_id", None),
    ],
)
def test_the_schema_refuses_what_is_wrong(name: str, field: str, wrong: Any) -> None:
    with pytest.raises(ValidationError):
        validator(f"{name}.json").validate({**example(name), field: wrong})


@pytest.mark.parametrize("event", [event for event, direction in EVENTS.items() if direction is Direction.OUTPUT])
def test_an_output_always_holds_every_field(event: type[Event]) -> None:
    schema = schema_of(event, Direction.OUTPUT, event.schema_urn(), "x")
    assert set(schema["required"]) == set(schema["properties"])


def test_a_new_reason_breaks_no_reader_of_dead_letters() -> None:
    reasons = json.loads((SCHEMAS / "dead-letter.v1.json").read_text("utf-8"))["properties"]["reason"]
    assert reasons["x-extensible-enum"] == [reason.value for reason in Reason]
    validator("dead-letter.v1.json").validate({**example("dead-letter.v1"), "reason": "a-reason-of-next-year"})


def test_a_rejection_needs_no_article_and_a_confirmation_does() -> None:
    rejection = example("match-decision.v1.reject")
    validator("match-decision.v1.json").validate(rejection)
    with pytest.raises(ValidationError):
        validator("match-decision.v1.json").validate({**rejection, "verdict": "confirm"})


def test_the_schemas_are_found_at_run_time() -> None:
    assert json.loads(schema_text("match-alert.v1.json"))["$id"] == "urn:intake:schema:match-alert:v1"
    assert (schema_folder() / "asyncapi.yaml").is_file()


def test_packaged_schemas_win_over_a_folder_that_happens_to_lie_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "worker" / "schemas").mkdir(parents=True)
    (tmp_path / "site" / "schemas").mkdir()
    (tmp_path / "site" / "worker" / "schemas" / "x.json").write_text("{}")
    monkeypatch.setattr("worker.events.schemas.files", lambda _package: tmp_path / "site" / "worker")
    assert schema_text("x.json") == "{}"


def test_an_installation_without_schemas_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.events.schemas.files", lambda _package: tmp_path)
    monkeypatch.setattr(worker, "__file__", str(tmp_path / "worker" / "__init__.py"))
    with pytest.raises(ConfigurationError, match="install"):
        schema_folder()


def test_an_unknown_schema_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"match-alert\.v1\.json"):
        schema_text("../pyproject.toml")
