"""Parses and validates the body of a create, an update or a form, as OpenProject does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from panel.sandbox.openproject_errors import (
    ApiError,
    bad_request,
    conflict,
    internal_error,
    read_only,
    unauthorized,
    violation,
)
from panel.sandbox.openproject_json import UNDISCLOSED, WRITABLE_BY_STATUS_CHANGE
from panel.sandbox.openproject_profiles import Profile
from panel.sandbox.openproject_state import (
    NOT_SET,
    UNKNOWN,
    UPDATING,
    CustomField,
    Principal,
    Right,
    WorkPackage,
    World,
)

NAMESPACES: dict[str, tuple[str, ...]] = {
    "project": ("projects", "workspaces", "portfolios", "programs"),
    "type": ("types",),
    "status": ("statuses",),
    "priority": ("priorities",),
    "assignee": ("users", "groups", "placeholder_users"),
    "responsible": ("users", "groups", "placeholder_users"),
    "parent": ("work_packages",),
    "author": ("users",),
}
"""Link → the namespaces of the resources that it may point to."""

REQUIRED_LINKS = frozenset({"project", "type", "status", "priority"})
SUBJECT_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Sent:
    """A parsed body: values by field of WorkPackage, custom values by field id, and a lock version."""

    values: dict[str, Any] = field(default_factory=dict)
    custom: dict[int, str] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)
    """Read-only timestamps in the body, which are errors."""
    lock_version: Any = None
    validate_custom_fields: bool = False


def read(body: Mapping[str, Any], world: World, profile: Profile) -> Sent:
    """Parse a body. Raises BadRequest, ResourceTypeMismatch or PropertyFormatError, before any validation."""
    _check_links(body.get("_links", {}), profile)
    values: dict[str, Any] = {}
    if "subject" in body:
        values["subject"] = "" if body["subject"] is None else str(body["subject"])
    if "description" in body:
        values["description"] = _raw_text(body["description"])
    values |= _dates(body)
    links, custom = _links(body.get("_links", {}), world)
    texts = [one for one in world.custom_fields.values() if one.key in body and not one.is_link]
    custom |= {one.id: _custom_text(one, body[one.key]) for one in texts}
    stamps = {key: str(body[key]) for key in ("createdAt", "updatedAt") if body.get(key) is not None}
    meta = body.get("_meta")
    validate = isinstance(meta, Mapping) and meta.get("validateCustomFields") is True
    return Sent(values | links, custom, stamps, body.get("lockVersion"), validate)


def _custom_text(one: CustomField, value: Any) -> str:
    return (_raw_text(value) or "") if one.kind == "Formattable" else _text(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _raw_text(value: Any) -> str | None:
    """Return the ``raw`` text of a formattable property.

    A plain string is accepted, but its text is lost: Ruby's ``"text"["raw"]`` returns "raw" or nil.
    """
    if isinstance(value, Mapping):
        raw = value.get("raw")
        return None if raw is None else str(raw)
    if isinstance(value, str):
        return "raw" if "raw" in value else None
    return None


def _dates(body: Mapping[str, Any]) -> dict[str, date | None]:
    days = {key: _day(key, body[key]) for key in ("startDate", "dueDate", "date") if key in body}
    values = {name: days[key] for key, name in (("startDate", "start_date"), ("dueDate", "due_date")) if key in days}
    return values | {"start_date": days["date"], "due_date": days["date"]} if "date" in days else values


def _day(key: str, value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        details = {"attribute": key}
        texts = {"property": key, "actual": str(value)}
        raise ApiError(422, "PropertyFormatError", "date-format", details=details, texts=texts) from exc


def _check_links(links: Any, profile: Profile) -> None:
    """Raise BadRequest for links that are no objects; older servers fail with an internal error."""
    error = _links_error(links)
    if error is not None:
        raise error if profile.checks_links else internal_error()


def _links_error(links: Any) -> ApiError | None:
    if not isinstance(links, Mapping):
        return bad_request("links-no-object")
    known = (key for key in links if key in NAMESPACES or key.startswith("customField"))
    wrong = next((key for key in known if not isinstance(links[key], Mapping)), None)
    return None if wrong is None else bad_request("link-invalid", key=wrong)


def _links(links: Mapping[str, Mapping[str, Any]], world: World) -> tuple[dict[str, Any], dict[int, str]]:
    values: dict[str, Any] = {}
    for key in NAMESPACES:
        if key in links:
            href = _href(links[key])
            if href != UNDISCLOSED:
                values[f"{key}_id"] = _resource(key, href, world)
    lists = [one for one in world.custom_fields.values() if one.is_link and one.key in links]
    return values, {one.id: _option(one, links[one.key]) for one in lists}


def _href(link: Mapping[str, Any]) -> str | None:
    href = link.get("href")
    return None if href is None else str(href)


def _option(one: CustomField, link: Mapping[str, Any]) -> str:
    href = _href(link)
    namespaces = NAMESPACES["assignee"] if one.kind == "User" else ("custom_options",)
    return "" if href is None else _id_in(one.key, namespaces, href)


def _id_in(key: str, namespaces: tuple[str, ...], href: str) -> str:
    """Return the id at the end of a link; host and sub-path are ignored. Raises ResourceTypeMismatch."""
    match = re.search("/api/v3/([a-z_]+)/([^/?#]+)$", href)
    if match and match[1] in namespaces:
        return match[2]
    texts = {
        "property": key,
        "expected": "' or '".join(f"/api/v3/{namespace}/:id" for namespace in namespaces),
        "actual": href,
    }
    raise ApiError(422, "ResourceTypeMismatch", "resource-type", texts=texts)


def _resource(key: str, href: str | None, world: World) -> int | None:
    """Return the id in a link: NOT_SET or ``None`` if it is cleared, UNKNOWN if the resource does not exist."""
    if href is None:
        return NOT_SET if key in REQUIRED_LINKS else None
    text = _id_in(key, NAMESPACES[key], href)
    if key == "project":
        project = world.project(text)
        return project.id if project else UNKNOWN
    return int(text) if re.fullmatch("[0-9]+", text) else UNKNOWN


# --- create and update -----------------------------------------------------------------------------------------


def new_candidate(world: World, user: Principal, sent: Sent, project_id: int | None) -> WorkPackage:
    """Return the new work package with the instance's defaults. ``project_id`` is the project in the path.

    A type that does not exist is replaced by the project's first type, without an error.
    """
    project = project_id or sent.values.get("project_id", NOT_SET)
    values = {key: value for key, value in sent.values.items() if key not in ("author_id", "project_id")}
    type_id = values.pop("type_id", NOT_SET)
    type_id = type_id if type_id in world.types else world.first_type(project)
    status_id = values.pop("status_id", NOT_SET) or world.default_status().id
    priority_id = values.pop("priority_id", NOT_SET) or world.default_priority().id
    subject = values.pop("subject", "")
    created = WorkPackage(NOT_SET, project, type_id, status_id, priority_id, user.id, subject, custom=dict(sent.custom))
    return replace(created, **values)


def changed_candidate(before: WorkPackage, sent: Sent) -> WorkPackage:
    values = {key: value for key, value in sent.values.items() if key != "author_id"}
    return replace(before, **values, custom={**before.custom, **sent.custom})


def changed_keys(before: WorkPackage, after: WorkPackage, world: World) -> set[str]:
    """Return the API names of the values that differ."""
    names = {
        "subject": "subject", "description": "description", "start_date": "startDate", "due_date": "dueDate",
        **{f"{key}_id": key for key in NAMESPACES if key != "author"},
    }  # fmt: skip
    changed = {key for name, key in names.items() if getattr(before, name) != getattr(after, name)}
    fields = world.custom_fields.values()
    return changed | {one.key for one in fields if before.custom.get(one.id, "") != after.custom.get(one.id, "")}


def check_update_allowed(world: World, user: Principal, before: WorkPackage, sent: Sent | None) -> None:
    """Raise ApiError if the user has no right to update, or if the lock version differs."""
    if not world.rights_in(user, before) & UPDATING:
        raise unauthorized()
    if sent is not None and not _same_version(sent.lock_version, before.lock_version):
        raise conflict()


def _same_version(sent: Any, current: int) -> bool:
    if isinstance(sent, bool) or not isinstance(sent, int | str):
        return False
    return str(sent).strip() == str(current)


def errors_of_create(world: World, sent: Sent, candidate: WorkPackage) -> list[ApiError]:
    errors = [read_only(key) for key in sent.stamps]
    if sent.values.get("author_id") is not None:
        errors.append(read_only("author"))
    required = world.custom_fields_of(candidate.project_id, candidate.type_id)
    start = world.next_statuses(world.default_status().id)
    return [
        *_value_errors(world, candidate, None, {one.id for one in start}),
        *errors,
        *_custom_errors(required, candidate),
    ]


def errors_of_update(
    world: World, user: Principal, sent: Sent, before: WorkPackage, after: WorkPackage, profile: Profile
) -> list[ApiError]:
    """Return all errors of an update. The user's rights are checked only for values that change."""
    changed = changed_keys(before, after, world)
    allowed = changed if Right.EDIT in world.rights_in(user, before) else changed & WRITABLE_BY_STATUS_CHANGE
    if after.project_id in world.projects and Right.ADD not in world.rights(user, after.project_id):
        allowed = allowed - {"project"}
    errors = [read_only(key) for key in sorted(changed - allowed)] + [read_only(key) for key in sent.stamps]
    if sent.values.get("author_id") not in (None, before.author_id):
        errors.append(read_only("author"))
    fields = world.custom_fields_of(after.project_id, after.type_id)
    if not (profile.rechecks_required_fields or sent.validate_custom_fields):
        fields = [one for one in fields if one.id in sent.custom]
    reachable = {one.id for one in world.next_statuses(before.status_id)}
    return [*_value_errors(world, after, before, reachable), *errors, *_custom_errors(fields, after)]


