"""Creates and changes work packages. No write is repeated, and a change requires the current lock version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.errors import (
    ChangedUpstream,
    Forbidden,
    InvalidInput,
    NotFound,
    ProviderUnavailable,
    Rejected,
)
from panel.core.messages import _, any_of
from panel.integrations.contract import creating
from panel.integrations.openproject import choices, fields, form
from panel.integrations.openproject.answer import (
    HAL,
    is_error,
    is_not_found,
    refuse_missing_permission,
    refuse_rejected,
    refuse_unexpected,
)
from panel.integrations.openproject.item import link, number_of, plain
from panel.integrations.openproject.reference import API, is_number, is_project, target_of

CHANGEABLE = ("subject", "status", "assignee")
FIELDS = "fields"
"""The key of the custom fields of a change."""

_NOT_CREATED = _("OpenProject did not accept this. Nothing was created.")
_NOT_CHANGED = _("OpenProject did not accept this. Nothing was changed.")
_REFUSALS = (400, 403, 404, 406, 409, 415, 422)


def create(upstream: Upstream, values: Mapping[str, Any]) -> dict[str, Any]:
    """Create a work package and return its JSON. Raises as ``Integration.create`` says.

    The project is a number, an identifier or, if no project has that identifier, an exact name.
    """
    project, body = _project(values), _new_work_package(values)
    created = _create_in(upstream, project, values, body) if is_project(project) else None
    if created is None and not is_number(project):
        named = choices.project_named(upstream, project)
        created = _create_in(upstream, named.number, values, body) if named is not None else None
    if created is None:
        raise Rejected(_NOT_CREATED, {"projectId": choices.HIDDEN_PROJECT})
    return created


def _create_in(
    upstream: Upstream, project: str, values: Mapping[str, Any], body: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Create a work package in this project; None when OpenProject shows no such project to the account."""
    kind = _text(values, "type")
    try:
        links = {**body["_links"], **({"type": {"href": _type_href(upstream, project, kind)}} if kind else {})}
    except NotFound:
        return None
    body = {**body, "_links": links}
    custom = fields.custom_values(values)
    if custom:
        type_href = links.get("type", {}).get("href")
        fields.add_to(
            body, custom, form.create_form(upstream, project, type_href) if fields.need_form(custom) else None
        )
    with creating(upstream):
        answer = _post(upstream, project, body)
        if is_not_found(answer):
            return None
        refuse_missing_permission(
            answer, _("OpenProject does not let our account create work packages in this project.")
        )
        refuse_rejected(answer, _NOT_CREATED)
        refuse_unexpected(answer)
        return _created(answer)


def differences(values: Mapping[str, Any], created: Mapping[str, Any]) -> tuple[str, ...]:
    """How a created work package differs from what was asked for.

    A type that was deleted meanwhile is no error: OpenProject then takes the project's first type.
    """
    asked, answered = _text(values, "type"), link(created, "type")
    target, name = target_of(answered.get("href")), plain(answered.get("title"))
    if not asked or target is None or asked == target[1] or plain(asked).casefold() == name.casefold():
        return ()
    return (
        _(
            "OpenProject created it with the type “{type}” instead of “{asked}”.",
            type=name or target[1],
            asked=plain(asked),
        ),
    )


