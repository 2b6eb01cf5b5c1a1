"""JSON Schema 2020-12 of an event or notification, from its model."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from worker.events.catalogue_insert import CatalogueInsert
from worker.events.common import Event
from worker.events.dead_letter import DeadLetter
from worker.events.dead_letter_redriven import DeadLetterRedriven
from worker.events.item_photographed import ItemPhotographed
from worker.events.match_alert import MatchAlert
from worker.events.match_decision import MatchDecision
from worker.events.s3_notification import S3Notification

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOTIFICATION_FILE = "s3-notification.json"


class Direction(StrEnum):
    """Who writes a contract and who reads it, as seen from the worker."""

    INPUT = "input"  # others write, the worker reads
    OUTPUT = "output"  # the worker writes, others read


EVENTS: dict[type[Event], Direction] = {
    ItemPhotographed: Direction.INPUT,
    MatchAlert: Direction.OUTPUT,
    CatalogueInsert: Direction.OUTPUT,
    DeadLetter: Direction.OUTPUT,
    DeadLetterRedriven: Direction.OUTPUT,
    MatchDecision: Direction.INPUT,
}


class _WithoutTitles(GenerateJsonSchema):
    """A property's title would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # the signature is pydantic's
        return False


def schema_of(model: type[BaseModel], direction: Direction, urn: str, title: str) -> Schema:
    """The model's schema. What the worker writes always holds every field; what it reads may leave out those with a default."""
    mode = "validation" if direction is Direction.INPUT else "serialization"
    body = model.model_json_schema(mode=mode, schema_generator=_WithoutTitles)  # type: ignore[arg-type]
    definitions = body.get("$defs", {})
    used = _reachable(body, definitions)
    head: Schema = {"$schema": DIALECT, "$id": urn, "title": title}
    rest = {name: part for name, part in body.items() if name not in {"title", "$defs"}}
    kept = {name: definitions[name] for name in sorted(used)}
    return {**head, **rest, **({"$defs": kept} if kept else {})}


def schemas() -> dict[str, tuple[Direction, Schema]]:
    """Every schema by its file name, with its direction."""
    found = {
        event.schema_name(): (
            direction,
            schema_of(event, direction, event.schema_urn(), f"{event.EVENT_NAME} v{event.EVENT_VERSION}"),
        )
        for event, direction in EVENTS.items()
    }
    notification = schema_of(
        S3Notification, Direction.INPUT, "urn:intake:schema:s3-notification", "S3 ObjectCreated notification"
    )
    found[NOTIFICATION_FILE] = (Direction.INPUT, notification)
    return found


def _reachable(body: Any, definitions: Schema) -> set[str]:
    found: set[str] = set()
    waiting: list[Any] = [{name: part for name, part in body.items() if name != "$defs"}]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                name = reference.removeprefix("#/$defs/")
                if name not in found:
                    found.add(name)
                    waiting.append(definitions[name])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found
