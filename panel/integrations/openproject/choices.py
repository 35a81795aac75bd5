"""The choices that OpenProject offers for a field: projects, types, statuses and users."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Choice, Choices
from panel.core.errors import NotFound, Rejected
from panel.core.messages import _
from panel.integrations.openproject.answer import (
    ask,
    is_error,
    is_not_found,
    refuse_missing_permission,
    refuse_unexpected,
    selected_collection,
    statuses_of,
    whole_collection,
)
from panel.integrations.openproject.form import allowed_values, change_form, inside
from panel.integrations.openproject.item import color_of, link, number_of, plain
from panel.integrations.openproject.reference import is_project, target_of

PAGE_SIZE = 100
LONGEST_SEARCH = 200

_SELECT = "total,elements/id,elements/name,elements/identifier"
_NOT_SELECTABLE = "select refused"
_TRY_SELECT_AGAIN_S = 3600.0

HIDDEN_PROJECT = _("OpenProject does not show this project to our account.")
_HIDDEN = _("OpenProject does not show this work package to our account.")


@dataclass(frozen=True, slots=True)
class Offer:
    """One choice and its link."""

    number: str
    name: str
    kind: str
    color: str | None = None
    identifier: str = ""
    """Of a project: its name in addresses."""

    @property
    def href(self) -> str:
        """The link without a sub-path, which OpenProject accepts at any sub-path."""
        return f"/api/v3/{self.kind}/{self.number}"

    @property
    def choice(self) -> Choice:
        return Choice(self.number, self.name, self.color)


@dataclass(frozen=True, slots=True)
class Projects:
    """One page of projects, by name. ``total`` counts those on other pages too."""

    offers: list[Offer]
    total: int

    @property
    def choices(self) -> Choices:
        """The choices. Projects of the same name are shown with their identifiers."""
        names = Counter(offer.name for offer in self.offers)
        shown = (
            replace(offer.choice, label=f"{offer.name} ({offer.identifier})") if names[offer.name] > 1 else offer.choice
            for offer in self.offers
        )
        return Choices(tuple(shown), max(self.total, len(self.offers)))


def projects(upstream: Upstream, search: str = "", *, chosen: str = "") -> Projects:
    """The first page of the projects that match the words and in which the account may create.

    Without words, the project ``chosen`` (number or identifier) is among them. Raises Forbidden when there are none.
    """
    words = plain(search, limit=LONGEST_SEARCH)
    answer = _ask_projects(upstream, words)
    refuse_missing_permission(answer, _("OpenProject does not let our account create work packages in any project."))
    page = selected_collection(answer)
    offers = sorted(_offers(page.elements, "projects"), key=lambda offer: (offer.name.casefold(), offer.identifier))
    is_cut = len(offers) < page.total
    return Projects([*(_missing(upstream, chosen, offers) if is_cut and not words else ()), *offers], page.total)


def _ask_projects(upstream: Upstream, words: str) -> Answer:
    """Not in the published documentation; OpenProject's own create form uses it.

    ``select`` makes the answer ten times faster. A server that refuses it is asked in full from then on.
    """
    filters = [{"typeahead": {"operator": "**", "values": [words]}}] if words else []
    query = {"pageSize": str(PAGE_SIZE)} | ({"filters": json.dumps(filters, separators=(",", ":"))} if words else {})
    path, refused = ("work_packages", "available_projects"), upstream.notes(_NOT_SELECTABLE)
    if refused.ages(["projects"]).get("projects", _TRY_SELECT_AGAIN_S) >= _TRY_SELECT_AGAIN_S:
        answer = ask(upstream, *path, query={**query, "select": _SELECT}, allow=(400, 403))
        if not is_error(answer, 400, "InvalidSignal"):
            return answer
        refused.add(["projects"])
    return ask(upstream, *path, query=query, allow=(403,))


def _missing(upstream: Upstream, chosen: str, offers: Iterable[Offer]) -> list[Offer]:
    """The chosen project, if it is not among the offers and the account sees it."""
    if not is_project(chosen) or any(chosen in (offer.number, offer.identifier) for offer in offers):
        return []
    answer = ask(upstream, "projects", chosen, allow=(403, 404))
    return _offers([answer.object()], "projects") if answer.status < 300 else []


def project_named(upstream: Upstream, name: str) -> Offer | None:
    """The project of exactly this name, in any case. Raises Rejected when there are several, and Forbidden."""
    wanted = plain(name).casefold()
    found = [offer for offer in projects(upstream, name).offers if offer.name.casefold() == wanted]
    if len(found) > 1:
        message = _("Several projects are called “{name}”; give the number or the identifier.", name=plain(name))
        raise Rejected(_("Nothing was created."), {"projectId": message})
    return found[0] if found else None


def types(upstream: Upstream, project: str) -> list[Offer]:
    """https://www.openproject.org/docs/api/endpoints/types/. Raises Forbidden, or NotFound for a hidden project."""
    answer = ask(upstream, "projects", project, "types", allow=(403, 404))
    if is_not_found(answer):
        raise NotFound(HIDDEN_PROJECT)
    refuse_missing_permission(answer, _("OpenProject does not show our account the types of this project."))
    return _offers(whole_collection(answer), "types")


