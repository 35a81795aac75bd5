"""OpenProject's forms: what a work package may be set to, and which custom fields it has.

A form is an optional part of the source. OpenProject computes it slowly, and can limit the rate of forms alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from panel.connector import Upstream
from panel.integrations.openproject.answer import HAL, error_of, refuse_unexpected
from panel.integrations.openproject.reference import API

FORM_SHARE = 0.4
"""The share of the deadline for a form."""

_REFUSALS = (400, 403, 404, 409, 422)


@dataclass(frozen=True, slots=True)
class Form:
    """What a form says of each property (``schema``), their values (``payload``), and which of these are wrong."""

    schema: Mapping[str, Any]
    payload: Mapping[str, Any]
    errors: Mapping[str, Any] = field(default_factory=dict)


def change_form(upstream: Upstream, reference: str, version: int) -> Form | None:
    """The form of a work package with this lock version; None when it cannot be had.

    https://www.openproject.org/docs/api/endpoints/work-packages/#work-package-edit-form
    """
    return _form(upstream, ("work_packages", reference, "form"), {"lockVersion": version})


def create_form(upstream: Upstream, project: str, type_href: str | None) -> Form | None:
    """The form of a new work package of this type; None when it cannot be had.

    https://www.openproject.org/docs/api/endpoints/work-packages/#form-for-creating-work-packages-in-a-project
    """
    links = {"_links": {"type": {"href": type_href}}} if type_href else {}
    return _form(upstream, ("projects", project, "work_packages", "form"), links)


def _form(upstream: Upstream, path: tuple[str, ...], body: Mapping[str, Any]) -> Form | None:
    return upstream.optional("form", lambda part: _ask(part, path, body), share=FORM_SHARE)


def _ask(upstream: Upstream, path: tuple[str, ...], body: Mapping[str, Any]) -> Form:
    answer = upstream.send(
        "POST", *API, *path, body=json.dumps(body).encode(), content_type="application/json", accept=HAL,
        allow=_REFUSALS, reads=True,
    )  # fmt: skip
    if answer.status >= 300 and error_of(answer):
        return Form({}, {})
    refuse_unexpected(answer)
    whole = answer.object()
    parts = (inside(whole, "_embedded", name) for name in ("schema", "payload", "validationErrors"))
    return Form(*parts)


def inside(value: Any, *names: str) -> Mapping[str, Any]:
    """The object at the end of these keys; empty when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def allowed_values(field: Mapping[str, Any]) -> list[Any]:
    """The allowed values of a property, embedded or as links; empty when the form only says where they are."""
    whole, linked = inside(field, "_embedded").get("allowedValues"), inside(field, "_links").get("allowedValues")
    if isinstance(whole, list):
        return whole
    return [{"_links": {"self": entry}} for entry in linked] if isinstance(linked, list) else []
