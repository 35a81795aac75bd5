"""The OpenAPI document: ``openapi.yaml``, with what the code knows itself put in."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from panel.sources import fields
from panel.sources.auth_fields import AUTH_ALIASES, AUTH_SHAPES

_AUTH_SCHEMAS = {"none": "NoAuth", "basic": "BasicAuth", "token": "TokenAuth", "oauth2": "OAuth2Auth"}
_ONLY_READ = ("resolved", "revision", "updatedAt")


def openapi_document(*, url: str, version: str, integrations: list[str]) -> dict[str, Any]:
    """The document of a panel at ``url`` with these integrations."""
    document: dict[str, Any] = copy.deepcopy(_written())
    document["servers"] = [{"url": url}]
    document["info"]["version"] = version
    components = document["components"]
    components["parameters"]["Integration"]["schema"]["enum"] = integrations
    _describe_sources(components["schemas"])
    return document


@cache
def _written() -> Any:
    return yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text("utf-8"))


def _describe_sources(schemas: dict[str, Any]) -> None:
    properties = {field.name: field.schema() for field in fields.readable()}
    schemas["Slug"] = properties["slug"]
    schemas["SourceSettings"]["properties"] = {**properties, "slug": {"$ref": "#/components/schemas/Slug"}}
    schemas["Source"]["allOf"][1]["required"] = [*fields.names(), *_ONLY_READ]
    for kind, shape in AUTH_SHAPES.items():
        own = {field.name: field.schema() for field in shape.fields}
        names = [kind, *(alias for alias, target in AUTH_ALIASES.items() if target == kind)]
        schemas[_AUTH_SCHEMAS[kind]] = {
            **schemas.get(_AUTH_SCHEMAS[kind], {}),
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": names} if names[1:] else {"const": kind}, **own},
            "additionalProperties": False,
        }
        schemas["SourceAuth"]["properties"] |= {name: {"type": "string"} for name in shape.public}