def all_statuses(upstream: Upstream) -> list[Offer]:
    """All statuses of the instance; empty when the account may not read them."""
    known = statuses_of(upstream).items()
    return [Offer(number, status.name, "statuses", status.color) for number, status in known]


def next_statuses(upstream: Upstream, reference: str) -> list[Offer]:
    """The statuses that the workflow allows next; all statuses when the form does not list them, or is not to be had.

    OpenProject may limit the rate of forms alone, so a refused form says nothing about other calls.
    """
    form = change_form(upstream, reference, lock_version_of(upstream, reference))
    offered = allowed_values(inside(form.schema, "status")) if form is not None else []
    return _offers(offered, "statuses") or all_statuses(upstream)


def assignees(upstream: Upstream, reference: str) -> list[Offer]:
    """The possible assignees of a work package. Raises Forbidden and NotFound.

    https://www.openproject.org/docs/api/endpoints/work-packages/
    """
    answer = ask(upstream, "work_packages", reference, "available_assignees", allow=(403, 404))
    if is_not_found(answer):
        raise NotFound(_HIDDEN)
    refuse_missing_permission(answer, _("OpenProject does not let our account see who can be assigned."))
    return _offers(whole_collection(answer), "users")


_SEVERAL = {
    "type": _("Several types are called “{name}”; give the number."),
    "status": _("Several statuses are called “{name}”; give the number."),
    "assignee": _("Several people are called “{name}”; give the number."),
}


def named(offers: Iterable[Offer], requested: str, field: str) -> Offer | None:
    """The offer with this number, else the one with this name, in any case. Raises Rejected for an ambiguous name."""
    offers = list(offers)
    by_number = [offer for offer in offers if offer.number == requested]
    by_name = [offer for offer in offers if offer.name.casefold() == plain(requested).casefold()]
    found = by_number or by_name
    if len(found) > 1:
        raise Rejected(_("Nothing was saved."), {field: _SEVERAL[field].filled(name=plain(requested))})
    return found[0] if found else None


def read_work_package(upstream: Upstream, reference: str) -> dict[str, Any]:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#view-work-package. Raises NotFound."""
    answer = ask(upstream, "work_packages", reference, allow=(404,))
    if is_not_found(answer):
        raise NotFound(_HIDDEN)
    refuse_unexpected(answer)
    body = answer.object()
    if body.get("_type") != "WorkPackage" or number_of(body) is None:
        raise unexpected(_("{where} did not answer with a work package.", where=answer.where))
    return body


def lock_version_of(upstream: Upstream, reference: str) -> int:
    version = read_work_package(upstream, reference).get("lockVersion")
    if not isinstance(version, int):
        raise unexpected(_("A work package came without its lockVersion."))
    return version


def _offers(elements: Sequence[Any], kind: str) -> list[Offer]:
    offers = (_offer(element, kind) for element in elements if isinstance(element, Mapping))
    return [offer for offer in offers if offer is not None]


def _offer(element: Mapping[str, Any], kind: str) -> Offer | None:
    own = link(element, "self")
    target = target_of(own.get("href")) or (kind, str(element.get("id", "")))
    name = plain(element.get("name")) or plain(own.get("title")) or f"#{target[1]}"
    identifier = plain(element.get("identifier"))
    return Offer(target[1], name, target[0], color_of(element), identifier) if target[1].isdigit() else None
