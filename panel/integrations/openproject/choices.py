"""The choices that OpenProject offers for a field: projects, types, statuses and users."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from panel.connector import Answer, Upstream, unexpected
from panel.core.domain import Choice
from panel.core.errors import NotFound, Rejected
from panel.integrations.openproject.answer import (
    HAL,
    ask,
    collection,
    error_of,
    is_not_found,
    refuse_missing_permission,
    refuse_unexpected,
    statuses_of,
    whole_collection,
)
from panel.integrations.openproject.item import color_of, link, number_of, plain
from panel.integrations.openproject.reference import API, target_of

PAGE_SIZE = 100
MAX_PAGES = 10

HIDDEN_PROJECT = "OpenProject does not show this project to our account."
_HIDDEN = "OpenProject does not show this work package to our account."


@dataclass(frozen=True, slots=True)
class Offer:
    """One choice and its link."""

    number: str
    name: str
    kind: str
    color: str | None = None

    @property
    def href(self) -> str:
        """The link without a sub-path, which OpenProject accepts at any sub-path."""
        return f"/api/v3/{self.kind}/{self.number}"

    @property
    def choice(self) -> Choice:
        return Choice(self.number, self.name, self.color)


def projects(upstream: Upstream) -> list[Offer]:
    """The projects in which the account may create, by name. Raises Forbidden when there are none."""
    elements: list[Any] = []
    for offset in range(1, MAX_PAGES + 1):
        query = {"pageSize": str(PAGE_SIZE), "offset": str(offset)}
        # Not in the published documentation; OpenProject's own create form uses it.
        answer = ask(upstream, "work_packages", "available_projects", query=query, allow=(403,))
        refuse_missing_permission(answer, "OpenProject does not let our account create work packages in any project.")
        page = collection(answer)
        elements += page.elements
        if len(elements) >= page.total:
            break
        if not page.elements:
            raise unexpected(f"{answer.where} ended after {len(elements)} of {page.total} projects.")
    return sorted(_offers(elements, "projects"), key=lambda offer: offer.name.casefold())


def types(upstream: Upstream, project: str) -> list[Offer]:
    """https://www.openproject.org/docs/api/endpoints/types/. Raises Forbidden, or NotFound for a hidden project."""
    answer = ask(upstream, "projects", project, "types", allow=(403, 404))
    if is_not_found(answer):
        raise NotFound(HIDDEN_PROJECT)
    refuse_missing_permission(answer, "OpenProject does not show our account the types of this project.")
    return _offers(whole_collection(answer), "types")


def all_statuses(upstream: Upstream) -> list[Offer]:
    """All statuses of the instance; empty when the account may not read them."""
    known = statuses_of(upstream).items()
    return [Offer(number, status.name, "statuses", status.color) for number, status in known]


def next_statuses(upstream: Upstream, reference: str) -> list[Offer]:
    """The statuses that the workflow allows next; all statuses when the form does not list them."""
    body = json.dumps({"lockVersion": lock_version_of(upstream, reference)}).encode()
    path = ("work_packages", reference, "form")
    # https://www.openproject.org/docs/api/endpoints/work-packages/#work-package-edit-form
    allowed = (400, 403, 404, 409, 422)
    answer = upstream.send(
        "POST", *API, *path, body=body, content_type="application/json", accept=HAL, allow=allowed, reads=True
    )
    return _offered_in_form(answer) or all_statuses(upstream)


def assignees(upstream: Upstream, reference: str) -> list[Offer]:
    """The possible assignees of a work package. Raises Forbidden and NotFound.

    https://www.openproject.org/docs/api/endpoints/work-packages/
    """
    answer = ask(upstream, "work_packages", reference, "available_assignees", allow=(403, 404))
    if is_not_found(answer):
        raise NotFound(_HIDDEN)
    refuse_missing_permission(answer, "OpenProject does not let our account see who can be assigned.")
    return _offers(whole_collection(answer), "users")


def named(offers: Iterable[Offer], requested: str, field: str, what: str) -> Offer | None:
    """The offer with this number, else the one with this name, in any case. Raises Rejected for an ambiguous name."""
    offers = list(offers)
    by_number = [offer for offer in offers if offer.number == requested]
    by_name = [offer for offer in offers if offer.name.casefold() == plain(requested).casefold()]
    found = by_number or by_name
    if len(found) > 1:
        message = f"Several {what} are called “{plain(requested)}”; give the number."
        raise Rejected("Nothing was saved.", {field: message})
    return found[0] if found else None


def read_work_package(upstream: Upstream, reference: str) -> dict[str, Any]:
    """https://www.openproject.org/docs/api/endpoints/work-packages/#view-work-package. Raises NotFound."""
    answer = ask(upstream, "work_packages", reference, allow=(404,))
    if is_not_found(answer):
        raise NotFound(_HIDDEN)
    refuse_unexpected(answer)
    body = answer.object()
    if body.get("_type") != "WorkPackage" or number_of(body) is None:
        raise unexpected(f"{answer.where} did not answer with a work package.")
    return body


def lock_version_of(upstream: Upstream, reference: str) -> int:
    version = read_work_package(upstream, reference).get("lockVersion")
    if not isinstance(version, int):
        raise unexpected("A work package came without its lockVersion.")
    return version


def _offered_in_form(answer: Answer) -> list[Offer]:
    """The allowed values of the status. A form embeds them or links to them."""
    if answer.status >= 300 and error_of(answer):
        return []
    refuse_unexpected(answer)
    field = _inside(answer.object(), "_embedded", "schema", "status")
    whole, linked = _inside(field, "_embedded").get("allowedValues"), _inside(field, "_links").get("allowedValues")
    if isinstance(whole, list):
        return _offers(whole, "statuses")
    return _offers([{"_links": {"self": entry}} for entry in linked], "statuses") if isinstance(linked, list) else []


def _offers(elements: Sequence[Any], kind: str) -> list[Offer]:
    offers = (_offer(element, kind) for element in elements if isinstance(element, Mapping))
    return [offer for offer in offers if offer is not None]


def _offer(element: Mapping[str, Any], kind: str) -> Offer | None:
    own = link(element, "self")
    target = target_of(own.get("href")) or (kind, str(element.get("id", "")))
    name = plain(element.get("name")) or plain(own.get("title")) or f"#{target[1]}"
    return Offer(target[1], name, target[0], color_of(element)) if target[1].isdigit() else None


def _inside(value: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
