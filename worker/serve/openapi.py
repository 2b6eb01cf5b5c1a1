"""The OpenAPI 3.1 document, written from the models the answers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from worker import __version__
from worker.events import Attributes
from worker.serve.answers import REASONS, ProbeAnswer, Problem, SearchAnswer
from worker.serve.uploads import FIELD, MULTIPART, RAW_TYPES, UploadLimits

Json = dict[str, Any]
PROBLEM_TYPE = "application/problem+json"


def document(limits: UploadLimits) -> Json:
    """The document of a service with these limits."""
    schemas = _schemas()
    schemas["Problem"]["properties"]["reason"]["examples"] = sorted(set(REASONS))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Garment intake: one photo",
            "version": __version__,
            "summary": "Is the garment in this photo in the catalogue?",
            "description": "Decides as the worker would, with the same models, limits and thresholds, and writes nothing. "
            "Nobody is asked who they are: put a gateway before it where that matters.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to where the document lies: a gateway may serve it under a prefix.
        "servers": [{"url": "."}],
        "tags": [{"name": "search"}, {"name": "operations"}],
        "paths": {
            "/search": {"post": _search(limits)},
            "/photo/{point_id}": {"get": _photo()},
            "/": {"get": _plain("page", "The page for people.", "text/html", tag="search")},
            "/openapi.json": {"get": _plain("document", "This document.", "application/json")},
            "/livez": {"get": _probe("live", "Whether the service gets on with its work.")},
            "/readyz": {"get": _probe("ready", "Whether the service can answer.")},
            "/metrics": {"get": _plain("metrics", "Prometheus metrics.", "text/plain")},
        },
        "components": {"schemas": schemas, "responses": {"Problem": _problem("There is no answer.")}},
    }


def _schemas() -> dict[str, Json]:
    mode: JsonSchemaMode = "serialization"
    _, definitions = models_json_schema(
        [(model, mode) for model in (SearchAnswer, Problem, ProbeAnswer)], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Json] = definitions["$defs"]
    return schemas


def _search(limits: UploadLimits) -> Json:
    photo = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "description": "A JPEG, PNG, WebP, HEIC or AVIF file.",
    }
    form = {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: {"type": "array", "minItems": 1, "maxItems": limits.photos, "items": photo}},
        "additionalProperties": False,
    }
    wanted = {
        "name": "pictures",
        "in": "query",
        "description": "Add crop and mask overlay of each photo, as data URIs.",
        "schema": {"type": "boolean", "default": False},
    }
    return {
        "operationId": "search",
        "tags": ["search"],
        "summary": "Is this garment in the catalogue?",
        "description": f"One photo as the body, or up to {limits.photos} of one garment as a form. A photo may have "
        f"{limits.photo_bytes} bytes, a request {limits.body_bytes}.",
        "parameters": [wanted, *(_attribute(name, field.description or "") for name, field in Attributes.model_fields.items())],
        "requestBody": {
            "required": True,
            "content": {MULTIPART: {"schema": form}}
            | {kind: {"schema": {"type": "string", "contentMediaType": kind}} for kind in RAW_TYPES},
        },
        "responses": {
            "200": _content("The decision.", "application/json", {"$ref": "#/components/schemas/SearchAnswer"}),
            "400": _problem("A parameter or the form is not as described."),
            "408": _problem("The body did not arrive in time."),
            "413": _problem("The photo or the request is too large; it is not read."),
            "415": _problem("The body is of another type."),
            "422": _problem("The photo cannot be read as one; `reason` as in dead letters."),
            "503": _again("As many requests as allowed are in work, or the index is away."),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _attribute(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "query",
        "description": f"{description} Narrows the search where the service is set to (INTAKE_CATALOGUE__FILTER_ATTRIBUTES).",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    }


def _photo() -> Json:
    return {
        "operationId": "photo",
        "tags": ["search"],
        "summary": "A photo of the catalogue, small.",
        "parameters": [
            {
                "name": "point_id",
                "in": "path",
                "required": True,
                "description": "As in an answer's candidates.",
                "schema": {"type": "string", "format": "uuid"},
            }
        ],
        "responses": {
            "200": _content("The photo.", "image/jpeg", {"type": "string", "contentMediaType": "image/jpeg"}),
            "404": _problem("There is no such photo, or it may not be shown."),
            "503": _again("As many requests as allowed are in work, or the index or S3 is away."),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _probe(name: str, summary: str) -> Json:
    schema = {"$ref": "#/components/schemas/ProbeAnswer"}
    return {
        "operationId": name,
        "tags": ["operations"],
        "summary": summary,
        "responses": {"200": _content("Yes.", "application/json", schema), "503": _content("No.", "application/json", schema)},
    }


def _plain(name: str, summary: str, media_type: str, tag: str = "operations") -> Json:
    response = _content(summary, media_type, {"type": "object"} if media_type == "application/json" else {"type": "string"})
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": {"200": response}}


def _content(description: str, media_type: str, schema: Mapping[str, Any]) -> Json:
    return {"description": description, "content": {media_type: {"schema": dict(schema)}}}


def _problem(description: str) -> Json:
    return _content(description, PROBLEM_TYPE, {"$ref": "#/components/schemas/Problem"})


def _again(description: str) -> Json:
    header = {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}}
    return _problem(description) | {"headers": {"Retry-After": header}}
