"""Which change of a schema breaks somebody.

The rule is one sentence: whatever a document's writer may write under the schema it knows, its reader must accept under the schema it
knows. For inputs others write under the last version and the worker reads under the new one, so the new schema must accept at least
what the last one did. For outputs the worker writes under the new one and others read under the last one, so the last schema must accept
everything the new one allows. Beside that nobody may lose a field they use: a removed field is a break in both directions, and so
is a changed default of an input, because it changes what leaving the field out means.

Allowed therefore: a new optional field, a wider input, a narrower output, any text. Everything else needs a new version of the event.
Keywords this module does not know must stay as they are.
"""

from __future__ import annotations

from typing import Any

from worker.events.json_schema import Direction, Schema

# Change nothing about which documents are valid. `x-...` are annotations too.
_ANNOTATIONS = frozenset({"$schema", "$id", "$defs", "$ref", "title", "description", "default", "examples"})
# The reader's bound must not be tighter than the writer's.
_LOWER_BOUNDS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER_BOUNDS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_HANDLED = frozenset({"type", "enum", "const", "anyOf", "properties", "required", "items", "additionalProperties"})


def breaking_changes(last: Schema, new: Schema, direction: Direction) -> list[str]:
    """What would break if `new` took the place of `last`: one sentence each, with the place in the document; empty if nothing."""
    if direction is Direction.INPUT:
        found = _refusals(_Side(last, last), _Side(new, new), "event")
    else:
        found = _refusals(_Side(new, new), _Side(last, last), "event")
    return found + _lost(_Side(last, last), _Side(new, new), "event", defaults=direction is Direction.INPUT)


class _Side:
    """A schema node together with its root, with references followed."""

    def __init__(self, node: Any, root: Schema) -> None:
        self.root = root
        self.node: Schema = node if isinstance(node, dict) else {}
        while "$ref" in self.node:
            target = root["$defs"][str(self.node["$ref"]).removeprefix("#/$defs/")]
            self.node = {**target, **{name: part for name, part in self.node.items() if name != "$ref"}}

    def at(self, node: Any) -> _Side:
        return _Side(node, self.root)

    @property
    def properties(self) -> dict[str, _Side]:
        return {name: self.at(node) for name, node in self.node.get("properties", {}).items()}

    @property
    def branches(self) -> list[_Side]:
        return [self.at(node) for node in self.node["anyOf"]] if "anyOf" in self.node else [self]

    @property
    def values(self) -> list[Any] | None:
        return [self.node["const"]] if "const" in self.node else self.node.get("enum")

    @property
    def required(self) -> set[str]:
        return set(self.node.get("required", ()))


def _refusals(writer: _Side, reader: _Side, place: str) -> list[str]:
    """What the writer's schema allows and the reader's refuses."""
    if "anyOf" in writer.node or "anyOf" in reader.node:
        found = []
        for branch in writer.branches:
            attempts = [_refusals(branch, other, place) for other in reader.branches]
            if all(attempts):
                found.append(
                    min(attempts, key=len)[0] if len(attempts) == 1 else f"{place}: {_kind(branch)} is not read everywhere"
                )
        return found
    return [
        *_scalar_refusals(writer, reader, place),
        *_object_refusals(writer, reader, place),
        *_member_refusals(writer, reader, place, "items"),
        *_member_refusals(writer, reader, place, "additionalProperties"),
    ]


def _scalar_refusals(writer: _Side, reader: _Side, place: str) -> list[str]:
    found = []
    allowed, written = reader.node.get("type"), writer.node.get("type")
    if allowed is not None and written != allowed and (written, allowed) != ("integer", "number"):
        found.append(f"{place}: type {written} is not read everywhere; {allowed} is")
    if reader.values is not None:
        odd = [value for value in (writer.values or []) if value not in reader.values]
        if writer.values is None or odd:
            found.append(f"{place}: {odd or 'any value'} is not read everywhere")
    for name, bound in reader.node.items():
        if name in _HANDLED or name in _ANNOTATIONS or name.startswith("x-"):
            continue
        other = writer.node.get(name)
        if other == bound or (writer.values is not None and reader.values is not None):
            continue
        if name in _LOWER_BOUNDS and other is not None and other >= bound:
            continue
        if name in _UPPER_BOUNDS and other is not None and other <= bound:
            continue
        found.append(f"{place}: {name} {bound!r} does not hold for everything written")
    return found


def _object_refusals(writer: _Side, reader: _Side, place: str) -> list[str]:
    found = [f"{place}.{name}: required by readers, not always written" for name in sorted(reader.required - writer.required)]
    written = writer.properties
    for name, property_read in reader.properties.items():
        if name in written:
            found += _refusals(written[name], property_read, f"{place}.{name}")
    return found


def _member_refusals(writer: _Side, reader: _Side, place: str, keyword: str) -> list[str]:
    wanted = reader.node.get(keyword)
    if wanted is None or wanted is True:
        return []
    if writer.node.get(keyword) is None or wanted is False:
        return [] if writer.node.get(keyword) == wanted else [f"{place}: {keyword} is limited for readers and not for writers"]
    return _refusals(writer.at(writer.node[keyword]), reader.at(wanted), f"{place}[]")


def _lost(last: _Side, new: _Side, place: str, *, defaults: bool) -> list[str]:
    """Fields that are gone, and (for inputs) defaults that differ."""
    found = []
    for before in last.branches:
        after = next((branch for branch in new.branches if branch.node.get("type") == before.node.get("type")), None)
        if after is None:
            continue  # a refusal, told there
        now = after.properties
        for name, property_before in before.properties.items():
            where = f"{place}.{name}"
            if name not in now:
                found.append(f"{where}: removed")
                continue
            if defaults and property_before.node.get("default") != now[name].node.get("default"):
                found.append(f"{where}: its default changed")
            found += _lost(property_before, now[name], where, defaults=defaults)
        if "items" in before.node and "items" in after.node:
            found += _lost(before.at(before.node["items"]), after.at(after.node["items"]), f"{place}[]", defaults=defaults)
    return found


def _kind(side: _Side) -> str:
    return str(side.node.get("type", side.values))
