"""The OpenAPI document is valid, and what the service answers is what it says."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.infra.needs import require
from tests.serve.conftest import Running, Shop
from worker.events import Attributes
from worker.serve.answers import REASONS

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document(service: Running) -> Json:
    found: Json = service.client.get("/openapi.json").raise_for_status().json()
    return found


def checked(document: Json, answer: httpx.Response, path: str, method: str = "get") -> Any:
    """The answer's body, after comparing status, media type and body with the document."""
    responses = document["paths"][path][method]["responses"]
    described = responses.get(str(answer.status_code)) or responses["default"]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    assert all(name.lower() in answer.headers for name in described.get("headers", {}))
    body = answer.json() if media_type.endswith("json") else answer.text
    Draft202012Validator({**schema, "components": document["components"]}, format_checker=FormatChecker()).validate(body)
    return body


def test_the_document_is_valid_openapi_3_1(document: Json) -> None:
    try:
        from openapi_spec_validator import OpenAPIV31SpecValidator
    except ModuleNotFoundError:
        require(False, "openapi-spec-validator")
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described_and_every_described_route_is_there(service: Running, document: Json) -> None:
    for path, methods in document["paths"].items():
        for method in methods:
            answer = service.client.request(method.upper(), path.replace("{point_id}", str(uuid4())))
            assert answer.status_code != 405
            assert answer.status_code != 404 or path == "/photo/{point_id}"


def test_answers_are_as_described(service: Running, document: Json, shop: Shop, red_shirt: bytes) -> None:
    post = service.client.post
    files = {"photo": red_shirt}
    answer = checked(document, post("/search?pictures=true", files=files), "/search", "post")
    schema = document["components"]["schemas"]["SearchAnswer"]
    assert set(answer) == set(schema["properties"]) == set(schema["required"])
    assert not schema.get("additionalProperties", True)
    refusals = [
        post("/search?x=1", files=files),
        post("/search", content=b"x" * 400_001, headers={"content-type": "image/png"}),
        post("/search", content=b"x", headers={"content-type": "text/plain"}),
        post("/search", files={"photo": b"no photo"}),
        post("/search", files=files, headers={"Sec-Fetch-Site": "cross-site"}),
    ]
    assert [refusal.status_code for refusal in refusals] == [400, 413, 415, 422, 403]
    for refusal in refusals:
        problem = checked(document, refusal, "/search", "post")
        assert problem["status"] == refusal.status_code
        assert problem["reason"] in REASONS
    assert checked(document, service.client.get("/livez"), "/livez")["ok"] is True
    assert checked(document, service.client.get("/readyz"), "/readyz") == {"ok": True, "catalogue": "ok"}
    checked(document, service.client.get(f"/photo/{uuid4()}"), "/photo/{point_id}")
    checked(document, service.client.get(f"/photo/{shop.points['red-plain']}"), "/photo/{point_id}")
    checked(document, service.client.get("/"), "/")
    checked(document, service.client.get("/metrics"), "/metrics")


def test_the_check_itself_sees_a_wrong_answer(service: Running, document: Json, red_shirt: bytes) -> None:
    answer = service.client.post("/search", files={"photo": red_shirt}).json()
    schema = {"$ref": "#/components/schemas/SearchAnswer", "components": document["components"]}
    validator = Draft202012Validator(schema)
    assert validator.is_valid(answer)
    assert not validator.is_valid({**answer, "decision": "maybe"})
    assert not validator.is_valid({**answer, "more": 1})
    assert not validator.is_valid({name: value for name, value in answer.items() if name != "reason"})


def test_parameters_and_limits_in_the_document_are_those_of_the_service(document: Json) -> None:
    search = document["paths"]["/search"]["post"]
    assert [parameter["name"] for parameter in search["parameters"]] == ["pictures", *Attributes.model_fields]
    form = search["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["photo"]["maxItems"] == 3
    assert "400000 bytes" in search["description"]
