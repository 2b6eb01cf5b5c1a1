from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ConfigDict, Field, create_model

from worker.events.common import Model
from worker.events.compatibility import breaking_changes
from worker.events.json_schema import Direction, Schema, schema_of, schemas


class Part(Model):
    key: str
    note: str | None = None


class Base(Model):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)
    name: str = Field(pattern="^[a-z]+$", min_length=1, max_length=10)
    kind: Literal["a", "b"]
    number: int = Field(default=1, ge=0, le=9)
    maybe: str | None = None
    parts: tuple[Part, ...] = Field(default=(), max_length=4)
    times: dict[str, float] = Field(default_factory=dict)


def schema(direction: Direction, **changes: Any) -> Schema:
    model = create_model("Changed", __base__=Base, **changes) if changes else Base
    return schema_of(model, direction, "urn:x", "x")


def without(direction: Direction, name: str) -> Schema:
    made = schema(direction)
    made["properties"].pop(name)
    made["required"] = [field for field in made["required"] if field != name]
    return made


def found(direction: Direction, **changes: Any) -> list[str]:
    return breaking_changes(schema(direction), schema(direction, **changes), direction)


class BareKey(Model):
    key: str


class NumberedKey(Model):
    key: int
    note: str | None = None


class LargerPart(Part):
    added: str | None = None


@pytest.mark.parametrize("direction", list(Direction))
def test_what_does_not_change_breaks_nothing(direction: Direction) -> None:
    assert found(direction) == []


@pytest.mark.parametrize(("name", "entry"), list(schemas().items()), ids=list(schemas()))
def test_no_contract_breaks_itself(name: str, entry: tuple[Direction, Schema]) -> None:
    assert breaking_changes(entry[1], entry[1], entry[0]) == []


OPTIONAL: dict[str, Any] = {"added": (str | None, None)}
REQUIRED: dict[str, Any] = {"added": (str, ...)}
WIDER: dict[str, dict[str, Any]] = {
    "longer text": {"name": (str, Field(pattern="^[a-z]+$", min_length=0, max_length=11))},
    "any pattern": {"name": (str, Field(min_length=1, max_length=10))},
    "another value": {"kind": (Literal["a", "b", "c"], ...)},
    "any text instead of values": {"kind": (str, ...)},
    "larger number": {"number": (int, Field(default=1, ge=-1, le=10))},
    "fraction": {"number": (float, Field(default=1, ge=0, le=9))},
    "null": {"number": (int | None, Field(default=1, ge=0, le=9))},
    "more types": {"maybe": (str | int | None, None)},
    "more items": {"parts": (tuple[Part, ...], Field(default=(), max_length=5))},
    "any number of items": {"parts": (tuple[Part, ...], Field(default=()))},
    "values of a map": {"times": (dict[str, float | None], Field(default_factory=dict))},
}
NARROWER: dict[str, dict[str, Any]] = {
    "shorter text": {"name": (str, Field(pattern="^[a-z]+$", min_length=1, max_length=9))},
    "at least two": {"name": (str, Field(pattern="^[a-z]+$", min_length=2, max_length=10))},
    "one value less": {"kind": (Literal["a"], ...)},
    "smaller number": {"number": (int, Field(default=1, ge=0, le=8))},
    "fewer items": {"parts": (tuple[Part, ...], Field(default=(), max_length=3))},
    "values of a map": {"times": (dict[str, int], Field(default_factory=dict))},
    "never null": {"maybe": (str, "")},
}
OTHER: dict[str, dict[str, Any]] = {
    "pattern": {"name": (str, Field(pattern="^[a-y]+$", min_length=1, max_length=10))},
    "type": {"number": (str, "1")},
    "type of a part": {"parts": (tuple[NumberedKey, ...], Field(default=(), max_length=4))},
    "text to list": {"maybe": (list[str] | None, None)},
    "field of a part is gone": {"parts": (tuple[BareKey, ...], Field(default=(), max_length=4))},
}


@pytest.mark.parametrize("name", WIDER)
def test_a_wider_input_breaks_nobody_and_a_wider_output_breaks_its_readers(name: str) -> None:
    assert found(Direction.INPUT, **WIDER[name]) == []
    assert found(Direction.OUTPUT, **WIDER[name]) != []


@pytest.mark.parametrize("name", NARROWER)
def test_a_narrower_input_breaks_its_writers(name: str) -> None:
    assert found(Direction.INPUT, **NARROWER[name]) != []


@pytest.mark.parametrize("name", [name for name in NARROWER if name != "never null"])
def test_a_narrower_output_breaks_nobody(name: str) -> None:
    assert found(Direction.OUTPUT, **NARROWER[name]) == []


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("name", OTHER)
def test_what_is_neither_wider_nor_narrower_breaks_both_ways(direction: Direction, name: str) -> None:
    assert found(direction, **OTHER[name]) != []


@pytest.mark.parametrize("direction", list(Direction))
def test_a_new_optional_field_breaks_nobody(direction: Direction) -> None:
    assert found(direction, **OPTIONAL) == []
    assert found(direction, parts=(tuple[LargerPart, ...], Field(default=(), max_length=4))) == []


def test_a_new_required_field_breaks_the_writers_of_an_input_and_no_reader_of_an_output() -> None:
    assert "added" in found(Direction.INPUT, **REQUIRED)[0]
    assert found(Direction.OUTPUT, **REQUIRED) == []


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("name", ["name", "number", "maybe", "parts"])
def test_a_removed_field_breaks_both_ways(direction: Direction, name: str) -> None:
    assert any("removed" in change for change in breaking_changes(schema(direction), without(direction, name), direction))


def test_an_output_field_that_is_no_longer_always_written_breaks_its_readers() -> None:
    new = schema(Direction.OUTPUT)
    new["required"].remove("number")
    assert breaking_changes(schema(Direction.OUTPUT), new, Direction.OUTPUT) == [
        "event.number: required by readers, not always written"
    ]


def test_a_changed_default_breaks_the_writers_of_an_input_only() -> None:
    changes: dict[str, Any] = {"number": (int, Field(default=2, ge=0, le=9))}
    assert "default" in found(Direction.INPUT, **changes)[0]
    assert found(Direction.OUTPUT, **changes) == []


@pytest.mark.parametrize("direction", list(Direction))
def test_text_may_change(direction: Direction) -> None:
    changes: dict[str, Any] = {
        "number": (int, Field(default=1, ge=0, le=9, description="Another text.", title="N", examples=[3]))
    }
    assert found(direction, **changes) == []


def test_a_keyword_nobody_knows_must_stay_as_it_is() -> None:
    new = schema(Direction.INPUT)
    new["propertyNames"] = {"pattern": "^a"}
    assert breaking_changes(schema(Direction.INPUT), new, Direction.INPUT) != []


def test_an_open_list_of_values_may_grow() -> None:
    last, new = schema(Direction.OUTPUT), schema(Direction.OUTPUT)
    last["properties"]["kind"] = {"type": "string", "x-extensible-enum": ["a"]}
    new["properties"]["kind"] = {"type": "string", "x-extensible-enum": ["a", "b"]}
    assert breaking_changes(last, new, Direction.OUTPUT) == []


@pytest.mark.parametrize(("removed", "direction"), [("additionalProperties", Direction.OUTPUT), ("items", Direction.OUTPUT)])
def test_members_that_may_suddenly_be_anything_break_readers(removed: str, direction: Direction) -> None:
    new = schema(direction)
    new["properties"]["times" if removed == "additionalProperties" else "parts"].pop(removed)
    assert breaking_changes(schema(direction), new, direction) != []
