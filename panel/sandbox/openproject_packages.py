"""Single work packages of the OpenProject stand-in: read, create, update, delete, and their forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from werkzeug.wrappers import Request, Response

from panel.sandbox import openproject_write as write
from panel.sandbox.openproject_call import ApiCall, Reply, Route
from panel.sandbox.openproject_errors import ApiError, no_work_package, not_found, one_or_many, unauthorized
from panel.sandbox.openproject_forms import form, schema
from panel.sandbox.openproject_pages import find
from panel.sandbox.openproject_projects import PROJECT
from panel.sandbox.openproject_responses import HAL_JSON, json_response
from panel.sandbox.openproject_state import Project, Right, WorkPackage

CREATED_VALUES = (
    "type_id", "status_id", "priority_id", "author_id", "description", "assignee_id", "responsible_id", "parent_id",
    "start_date", "due_date", "custom",
)  # fmt: skip


def _visible(call: ApiCall, text: str) -> WorkPackage:
    """Return a visible work package. Deleted, invisible and malformed ids raise an ApiError with the same status."""
    profile = call.instance.profile
    if not text.isdecimal() and not profile.words_reach_work_packages:
        raise not_found()
    work_package = find(call.world, call.hal.user, text) if profile.display_ids or text.isdecimal() else None
    if work_package is None:
        raise no_work_package()
    return work_package


def show(call: ApiCall, text: str) -> Reply:
    return Reply(call.hal.work_package(_visible(call, text), embed=True))


def schema_of_type(call: ApiCall, project: str, type_id: str) -> Reply:
    owner = call.visible_project(project)
    if int(type_id) not in owner.type_ids:
        raise not_found()
    return Reply(schema(call.hal, owner.id, int(type_id)))


def assignees(call: ApiCall, text: str) -> Reply:
    one = _visible(call, text)
    if Right.EDIT not in call.world.rights_in(call.hal.user, one):
        raise unauthorized()
    people = [call.hal.principal(person) for person in call.world.assignees(one.project_id)]
    return Reply(call.hal.collection(f"/work_packages/{one.id}/available_assignees", people))


# --- create ----------------------------------------------------------------------------------------------------


def create(call: ApiCall) -> Reply | Response:
    return _created(call, None)


def create_in_project(call: ApiCall, text: str) -> Reply | Response:
    return _created(call, call.visible_project(text))


def _created(call: ApiCall, project: Project | None) -> Reply | Response:
    candidate, errors = _validate_create(call, project)
    if errors:
        raise one_or_many(errors)
    values = {name: getattr(candidate, name) for name in CREATED_VALUES}
    created = call.world.add_work_package(candidate.subject, candidate.project_id, **values)
    reply = Reply(call.hal.work_package(created, embed=True), 201)
    return _interrupted_response(call, reply) or reply


def _validate_create(call: ApiCall, project: Project | None) -> tuple[WorkPackage, list[ApiError]]:
    world, user = call.world, call.hal.user
    sent = write.read(call.body or {}, world, call.instance.profile)
    candidate = write.new_candidate(world, user, sent, project.id if project else None)
    target = world.projects.get(candidate.project_id)
    if target:
        call.require(target, Right.ADD)
    else:
        call.require_anywhere(Right.ADD)
    return candidate, write.errors_of_create(world, sent, candidate)


def _interrupted_response(call: ApiCall, reply: Reply) -> Response | None:
    """Return the dropped or truncated response that a switch demands, or ``None``."""
    if call.instance.fail_create_after_commit:
        return Response(_NoResponse(call.request), reply.status, content_type=HAL_JSON)
    if call.instance.cut_create_answer:
        complete = json_response(reply.document, reply.status).get_data()
        half = [complete[: len(complete) // 2]]
        return Response(half, reply.status, {"Content-Length": str(len(complete))}, content_type=HAL_JSON)
    return None


class _NoResponse(Iterator[bytes]):
    """A response body that shuts the connection before the first byte."""

    def __init__(self, request: Request) -> None:
        self._connection = request.environ.get("werkzeug.socket")

    def __next__(self) -> bytes:
        if self._connection is not None:
            self._connection.shutdown(2)
        raise ConnectionResetError("dropped on purpose")


# --- update and delete -----------------------------------------------------------------------------------------


def update(call: ApiCall, text: str) -> Reply:
    _visible(call, text)
    call.instance.before_write()
    before = _visible(call, text)
    after, errors = _validate_update(call, before)
    if errors:
        raise one_or_many(errors)
    if write.changed_keys(before, after, call.world):
        updated = replace(after, lock_version=before.lock_version + 1, updated_at=call.world.stamp())
        call.world.work_packages[before.id] = updated
    return show(call, str(before.id))


def _validate_update(call: ApiCall, before: WorkPackage) -> tuple[WorkPackage, list[ApiError]]:
    world, user, profile = call.world, call.hal.user, call.instance.profile
    sent = write.read(call.body or {}, world, profile)
    write.check_update_allowed(world, user, before, None if call.body is None else sent)
    after = write.changed_candidate(before, sent)
    return after, write.errors_of_update(world, user, sent, before, after, profile)


def delete(call: ApiCall, text: str) -> Reply:
    one = _visible(call, text)
    if Right.DELETE not in call.world.rights_in(call.hal.user, one):
        raise unauthorized()
    del call.world.work_packages[one.id]
    return Reply(None, 204)


# --- forms -----------------------------------------------------------------------------------------------------


def create_form(call: ApiCall) -> Reply:
    return _new_form(call, None)


def create_form_in_project(call: ApiCall, text: str) -> Reply:
    return _new_form(call, call.visible_project(text))


def _new_form(call: ApiCall, project: Project | None) -> Reply:
    candidate, errors = _validate_create(call, project)
    statuses = call.world.next_statuses(call.world.default_status().id)
    return Reply(form(call.hal, "/work_packages/form", candidate, statuses, errors, new=True))


def update_form(call: ApiCall, text: str) -> Reply:
    before = _visible(call, text)
    after, errors = _validate_update(call, before)
    statuses = call.world.next_statuses(before.status_id)
    return Reply(form(call.hal, f"/work_packages/{before.id}/form", after, statuses, errors, new=False))


WORK_PACKAGE = "/work_packages/([^/]+)"

ROUTES: tuple[Route, ...] = (
    ("POST", f"{PROJECT}/work_packages", create_in_project),
    ("POST", f"{PROJECT}/work_packages/form", create_form_in_project),
    ("POST", "/work_packages", create),
    ("POST", "/work_packages/form", create_form),
    ("GET", "/work_packages/schemas/([0-9]+)-([0-9]+)", schema_of_type),
    ("GET", WORK_PACKAGE, show),
    ("PATCH", WORK_PACKAGE, update),
    ("DELETE", WORK_PACKAGE, delete),
    ("POST", f"{WORK_PACKAGE}/form", update_form),
    ("GET", f"{WORK_PACKAGE}/available_assignees", assignees),
)
