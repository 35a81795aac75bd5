"""Schemas and forms of the OpenProject stand-in: which values a work package takes, and which of them are wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from panel.sandbox.openproject_errors import ApiError
from panel.sandbox.openproject_json import WRITABLE_BY_STATUS_CHANGE, Document, Hal
from panel.sandbox.openproject_state import NOT_SET, CustomField, Right, Status, WorkPackage

FIXED: Document = {"required": True, "writable": False, "hasDefault": False}
LINKED: Document = {"location": "_links"}
DEFAULTED: Document = {**LINKED, "hasDefault": True}


def schema(hal: Hal, project_id: int, type_id: int) -> Document:
    """The schema of a project and type, without allowed values (those are in a form's schema)."""
    path = f"/work_packages/schemas/{project_id}-{type_id}"
    return _schema(hal, project_id, type_id, None) | {"_links": {"self": hal.link(path)}}


def _schema(hal: Hal, project_id: int, type_id: int, writable: frozenset[str] | None) -> Document:
    def attribute(key: str, kind: str, name: str, *, required: bool, **more: Any) -> Document:
        granted = writable is None or key in writable
        return {"type": kind, "name": name, "required": required, "hasDefault": False, "writable": granted, **more}

    custom_attributes = {
        field.key: attribute(
            field.key, "CustomOption" if field.options else field.kind, field.name, required=field.required,
            **(LINKED if field.is_link else {}),
        )
        for field in hal.world.custom_fields_of(project_id, type_id)
    }  # fmt: skip
    subject = attribute("subject", "String", "Subject", required=True, minLength=1, maxLength=255)
    if type_id == NOT_SET:
        # A type can generate subjects. Without a type, newer servers do not say whether there is a default.
        del subject["hasDefault"]
    return {
        "_type": "Schema", "_dependencies": [],
        "lockVersion": {"type": "Integer", "name": "Lock version", **FIXED},
        "id": {"type": "Integer", "name": "ID", **FIXED},
        "subject": subject,
        "description": attribute("description", "Formattable", "Description", required=False),
        "startDate": attribute("startDate", "Date", "Start date", required=False),
        "dueDate": attribute("dueDate", "Date", "Finish date", required=False),
        "createdAt": {"type": "DateTime", "name": "Created on", **FIXED},
        "updatedAt": {"type": "DateTime", "name": "Updated on", **FIXED},
        "author": {"type": "User", "name": "Author", **FIXED, **LINKED},
        "project": attribute("project", "Project", "Project", required=True, **LINKED),
        "type": attribute("type", "Type", "Type", required=True, **LINKED),
        "status": attribute("status", "Status", "Status", required=True, **DEFAULTED),
        "priority": attribute("priority", "Priority", "Priority", required=True, **DEFAULTED),
        "assignee": attribute("assignee", "User", "Assignee", required=False, **LINKED),
        "responsible": attribute("responsible", "User", "Accountable", required=False, **LINKED),
        "parent": attribute("parent", "WorkPackage", "Parent", required=False, **LINKED),
        **custom_attributes,
    }  # fmt: skip


def form(
    hal: Hal, path: str, candidate: WorkPackage, statuses: Sequence[Status], errors: Sequence[ApiError], *, new: bool
) -> Document:
    """A form for a candidate: its payload, its schema with allowed values, and its validation errors."""
    found = {(error.details or {})["attribute"]: error.body(hal.language) for error in errors}
    return {
        "_type": "Form",
        "_embedded": {
            "payload": _payload(hal, candidate, new=new),
            "schema": _form_schema(hal, candidate, statuses, new=new),
            "validationErrors": found,
        },
        "_links": _form_links(hal, path, candidate, valid=not errors, new=new),
    }


def _form_schema(hal: Hal, candidate: WorkPackage, statuses: Sequence[Status], *, new: bool) -> Document:
    can_edit = new or Right.EDIT in hal.world.rights_in(hal.user, candidate)
    writable = None if can_edit else WRITABLE_BY_STATUS_CHANGE
    document = _schema(hal, candidate.project_id, candidate.type_id, writable)
    for key, choices in _allowed_values(hal, candidate, statuses).items():
        _set_allowed_values(hal, document[key], choices)
    document["project"]["_links"] = {"allowedValues": hal.link("/work_packages/available_projects")}
    for field in hal.custom_fields(candidate):
        if field.kind == "User":
            members = {"member": {"operator": "=", "values": [str(candidate.project_id)]}}
            query = urlencode({"filters": json.dumps([members]), "pageSize": "-1"})
            document[field.key]["_links"] = {"allowedValues": hal.link(f"/principals?{query}")}
    if candidate.project_id in hal.world.projects:
        people = hal.below_project(candidate.project_id, "available_assignees")
        href = people if new else f"/work_packages/{candidate.id}/available_assignees"
        for role in ("assignee", "responsible"):
            document[role]["_links"] = {"allowedValues": hal.link(href)}
    return document


def _allowed_values(
    hal: Hal, candidate: WorkPackage, statuses: Sequence[Status]
) -> dict[str, list[tuple[Document, Document]]]:
    """Return attribute → pairs of link and resource."""
    world = hal.world
    priorities = sorted(world.priorities.values(), key=lambda one: one.position)
    options = {
        field.key: [_option(hal, field, number) for number in field.options]
        for field in hal.custom_fields(candidate)
        if field.options
    }
    return {
        "status": [(hal.resource_link("statuses", one), hal.status(one)) for one in statuses],
        "type": [(hal.resource_link("types", one), hal.type(one)) for one in world.types_of(candidate.project_id)],
        "priority": [(hal.resource_link("priorities", one), hal.priority(one)) for one in priorities],
        **options,
    }


def _option(hal: Hal, field: CustomField, number: int) -> tuple[Document, Document]:
    link = hal.option_link(field, str(number))
    return link, {"_type": "CustomOption", "id": number, "value": field.options[number], "_links": {"self": link}}


def _set_allowed_values(hal: Hal, attribute: Document, choices: Sequence[tuple[Document, Document]]) -> None:
    if hal.offers in ("both", "linked"):
        attribute["_links"] = {"allowedValues": [link for link, _ in choices]}
    if hal.offers in ("both", "embedded"):
        attribute["_embedded"] = {"allowedValues": [resource for _, resource in choices]}


def _payload(hal: Hal, candidate: WorkPackage, *, new: bool) -> Document:
    dates = {key: value for key, value in hal.dates(candidate).items() if key in ("date", "startDate", "dueDate")}
    lock = {} if new else {"lockVersion": candidate.lock_version}
    return {
        **lock, "subject": candidate.subject, "description": hal.formatted(candidate.description), **dates,
        **hal.custom_texts(candidate), "_links": hal.value_links(candidate),
    }  # fmt: skip


def _form_links(hal: Hal, path: str, candidate: WorkPackage, *, valid: bool, new: bool) -> Document:
    links = {"self": hal.link(path, method="post"), "validate": hal.link(path, method="post")}
    if valid:
        target = "/work_packages" if new else f"/work_packages/{candidate.id}"
        links["commit"] = hal.link(target, method="post" if new else "patch")
    return links
