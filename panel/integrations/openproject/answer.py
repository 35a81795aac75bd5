"""Reads answers of OpenProject: error objects, collections and statuses.

Errors are recognised by HTTP status and ``errorIdentifier`` only, because messages are in the account's language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from panel.connector import Answer, Renew, Upstream, unexpected
from panel.core.errors import Forbidden, ProviderUnavailable, Rejected
from panel.core.messages import _, sentences
from panel.core.reasons import Reason
from panel.integrations.openproject.item import Status, Statuses, plain, status_of
from panel.integrations.openproject.reference import API

HAL = "application/hal+json"
STATUSES_LIVE_S = 60

_ERRORS = "urn:openproject-org:api:v3:errors:"
_OUR_NAMES = {"project": "projectId"}


def ask(
    upstream: Upstream,
    *path: str,
    query: Mapping[str, str] | None = None,
    allow: tuple[int, ...] = (),
    renew: Renew | None = None,
) -> Answer:
    """GET below ``/api/v3``: https://www.openproject.org/docs/api/introduction/."""
    return upstream.get(*API, *path, query=tuple((query or {}).items()), accept=HAL, allow=allow, renew=renew)


def error_of(answer: Answer) -> str:
    """The last part of the ``errorIdentifier``; "" when the answer is no error object of OpenProject."""
    if not answer.is_json:
        return ""
    try:
        body = answer.json()
    except ProviderUnavailable:
        return ""
    identifier = body.get("errorIdentifier") if isinstance(body, dict) else None
    return identifier.removeprefix(_ERRORS) if isinstance(identifier, str) else ""


def is_error(answer: Answer, status: int, *identifiers: str) -> bool:
    return answer.status == status and error_of(answer) in identifiers


def is_not_found(answer: Answer) -> bool:
    """Whether OpenProject itself answered 404. A bare 404 of a proxy does not count."""
    return is_error(answer, 404, "NotFound")


def refuse_unexpected(answer: Answer) -> None:
    """Raise for an answer outside 2xx. The caller handles the errors that it knows before."""
    if answer.status == 403:
        raise ProviderUnavailable.because(
            Reason.FORBIDDEN, _("{where} answered {status}.", where=answer.where, status=403)
        )
    if answer.status >= 300:
        detail = error_of(answer) or answer.media_type or _("no content type")
        raise unexpected(
            _("{where} answered {status} with {detail}.", where=answer.where, status=answer.status, detail=detail)
        )


def refuse_missing_permission(answer: Answer, message: str) -> None:
    if is_error(answer, 403, "MissingPermission"):
        raise Forbidden(message)


def refuse_rejected(answer: Answer, message: str) -> None:
    """Raise Rejected with OpenProject's own sentence for each field when validation failed."""
    if answer.status != 422 or not error_of(answer):
        return
    errors = list(_errors_in(answer.object()))
    fields: dict[str, str] = {}
    for name, sentence in errors:
        if name:
            fields[name] = f"{fields[name]} {sentence}" if name in fields else sentence
    general = " ".join(sentence for name, sentence in errors if not name)
    raise Rejected(sentences(message, general), fields)


@dataclass(frozen=True, slots=True)
class Collection:
    """One page of a collection whose counts are consistent."""

    elements: list[Any]
    total: int
    where: str


def collection(answer: Answer, kind: str = "Collection") -> Collection:
    """Read a page. Raises unexpected-response when it has fewer elements than it claims."""
    refuse_unexpected(answer)
    body = answer.object()
    if not str(body.get("_type")).endswith(kind):
        raise unexpected(_("{where} did not answer with a {kind}.", where=answer.where, kind=kind))
    return _page(answer, body, kind)


def selected_collection(answer: Answer) -> Collection:
    """Read a page of which only ``total`` and some properties of the elements were selected."""
    refuse_unexpected(answer)
    return _page(answer, answer.object(), "Collection")


def _page(answer: Answer, body: Mapping[str, Any], kind: str) -> Collection:
    embedded = body.get("_embedded")
    elements = embedded.get("elements") if isinstance(embedded, dict) else None
    total, count = _amount(body.get("total")), body.get("count")
    if not isinstance(elements, list) or total is None:
        raise unexpected(_("{where} did not answer with a {kind}.", where=answer.where, kind=kind))
    if total < len(elements) or (count is not None and count != len(elements)):
        raise unexpected(
            _(
                "{where} answered with {elements} elements, but reports {count} of {total}.",
                where=answer.where,
                elements=len(elements),
                count=count,
                total=total,
            )
        )
    return Collection(elements, total, answer.where)


def whole_collection(answer: Answer) -> list[Mapping[str, Any]]:
    """The elements of an unpaginated collection."""
    page = collection(answer)
    if len(page.elements) != page.total:
        raise unexpected(
            _(
                "{where} answered with {elements} of {total} elements.",
                where=page.where,
                elements=len(page.elements),
                total=page.total,
            )
        )
    return [element for element in page.elements if isinstance(element, Mapping)]


def statuses_of(upstream: Upstream) -> Statuses:
    """All statuses, requested at most once a minute. Empty when they cannot be read: a list works without them."""

    def remembered(part: Upstream) -> Statuses:
        return part.remember("statuses", STATUSES_LIVE_S, lambda: ask_statuses(part))

    return upstream.optional("statuses", remembered) or {}


def ask_statuses(upstream: Upstream) -> Statuses:
    """https://www.openproject.org/docs/api/endpoints/statuses/"""
    answer = ask(upstream, "statuses", allow=(403, 404))
    if is_not_found(answer) or is_error(answer, 403, "MissingPermission"):
        return {}
    return dict(_numbered(whole_collection(answer)))


def _numbered(elements: list[Mapping[str, Any]]) -> Iterator[tuple[str, Status]]:
    for element in elements:
        if isinstance(element.get("id"), int):
            yield str(element["id"]), status_of(element)


def _amount(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _errors_in(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field name of the panel and sentence, for one error or for each of several."""
    embedded = body.get("_embedded")
    embedded = embedded if isinstance(embedded, dict) else {}
    several = embedded.get("errors")
    if isinstance(several, list):
        for error in several:
            if isinstance(error, dict):
                yield from _errors_in(error)
        return
    details = embedded.get("details")
    attribute = details.get("attribute") if isinstance(details, dict) else None
    name = attribute[:1].lower() + attribute[1:] if isinstance(attribute, str) else ""
    yield _OUR_NAMES.get(name, name), plain(body.get("message"))
