"""Projects of the OpenProject stand-in: lists with filters and ``select``, types and assignees of a project."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from panel.sandbox.openproject_call import ApiCall, Reply, Route
from panel.sandbox.openproject_errors import ApiError, invalid_query, one_or_many
from panel.sandbox.openproject_profiles import Profile
from panel.sandbox.openproject_query import Filter, parse_filters, parse_sorts
from panel.sandbox.openproject_select import PROJECT as PROJECT_SELECTS
from panel.sandbox.openproject_select import Select
from panel.sandbox.openproject_state import Project, Right

TEXT_FILTERS = ("typeahead", "name_and_identifier")
FILTERS = (*TEXT_FILTERS, "type", "active", "user_action", "storage")
SORTS: dict[str, Callable[[Project], Any]] = {
    "id": lambda one: one.id,
    "name": lambda one: one.name.casefold(),
    "typeahead": lambda one: one.name.casefold(),
    "created_at": lambda one: one.id,
}


def projects(call: ApiCall) -> Reply:
    return _listed(call, "/projects", list(call.world.projects.values()))


def available_projects(call: ApiCall) -> Reply:
    """List the projects in which the user may create; 403 if there are none."""
    call.require_anywhere(Right.ADD)
    world, user = call.world, call.hal.user
    creatable = [one for one in world.projects.values() if Right.ADD in world.rights(user, one.id)]
    return _listed(call, "/work_packages/available_projects", creatable)


def _listed(call: ApiCall, path: str, candidates: list[Project]) -> Reply:
    params, hal = call.params, call.hal
    select = Select.parse(params["select"], PROJECT_SELECTS) if params.get("select") else None
    rows = [one for one in _found(call, candidates) if call.world.sees_project(hal.user, one)]
    page = call.page(clamp=select is None)
    shown = [hal.project(one) for one in page.cut(_in_order(rows, params.get("sortBy", "[]")))]
    document = hal.paginated(path, shown, total=len(rows), page=page, params=params)
    return Reply(select.reduced(document)) if select else Reply(document, projects=len(shown))


def _found(call: ApiCall, candidates: list[Project]) -> list[Project]:
    filters = parse_filters(call.params.get("filters", "[]"))
    errors = [error for error in (_error_of(one, call.instance.profile) for one in filters) if error]
    if errors:
        raise one_or_many(errors)
    return [project for project in candidates if all(_matches(project, one) for one in filters)]


def _error_of(one: Filter, profile: Profile) -> ApiError | None:
    label = one.label(profile)
    if one.name not in FILTERS:
        return invalid_query("unknown-filter", attribute=label)
    if one.name in TEXT_FILTERS and one.operator != "**":
        return invalid_query("filter-operator", attribute=label)
    if one.name in TEXT_FILTERS and not " ".join(one.values).strip():
        return invalid_query("blank", attribute=label)
    return None


def _matches(project: Project, one: Filter) -> bool:
    text = " ".join(one.values)
    if one.name in TEXT_FILTERS:
        words = text.casefold().split()
        return all(word in project.name.casefold() or word in project.identifier for word in words)
    return one.name != "type" or text in map(str, project.type_ids)


def _in_order(rows: list[Project], sort_by: str) -> list[Project]:
    """Sort projects; the default is the newest first."""
    ordered = sorted(rows, key=lambda one: -one.id)
    for column, descending in reversed(parse_sorts(sort_by)):
        if column not in SORTS:
            raise invalid_query("sort-column", attribute=column)
        ordered = sorted(ordered, key=SORTS[column], reverse=descending)
    return ordered


def project(call: ApiCall, text: str) -> Reply:
    return Reply(call.hal.project(call.visible_project(text)))


def types(call: ApiCall, text: str) -> Reply:
    owner = call.visible_project(text)
    call.require(owner, Right.VIEW)
    found = [call.hal.type(one) for one in call.world.types_of(owner.id)]
    return Reply(call.hal.collection(call.hal.below_project(owner.id, "types"), found))


def assignees(call: ApiCall, text: str) -> Reply:
    owner = call.visible_project(text)
    call.require(owner, Right.ADD, Right.EDIT)
    people = [call.hal.principal(person) for person in call.world.assignees(owner.id)]
    return Reply(call.hal.collection(call.hal.below_project(owner.id, "available_assignees"), people))


def principals(call: ApiCall) -> Reply:
    """The people of a project, filtered by name."""
    given = json.loads(call.params.get("filters", "[]"))
    filters = {name: rule["values"] for one in given for name, rule in one.items()}
    words = filters.get("name", [""])[0].casefold()
    people = call.world.assignees(int(filters["member"][0])) if "member" in filters else []
    found = [call.hal.principal(person) for person in people if words in person.name.casefold()]
    return Reply(call.hal.collection("/principals", found))


PROJECT = "/(?:projects|workspaces)/([^/]+)"

ROUTES: tuple[Route, ...] = (
    ("GET", "/(?:projects|workspaces)", projects),
    ("GET", PROJECT, project),
    ("GET", f"{PROJECT}/types", types),
    ("GET", f"{PROJECT}/available_assignees", assignees),
    ("GET", "/work_packages/available_projects", available_projects),
    ("GET", "/principals", principals),
)
