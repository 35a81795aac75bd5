"""The OpenProject leaf: work packages over API v3.

https://www.openproject.org/docs/api/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from panel.connector import Answer, SourceConfig, Upstream, unexpected
from panel.core.domain import Choice, Choices, Identity, Item, Problem
from panel.core.errors import InvalidInput, NotFound, ProviderUnavailable
from panel.core.messages import _, _n
from panel.core.reasons import Reason
from panel.integrations.contract import AskedField, FurtherFields, Hits, Integration
from panel.integrations.openproject import choices as offered
from panel.integrations.openproject import fields, sign_in, suggestions, write
from panel.integrations.openproject import reference as address
from panel.integrations.openproject.answer import (
    ask,
    collection,
    error_of,
    refuse_unexpected,
    statuses_of,
)
from panel.integrations.openproject.batch import HIDDEN, fetch_known
from panel.integrations.openproject.form import Form, change_form, create_form
from panel.integrations.openproject.item import gone, has_own_status, plain, to_item, to_row
from panel.integrations.openproject.sign_in import account, as_account, require_account

MOST_AT_ONCE = 100
LONGEST_SEARCH = 200
TEXT_SHARE = 0.5
"""The share of the deadline for a search in descriptions and comments."""
FINGERPRINT_SHARE = 0.4
"""The share of the deadline for the fingerprint, which takes up to two calls."""

_NO_PROJECT = _("OpenProject knows the account, but lets it see work packages in no project.")
_NOTHING_PUBLIC = _("Nobody is signed in, and OpenProject shows work packages of no project to everybody.")


class OpenProject(Integration):
    # --- addresses -----------------------------------------------------------------------------------------------

    def instance_root(self, location: str) -> str:
        return address.instance_root(location)

    def api_address(self, source: SourceConfig) -> str:
        return f"{source.root}/api/v3"

    def url_for(self, source: SourceConfig, reference: str) -> str:
        return address.page_url(source.root, reference)

    def looks_like_reference(self, source: SourceConfig, text: str) -> bool:
        return address.looks_like_reference(text)

    def references_named(self, source: SourceConfig, text: str) -> Sequence[str]:
        """The number in an address or a typed reference. The number of a short name is known upstream only."""
        try:
            named = address.work_package_in(text, source.root)
        except InvalidInput:
            return ()
        return (named,) if address.is_number(named) else ()

    def recognises(self, pasted: str) -> bool:
        return address.is_page_address(pasted)

    def create_elsewhere_url(self, source: SourceConfig, values: Mapping[str, str]) -> str | None:
        return address.create_page_url(source.root, values.get("projectId", ""), values.get("type", ""))

    # --- reading -------------------------------------------------------------------------------------------------

    def check(self, upstream: Upstream) -> Identity:
        identity = account(upstream)
        self.probe_reading(upstream)
        return identity

    def check_list(self, upstream: Upstream) -> None:
        require_account(upstream)
        self.probe_reading(upstream)

    def probe_product(self, upstream: Upstream) -> str:
        """https://www.openproject.org/docs/api/endpoints/root/"""
        try:
            answer = ask(upstream, allow=(401,))
        except ProviderUnavailable as exc:
            if exc.reason is Reason.FORBIDDEN:
                # Only a refusal of OpenProject itself has this reason, so the product is proven.
                return ""
            raise
        if answer.status == 401:
            return ""
        refuse_unexpected(answer)
        body = answer.object()
        if body.get("_type") != "Root":
            raise unexpected(_("{where} did not answer as OpenProject does.", where=answer.where))
        return plain(body.get("coreVersion"))

    def probe_identity(self, upstream: Upstream) -> Identity:
        return account(upstream)

    def probe_reading(self, upstream: Upstream) -> str:
        try:
            total = collection(suggestions.newest(upstream, [], 1), "WorkPackageCollection").total
        except ProviderUnavailable as exc:
            if exc.reason is Reason.FORBIDDEN and exc.status == 403:
                message = _NO_PROJECT if upstream.source.signs_in else _NOTHING_PUBLIC
                raise ProviderUnavailable.because(Reason.FORBIDDEN, message) from None
            raise
        if total == 0:
            return _("This account sees no work packages.")
        return _n(
            "This account sees {total} work package.", "This account sees {total} work packages.", total, total=total
        )

    def resolve(self, upstream: Upstream, text: str) -> Item:
        asked = address.spellings(address.work_package_in(text, upstream.source.root))
        for spelling in asked:
            with suppress(NotFound), as_account(upstream):
                return _item(upstream, offered.read_work_package(upstream, spelling))
        shown = f"#{asked[0]}" if address.is_number(asked[0]) else asked[0]
        raise NotFound(_("OpenProject does not show work package {reference} to our account.", reference=shown))

    def fingerprint(self, upstream: Upstream) -> Mapping[str, str]:
        """The host name of the settings, else the name of the instance.

        https://www.openproject.org/docs/api/endpoints/configuration/ and
        https://www.openproject.org/docs/api/endpoints/root/
        """
        return upstream.optional("configuration", _fingerprint, share=FINGERPRINT_SHARE) or {}

    def fetch(self, upstream: Upstream, reference: str, *, with_excerpt: bool = False) -> Item:
        if not address.is_number(reference):
            raise NotFound(_("This is no work package number."))
        with as_account(upstream):
            return _item(upstream, offered.read_work_package(upstream, reference), with_excerpt=with_excerpt)

    def fetch_many(self, upstream: Upstream, references: Sequence[str]) -> Mapping[str, Item]:
        numbers = [reference for reference in dict.fromkeys(references) if address.is_number(reference)]
        if references and not numbers:
            # Without a number to request, nothing else would prove that OpenProject answers.
            self.check_list(upstream)
        found = fetch_known(upstream, numbers)
        if len(found) < len(numbers):
            require_account(upstream)
        items = _items(upstream, found.values())
        root = upstream.source.root
        return {reference: items.get(reference) or gone(reference, root) for reference in references}

    def search(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        """Filter as OpenProject's own picker does: each word in subject or project, or part of the number.

        Up to 16.1 the server looks nowhere else; later versions also look at type and status.
        """
        words, limit = plain(text, limit=LONGEST_SEARCH), max(1, min(limit, MOST_AT_ONCE))
        found = suggestions.found(upstream, suggestions.typed(words), limit)
        return list(_items(upstream, found.payloads).values())[:limit]

    def suggest(self, upstream: Upstream, text: str, *, limit: int) -> Sequence[Item]:
        """As ``search``; without words, the time of the last change is shown, which cannot be selected."""
        return self.find(upstream, text, limit=limit, titles_only=True).items

    def find(self, upstream: Upstream, text: str, *, limit: int, titles_only: bool = False) -> Hits:
        """Descriptions and comments are only searched where nothing has the words in its subject: that is slower."""
        words, limit = plain(text, limit=LONGEST_SEARCH), max(1, min(limit, MOST_AT_ONCE))
        found = _suggested(upstream, suggestions.typed(words), limit)
        if found.total or titles_only or not words:
            return found

        def search_texts(part: Upstream) -> Hits:
            return _suggested(part, suggestions.in_texts(words), limit)

        return upstream.optional("texts", search_texts, share=TEXT_SHARE) or found

    # --- writing -------------------------------------------------------------------------------------------------

    def create(self, upstream: Upstream, values: Mapping[str, Any]) -> Item:
        with as_account(upstream):
            created = write.create(upstream, values)
        return replace(_item(upstream, created), remarks=write.differences(values, created))

    def update(self, upstream: Upstream, reference: str, changes: Mapping[str, Any]) -> Item:
        if not address.is_number(reference):
            raise NotFound(_("This is no work package number."))
        with as_account(upstream):
            return _item(upstream, write.update(upstream, reference, changes))

    def choices(
        self, upstream: Upstream, field: str, values: Mapping[str, str], *, reference: str | None = None
    ) -> Iterable[Choice]:
        with as_account(upstream):
            return [offer.choice for offer in _offers(upstream, field, values, reference)]

    def find_choices(
        self,
        upstream: Upstream,
        field: str,
        values: Mapping[str, str],
        *,
        search: str = "",
        reference: str | None = None,
    ) -> Choices:
        """Projects are searched in OpenProject: there may be thousands."""
        if field == "projectId":
            with as_account(upstream):
                return offered.projects(upstream, search, chosen=values.get("projectId", "")).choices
        if fields.is_custom_field(field):
            form = _form(upstream, values, reference)
            asked = fields.described(upstream, form, [field], search=search) if form is not None else ()
            return asked[0].choices if asked else Choices.whole(())
        return super().find_choices(upstream, field, values, search=search, reference=reference)

    def asked_fields(
        self, upstream: Upstream, names: Sequence[str], values: Mapping[str, str], *, reference: str | None = None
    ) -> Sequence[AskedField]:
        """Custom fields that a type requires."""
        found = _form(upstream, values, reference)
        return fields.described(upstream, found, names) if found is not None else ()

    def further_fields(self, upstream: Upstream, values: Mapping[str, str]) -> FurtherFields | None:
        """Custom fields that the project and the type require, once a project is chosen."""
        if not address.is_project(values.get("projectId", "")):
            return FurtherFields()
        found = _form(upstream, values, None)
        return fields.required(upstream, found) if found is not None and found.schema else None

    # --- shape ---------------------------------------------------------------------------------------------------

    def row(self, item: Item) -> dict[str, Any]:
        return to_row(item)

    def lacks(self, answer: Answer) -> str:
        if answer.status < 300:
            return "" if answer.is_json or not answer.body else "JSON"
        return "" if error_of(answer) else _("an error identifier of OpenProject")

    def classify(self, answer: Answer, source: SourceConfig) -> Problem | None:
        return sign_in.classify(answer, source)


def _offers(
    upstream: Upstream, field: str, values: Mapping[str, str], reference: str | None
) -> Sequence[offered.Offer]:
    if field == "projectId":
        return offered.projects(upstream).offers
    if field == "type":
        project = values.get("projectId", "")
        return offered.types(upstream, project) if address.is_project(project) else []
    if field not in ("status", "assignee"):
        raise InvalidInput("field", _("There are no choices for “{field}”.", field=field))
    if reference is None or not address.is_number(reference):
        raise InvalidInput("reference", _("Choices for “{field}” belong to one work package.", field=field))
    if field == "status":
        return offered.next_statuses(upstream, reference)
    return offered.assignees(upstream, reference)


def _form(upstream: Upstream, values: Mapping[str, str], reference: str | None) -> Form | None:
    if reference is not None:
        return change_form(upstream, reference, offered.lock_version_of(upstream, reference))
    project, kind = values.get("projectId", ""), values.get("type", "")
    type_href = f"/api/v3/types/{kind}" if address.is_number(kind) else None
    return create_form(upstream, project, type_href) if address.is_project(project) else None


def _fingerprint(upstream: Upstream) -> Mapping[str, str]:
    host = _value(ask(upstream, "configuration", allow=(401, 403, 404)), "hostName")
    if host:
        return {"host": host.casefold()}
    name = _value(ask(upstream, allow=(401, 403, 404)), "instanceName")
    return {"name": name} if name else {}


def _value(answer: Answer, key: str) -> str:
    return plain(answer.object().get(key)) if answer.status < 300 else ""


def _suggested(upstream: Upstream, filters: suggestions.Filters, limit: int) -> Hits:
    read = suggestions.suggested if filters else suggestions.found
    found = read(upstream, filters, limit)
    items = (to_item(payload, upstream.source.root, {}) for payload in found.payloads)
    return Hits(list({item.reference: item for item in items}.values())[:limit], found.total)


def _items(upstream: Upstream, payloads: Iterable[Mapping[str, Any]]) -> dict[str, Item]:
    """Items by reference. A list does not say which statuses are closed, so they are read once a minute."""
    payloads = list(payloads)
    needed = any(not has_own_status(payload) for payload in payloads)
    statuses = statuses_of(upstream) if needed else {}
    items = (to_item(payload, upstream.source.root, statuses) for payload in payloads)
    return {item.reference: item for item in items}


def _item(upstream: Upstream, payload: Mapping[str, Any], *, with_excerpt: bool = False) -> Item:
    """The item of one work package. Lists show it again, if they noted it as not visible."""
    statuses = {} if has_own_status(payload) else statuses_of(upstream)
    item = to_item(payload, upstream.source.root, statuses, with_excerpt=with_excerpt)
    upstream.notes(HIDDEN).discard([item.reference])
    return item
