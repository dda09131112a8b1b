"""The API's description says of every route what it takes and answers, and of nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from api.authentication import OPEN_ENDPOINTS, SCOPES
from api.openapi import NOT_DESCRIBED, described_routes, path_of
from delivery.domain.tenants import Tenant
from tests.unit.api.fakes import FakeApi, Start

Json = dict[str, Any]


@pytest.fixture
def document(api: FakeApi) -> Json:
    found: Json = api.client.get("/openapi.json").get_json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_is_described_and_every_description_has_its_route(api: FakeApi, document: Json) -> None:
    routes = {(method, path_of(rule)) for rule, method in described_routes(api.app)}
    assert {(method, path) for method, path, _ in operations(document)} == routes
    endpoints = {rule.endpoint for rule in api.app.url_map.iter_rules()}
    assert {operation["operationId"] for _, _, operation in operations(document)} == endpoints - NOT_DESCRIBED


def test_what_is_not_described_is_a_file() -> None:
    assert {"documentation.asset"} == NOT_DESCRIBED


def test_every_name_in_it_leads_somewhere(document: Json) -> None:
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/([^"]+)"', json.dumps(document)))
    assert references
    assert [name for kind, name in references if name not in document["components"][kind]] == []


def test_every_parameter_of_a_path_is_described(document: Json) -> None:
    for _, path, operation in operations(document):
        named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_answer_has_a_body_and_every_error_the_shape_of_errors(document: Json) -> None:
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            (body,) = response["content"].values()
            assert body.get("schema") or path == "/docs"
            if status >= "400" and path != "/readyz":
                error = "ApiError" if path.startswith("/api/") else "Denied"
                assert body["schema"] == {"$ref": f"#/components/schemas/{error}"}


def test_what_wants_a_key_says_so_and_what_for(document: Json) -> None:
    for _, _, operation in operations(document):
        scope = SCOPES.get(operation["operationId"])
        if scope is not None:
            assert operation["security"] == [{"bearer": [scope.value]}, {"key": [scope.value]}]
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()
        else:
            assert operation["operationId"] in OPEN_ENDPOINTS


def test_what_the_provider_does_not_take_is_not_described(start: Start, document: Json) -> None:
    assert "subject" not in document["components"]["schemas"]["Send"]["properties"]
    takes = start(config='[provider]\nextra_fields = ["subject"]')
    found = takes.client.get("/openapi.json").get_json()
    assert found["components"]["schemas"]["Send"]["properties"]["subject"]["maxLength"] == 998


def test_unknown_fields_are_refused_as_described(document: Json) -> None:
    assert document["components"]["schemas"]["Send"]["additionalProperties"] is False


def test_every_example_of_an_email_is_accepted(api: FakeApi, document: Json) -> None:
    api.store.tenants.made["default"] = Tenant(tenant_id="default", sender_default="shop@example.com")
    posted = 0
    for method, path, operation in operations(document):
        examples = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in examples.get("examples", {}).values():
            if "signature" in str(operation["security"]) or "{" in path:
                continue
            response = api.client.open(path, method=method, json=example["value"])
            assert response.status_code < 300, response.get_json()
            posted += 1
    assert posted >= 2
