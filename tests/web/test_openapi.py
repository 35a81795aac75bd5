"""The JSON face and its description say the same: the same routes, the same shapes, for whatever is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
import yaml
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support import CASE, Upstreams, xwiki_values

import panel
from panel.core.reasons import Cause, Reason
from panel.integrations.registry import load_registry
from panel.links.visitor import Visitor
from panel.services import Panel

CHECKS = [status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
DESCRIPTION = Path(panel.__file__).parent / "web" / "api" / "openapi.yaml"
METHODS = {"get", "post", "put", "patch", "delete"}
PAGE, WORK_PACKAGE = "Sandbox.TestPage1", "101"

Bearer = Callable[[str], dict[str, str]]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    return client.get("/api/openapi.json").json  # type: ignore[return-value]


def validator(document: dict[str, Any], schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{schema}", "components": document["components"]})


def routes_of(app: Flask) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("api."):
            for method in (rule.methods or set()) & {name.upper() for name in METHODS}:
                yield method.lower(), re.sub(r"<[^>]+>", "{}", rule.rule)


def described_in(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, operations in document["paths"].items():
        for method in METHODS & set(operations):
            yield method, re.sub(r"{[^}]+}", "{}", path)


# --- the document ----------------------------------------------------------------------------------------------------


def test_every_route_is_described_and_every_description_has_a_route(app: Flask, document: dict[str, Any]) -> None:
    assert sorted(described_in(document)) == sorted(routes_of(app))


def test_the_document_is_valid_openapi(app: Flask) -> None:
    described = schemathesis.openapi.from_wsgi("/api/openapi.json", app)

    described.validate()

    assert described.raw_schema["openapi"] == "3.1.0"


def test_every_schema_is_valid_and_finds_what_it_refers_to(document: dict[str, Any]) -> None:
    for name in document["components"]["schemas"]:
        validator(document, name)


def test_every_parameter_of_a_path_is_described(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        named = [ref["$ref"].rpartition("/")[2] for ref in operations.get("parameters", [])]
        described = {document["components"]["parameters"][name]["name"] for name in named}

        assert described == set(re.findall(r"{(\w+)}", path)), path


def test_nobody_needs_to_sign_in_to_read_it(client: FlaskClient) -> None:
    answer = client.get("/api/openapi.json")

    assert (answer.status_code, answer.mimetype) == (200, "application/json")


def test_it_names_this_panel_and_its_leaves(make_app: Callable[..., Flask]) -> None:
    app = make_app(PANEL_PUBLIC_URL="https://panel.example.org/sub")

    document = app.test_client().get("/api/openapi.json").json

    assert document["servers"] == [{"url": "https://panel.example.org/sub"}]
    assert document["info"]["version"] == panel.__version__
    assert document["components"]["parameters"]["Integration"]["schema"]["enum"] == load_registry().ids()


def test_it_lists_all_causes_and_reasons(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["Cause"]["enum"] == [cause.value for cause in Cause]
    assert schemas["Reason"]["enum"] == [reason.value for reason in Reason]


def test_its_examples_have_the_described_shape(document: dict[str, Any]) -> None:
    for example in document["components"]["examples"].values():
        validator(document, "List").validate(example["value"])


# --- the answers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(connected: Flask, visitor: Visitor) -> Flask:
    """Both sources configured, and one link of each kind on the example object."""
    with connected.app_context():
        services: Panel = connected.extensions["leafpanel"]
        services.links.link(visitor, "xwiki", CASE, PAGE)
        services.links.link(visitor, "openproject", CASE, WORK_PACKAGE)
    return connected


@pytest.mark.parametrize(("leaf", "schema"), [("xwiki", "XwikiRow"), ("openproject", "OpenProjectRow")])
def test_rows_of_a_leaf_have_their_own_described_shape(
    linked: Flask, bearer: Bearer, document: dict[str, Any], leaf: str, schema: str
) -> None:
    client, path = linked.test_client(), f"/api/objects/demo/case/1/integrations/{leaf}"

    rows = client.get(path, headers=bearer("read")).json["items"]
    found = client.get(f"/api/integrations/{leaf}/available", headers=bearer("write")).json["items"]

    assert len(rows) == 1
    assert found
    for row in [*rows, *found]:
        validator(document, schema).validate(row)


@pytest.mark.parametrize(
    ("leaf", "values", "schema"),
    [
        ("xwiki", {"space": "Sandbox", "title": "Report of the hearing"}, "XwikiRow"),
        ("openproject", {"projectId": "alpha", "subject": "Check the drawings"}, "OpenProjectRow"),
    ],
)
def test_a_created_thing_has_the_described_shape(
    connected: Flask, bearer: Bearer, document: dict[str, Any], leaf: str, values: dict[str, Any], schema: str
) -> None:
    client = connected.test_client()

    answer = client.post(f"/api/objects/demo/case/1/integrations/{leaf}/new", json=values, headers=bearer("write"))

    assert answer.status_code == 201
    validator(document, schema).validate(answer.json)
    validator(document, "LinkedRow").validate(answer.json)


@pytest.mark.parametrize("leaf", ["xwiki", "openproject"])
def test_an_unavailable_source_answers_in_its_described_shape(
    linked: Flask, bearer: Bearer, document: dict[str, Any], upstreams: Upstreams, leaf: str
) -> None:
    upstreams.close()

    answer = linked.test_client().get(f"/api/objects/demo/case/1/integrations/{leaf}", headers=bearer("read"))

    assert answer.status_code == 503
    validator(document, "ErrorUnavailable").validate(answer.json)
    assert len(answer.json["links"]) == 1


def test_a_source_is_read_in_its_described_shape(
    connected: Flask, bearer: Bearer, document: dict[str, Any], upstreams: Upstreams
) -> None:
    validator(document, "NewSource").validate(xwiki_values(upstreams))

    for source in connected.test_client().get("/api/sources", headers=bearer("admin")).json["items"]:
        validator(document, "Source").validate(source)
        assert source["auth"]["secretSet"] is True


# --- whatever is asked -----------------------------------------------------------------------------------------------

OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in yaml.safe_load(DESCRIPTION.read_text("utf-8"))["paths"].items()
    for method in sorted(METHODS & set(operations))
]
KNOWN = {"register": CASE.register, "schema": CASE.schema, "objectId": CASE.object_id, "slug": "xwiki"}
ENTITIES = {"xwiki": f"xwiki:{PAGE}", "openproject": WORK_PACKAGE}


def asked_of(operation: Any) -> SearchStrategy[schemathesis.Case]:
    """Requests that keep to the description and requests that do not, half of them about what is really there."""
    kept, broken = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    return st.builds(_about, st.one_of(kept, broken), known=st.booleans())


def _about(case: schemathesis.Case, *, known: bool) -> schemathesis.Case:
    if known:
        there = {**KNOWN, "entityId": ENTITIES.get(str(case.path_parameters.get("integration")), WORK_PACKAGE)}
        case.path_parameters.update({name: there[name] for name in there.keys() & case.path_parameters.keys()})
    return case


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_as_described(linked: Flask, bearer: Bearer, operation: str) -> None:
    method, path = operation.split()
    described, headers = schemathesis.openapi.from_wsgi("/api/openapi.json", linked), bearer("admin")

    @given(case=asked_of(described[path][method]))
    @settings(
        max_examples=15, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )  # fmt: skip
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(headers=headers)
        assert answer.status_code < 500 or answer.status_code in (501, 503), answer.text
        case.validate_response(answer, checks=CHECKS)

    ask()