def _value_errors(world: World, one: WorkPackage, before: WorkPackage | None, reachable: set[int]) -> list[ApiError]:
    """Return the errors of the values. Assignee and responsible are checked only if they change."""
    keys = [
        _subject_error(one.subject),
        _type_error(world, one),
        None if one.project_id in world.projects else "blank",
        _status_error(world, one.status_id, reachable),
        _reference_error(one.priority_id, world.priorities),
    ]
    errors = [
        violation(attribute, error)
        for attribute, error in zip(("subject", "type", "project", "status", "priority"), keys, strict=True)
        if error
    ]
    for role in ("assignee", "responsible"):
        person_id = getattr(one, f"{role}_id")
        unchanged = before is not None and person_id == getattr(before, f"{role}_id")
        if (
            person_id is not None
            and not unchanged
            and person_id not in {allowed.id for allowed in world.assignees(one.project_id)}
        ):
            errors.append(violation(role, "not-assignable"))
    if one.parent_id is not None and one.parent_id not in world.work_packages:
        errors.append(violation("parent", "inexistent"))
    return errors


def _subject_error(subject: str) -> str | None:
    if not subject.strip():
        return "blank"
    return "too-long" if len(subject) > SUBJECT_LIMIT else None


def _reference_error(number: int, existing: Mapping[int, Any]) -> str | None:
    return None if number in existing else "blank"


def _type_error(world: World, one: WorkPackage) -> str | None:
    project = world.projects.get(one.project_id)
    error = _reference_error(one.type_id, world.types)
    if error or project is None:
        return error
    return None if one.type_id in project.type_ids else "inclusion"


def _status_error(world: World, number: int, reachable: set[int]) -> str | None:
    error = _reference_error(number, world.statuses)
    return error or (None if number in reachable else "transition")


def _custom_errors(fields: list[CustomField], one: WorkPackage) -> list[ApiError]:
    checked = [(field, _custom_error(field, one.custom.get(field.id) or "")) for field in fields]
    return [violation(field.key, error, label=field.name) for field, error in checked if error]


def _custom_error(field: CustomField, value: str) -> str | None:
    if not value.strip():
        return "blank" if field.required else None
    if field.options and value not in map(str, field.options):
        return "inclusion"
    return None
