from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.events.building import SCHEMAS
from worker.events.asyncapi import LIES_AMONG, NOTIFICATION_TOPIC, TOPICS
from worker.events.codec import decode_event
from worker.events.json_schema import EVENTS, Direction
from worker.events.reading import EventLimits
from worker.settings.stream import TopicSettings

DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text("utf-8"))
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for inner in node.values() for found in references(inner)]
    if isinstance(node, list):
        return [found for inner in node for found in references(inner)]
    return []


def resolve(reference: str) -> Any:
    if reference.startswith("./"):
        return json.loads((SCHEMAS / reference).read_text("utf-8"))
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_it_is_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 20
    assert all(resolve(reference) for reference in found)


def test_every_event_has_a_channel_with_its_topic_and_an_operation_in_its_direction() -> None:
    for event, direction in EVENTS.items():
        (name,) = [name for name, message in MESSAGES.items() if message["name"] == event.ce_type()]
        (channel,) = [channel for channel, entry in DOCUMENT["channels"].items() if name in entry["messages"]]
        assert DOCUMENT["channels"][channel]["address"] == TOPICS[LIES_AMONG.get(event.EVENT_NAME, event.EVENT_NAME)]
        reference = {"$ref": f"#/channels/{channel}/messages/{name}"}
        (operation,) = [entry for entry in DOCUMENT["operations"].values() if reference in entry["messages"]]
        assert operation["channel"]["$ref"] == f"#/channels/{channel}"
        assert operation["action"] == ("receive" if direction is Direction.INPUT else "send")


def test_the_topics_are_those_of_the_settings() -> None:
    defaults = TopicSettings().model_dump(exclude={"s3_notifications"})
    assert {name.replace("-", "_"): topic for name, topic in TOPICS.items()} == defaults
    assert NOTIFICATION_TOPIC not in TOPICS.values()


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_of_a_message_fits_its_payload_and_its_headers(name: str) -> None:
    message = MESSAGES[name]
    payload = Draft202012Validator(resolve(message["payload"]["$ref"]))
    document = Resource.from_contents(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:asyncapi", **DOCUMENT}
    )
    registry: Registry[Any] = Registry().with_resource("urn:asyncapi", document)
    headers = json.loads(json.dumps(message.get("headers", True)).replace('"#/', '"urn:asyncapi#/'))
    header_validator = Draft202012Validator(headers, registry=registry)
    assert message["examples"]
    for example in message["examples"]:
        payload.validate(example["payload"])
        header_validator.validate(example.get("headers", {}))


@pytest.mark.parametrize("event", EVENTS, ids=[event.EVENT_NAME for event in EVENTS])
def test_the_examples_headers_are_those_the_codec_reads(event: Any) -> None:
    (message,) = [message for message in MESSAGES.values() if message["name"] == event.ce_type()]
    for example in message["examples"]:
        headers = [(name, value.encode()) for name, value in example["headers"].items()]
        decoded, envelope = decode_event(event, json.dumps(example["payload"]).encode(), headers, EventLimits())
        assert envelope.source
        assert envelope.event_id == str(getattr(decoded, "event_id", envelope.event_id))


def test_every_message_says_what_its_kafka_key_is() -> None:
    assert all(message["bindings"]["kafka"]["key"]["description"] for message in MESSAGES.values())


def test_headers_of_another_type_do_not_fit() -> None:
    (own,) = [part for part in MESSAGES["matchAlert"]["headers"]["allOf"] if "properties" in part]
    validator = Draft202012Validator(own)
    assert validator.is_valid({"ce_type": "intake.match-alert.v1"})
    assert not validator.is_valid({"ce_type": "intake.match-alert.v2"})