def update(upstream: Upstream, reference: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change a work package and return its JSON. Raises as ``Integration.update`` says."""
    custom = fields.custom_values({FIELDS: changes.get(FIELDS)})
    if not custom and not any(name in changes for name in CHANGEABLE):
        raise InvalidInput(
            "changes", _("Nothing to change: give {names}.", names=any_of((", ".join(CHANGEABLE[:-1]), CHANGEABLE[-1])))
        )
    body: dict[str, Any] = {"subject": _subject(changes)} if "subject" in changes else {}
    version = _lock_version(changes)
    links = _changed_links(upstream, reference, changes)
    body |= {"_links": links} if links else {}
    version = choices.lock_version_of(upstream, reference) if version is None else version
    body["lockVersion"] = version
    if custom:
        change_form = form.change_form(upstream, reference, version) if fields.need_form(custom) else None
        fields.add_to(body, custom, change_form)
    return _patch(upstream, reference, body)


def _post(upstream: Upstream, project: str, body: Mapping[str, Any]) -> Answer:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#create-work-package-in-project"""
    path = (*API, "projects", project, "work_packages")
    return upstream.send(
        "POST", *path, body=json.dumps(body).encode(), content_type="application/json", accept=HAL, allow=_REFUSALS
    )


def _created(answer: Answer) -> dict[str, Any]:
    """The new work package. Servers answer 201; the documentation says 200."""
    body = answer.object()
    if number_of(body) is None:
        raise unexpected(
            _("{where} answered {status} without a work package.", where=answer.where, status=answer.status)
        )
    return body


def _patch(upstream: Upstream, reference: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#update-a-work-package"""
    path = (*API, "work_packages", reference)
    answer = upstream.send(
        "PATCH", *path, body=json.dumps(body).encode(), content_type="application/json", accept=HAL, allow=_REFUSALS
    )
    if is_error(answer, 409, "UpdateConflict"):
        raise ChangedUpstream(_("Someone changed this first. Nothing of yours was saved."))
    if is_not_found(answer):
        raise NotFound(_("OpenProject does not show this work package to our account."))
    refuse_missing_permission(answer, _("OpenProject does not let our account change this work package."))
    refuse_rejected(answer, _NOT_CHANGED)
    refuse_unexpected(answer)
    return _changed(answer, reference)


def _changed(answer: Answer, reference: str) -> dict[str, Any]:
    """The work package after an accepted change."""
    try:
        body = answer.object()
        if number_of(body) != reference:
            raise unexpected(
                _("{where} did not answer with work package {reference}.", where=answer.where, reference=reference)
            )
    except ProviderUnavailable as exc:
        exc.in_doubt = True
        raise
    return body


def _new_work_package(values: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"subject": _subject(values), "_links": {}}
    description = _text(values, "description")
    if description:
        body["description"] = {"raw": description}
    return body


def _type_href(upstream: Upstream, project: str, requested: str) -> str:
    """The link of a type given by number or name. Raises NotFound for a hidden project, and Rejected."""
    try:
        offers = choices.types(upstream, project)
    except Forbidden:
        if is_number(requested):
            return f"/api/v3/types/{requested}"
        raise
    offer = choices.named(offers, requested, "type")
    if offer is None:
        raise Rejected(_NOT_CREATED, {"type": _("This project has no type “{name}”.", name=plain(requested))})
    return offer.href


def _changed_links(upstream: Upstream, reference: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    links: dict[str, Any] = {}
    if "status" in changes:
        links["status"] = {"href": _status_href(upstream, reference, _text(changes, "status"))}
    if "assignee" in changes:
        links["assignee"] = {"href": _assignee_href(upstream, reference, _text(changes, "assignee"))}
    return links


def _status_href(upstream: Upstream, reference: str, requested: str) -> str:
    """The link of a status given by number or name. OpenProject decides whether the workflow allows it."""
    if not requested:
        raise InvalidInput("status", _("The status is empty."))
    if is_number(requested):
        return f"/api/v3/statuses/{requested}"
    offer = choices.named(choices.all_statuses(upstream), requested, "status")
    # An unknown name may be newer than the cached statuses, or the account may read statuses only in the form.
    offer = offer or choices.named(choices.next_statuses(upstream, reference), requested, "status")
    if offer is None:
        raise Rejected(_NOT_CHANGED, {"status": _("No status “{name}” can be set here.", name=plain(requested))})
    return offer.href


def _assignee_href(upstream: Upstream, reference: str, requested: str) -> str | None:
    if not requested:
        return None
    try:
        offer = choices.named(choices.assignees(upstream, reference), requested, "assignee")
    except Forbidden:
        offer = None
    if offer is not None:
        return offer.href
    if is_number(requested):
        return f"/api/v3/users/{requested}"
    raise Rejected(
        _NOT_CHANGED, {"assignee": _("No user called “{name}” can be assigned here.", name=plain(requested))}
    )


def _project(values: Mapping[str, Any]) -> str:
    name = "projectId" if values.get("projectId") not in (None, "") else "project"
    project = _text(values, name)
    if not project:
        raise InvalidInput("projectId", _("The project is missing."))
    if not is_project(project) and project.startswith((".", "/")):
        message = _("“{text}” is no project: give its number, its identifier or its name.", text=plain(project))
        raise InvalidInput("projectId", message)
    return project


def _subject(values: Mapping[str, Any]) -> str:
    subject = plain(_text(values, "subject"), limit=10_000)
    if not subject:
        raise InvalidInput("subject", _("The subject is empty."))
    return subject


def _text(values: Mapping[str, Any], name: str) -> str:
    """A value as text. An integer becomes its digits. Raises InvalidInput for other types."""
    value = values.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput(name, _("“{name}” must be text.", name=name))
    return str(value).encode("utf-8", "replace").decode().replace("\x00", "").strip()


def _lock_version(changes: Mapping[str, Any]) -> int | None:
    value = changes.get("lockVersion")
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,18}", str(value)):
        raise InvalidInput(
            "lockVersion", _("“{name}” must be the number that came with the work package.", name="lockVersion")
        )
    return int(str(value))
