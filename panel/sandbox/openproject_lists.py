"""Lists of work packages of the OpenProject stand-in, in all projects or in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from panel.sandbox.openproject_call import ApiCall, Reply, Route
from panel.sandbox.openproject_forms import schema
from panel.sandbox.openproject_json import Document, Hal
from panel.sandbox.openproject_projects import PROJECT
from panel.sandbox.openproject_query import Page, Scope, found
from panel.sandbox.openproject_select import Select, work_package_selects
from panel.sandbox.openproject_state import Project, Right, WorkPackage


def everywhere(call: ApiCall) -> Reply:
    call.require_anywhere(Right.VIEW)
    return _listed(call, "/work_packages", None)


def in_project(call: ApiCall, text: str) -> Reply:
    project = call.visible_project(text)
    call.require(project, Right.VIEW)
    return _listed(call, call.hal.below_project(project.id, "work_packages"), project)


def _listed(call: ApiCall, path: str, project: Project | None) -> Reply:
    params, hal = call.params, call.hal
    select = Select.parse(params["select"], work_package_selects(hal.profile)) if params.get("select") else None
    rows = found(params, Scope(call.world, hal.user, hal.profile, project.id if project else None))
    page = call.page(clamp=select is None)
    shown = page.cut(rows)
    if select:
        elements = [_selectable(hal, row) for row in shown]
        document = hal.paginated(path, elements, total=len(rows), page=page, params=params)
        return Reply(select.reduced(document), selected=len(shown))
    document = _collection(hal, path, shown, len(rows), page, params)
    document["_links"] |= _action_links(hal, project)
    return Reply(document, work_packages=len(shown))


def _selectable(hal: Hal, row: WorkPackage) -> Document:
    """A work package to select from. Its project link is always below ``/projects``."""
    document = hal.work_package(row)
    document["_links"]["project"] = hal.resource_link("projects", hal.world.projects[row.project_id])
    return document


def _collection(
    hal: Hal, path: str, rows: Sequence[WorkPackage], total: int, page: Page, params: Mapping[str, str]
) -> Document:
    elements = [hal.work_package(row) for row in rows]
    document = hal.paginated(path, elements, total=total, page=page, params=params)
    pairs = sorted({(row.project_id, row.type_id) for row in rows})
    if pairs:
        schemas = [schema(hal, project_id, type_id) for project_id, type_id in pairs]
        document["_links"]["schemas"] = hal.link("/work_packages/schemas")
        document["_embedded"]["schemas"] = hal.collection("/work_packages/schemas", schemas)
    document["_links"]["representations"] = []
    return {**document, "_type": "WorkPackageCollection"}


def _action_links(hal: Hal, project: Project | None) -> Document:
    links: Document = {}
    if _has_right(hal, Right.ADD, project):
        links["createWorkPackage"] = hal.link("/work_packages/form", method="post")
        links["createWorkPackageImmediate"] = hal.link("/work_packages", method="post")
    if _has_right(hal, Right.EDIT, project):
        links["editWorkPackage"] = hal.link("/work_packages/{work_package_id}/form", method="post", templated=True)
    return links


def _has_right(hal: Hal, right: Right, project: Project | None) -> bool:
    if project is None:
        return hal.world.may_anywhere(hal.user, right)
    return right in hal.world.rights(hal.user, project.id)


ROUTES: tuple[Route, ...] = (
    ("GET", "/work_packages", everywhere),
    ("GET", f"{PROJECT}/work_packages", in_project),
)
