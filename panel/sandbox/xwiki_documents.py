"""REST resources of one page: the page, its translations, objects, history and tags."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.http import parse_options_header
from werkzeug.wrappers import Response

from panel.sandbox import xwiki_objects
from panel.sandbox.xwiki_addresses import Bean
from panel.sandbox.xwiki_call import FORM, JSON, TEXT, XML, Call, Refused
from panel.sandbox.xwiki_lists import children
from panel.sandbox.xwiki_page import Change, Page, Reference, WikiObject
from panel.sandbox.xwiki_views import PAGE_KEYS
from panel.sandbox.xwiki_xml import BadPage, change_from, read_object, read_page


def page_resource(call: Call, reference: Reference, tail: list[str]) -> Response:
    """Route a request to a page or to something below it. Raises Refused."""
    match tail:
        case []:
            return _document(call, reference, "")
        case ["translations", language]:
            return _document(call, reference, language)
        case ["translations", language, "history"]:
            return call.shown("history", _history(call, reference, language))
        case ["history" | "tags" | "attachments" as name]:
            return _open_list(call, reference, name)
    page = call.existing(reference)
    match tail:
        case ["children"]:
            return call.shown("pages", children(call, reference))
        case ["translations"]:
            return call.shown("translations", call.views.translations(reference))
        case ["history", version]:
            return _version(call, reference, version)
        case ["objects", *rest]:
            return _objects(call, page, rest)
    raise Refused(404)


# --- the page and its translations -----------------------------------------------------------------------------


def _document(call: Call, reference: Reference, language: str) -> Response:
    if call.method == "PUT":
        return _put(call, reference, language)
    if call.method == "DELETE":
        return _delete(call, reference, language)
    call.require_view(reference)
    page = _stored(call, reference, language)
    objects = xwiki_objects.objects(call.views, page) if call.has("objects") else None
    return call.shown("page", call.views.page(page, objects=objects, rights=_rights(call, page)))


def _stored(call: Call, reference: Reference, language: str) -> Page:
    page = call.wiki.document(reference, language)
    if page is None:
        raise Refused(404)
    return page


def _rights(call: Call, page: Page) -> list[Bean]:
    """The rights that ``checkRight`` asks for, where the server knows that parameter."""
    answers = {
        "view": True,
        "edit": call.wiki.may_edit(call.user, page.reference),
        "delete": call.wiki.may_edit(call.user, page.reference),
    }
    asked = call.request.args.getlist("checkRight") if "rights" in call.profile.page_keys else []
    if unknown := [name for name in asked if name not in answers]:
        raise Refused(400, f"Unknown right [{unknown[0]}].")
    return [{"name": name, "value": answers[name]} for name in asked]


def _put(call: Call, reference: Reference, language: str) -> Response:
    call.require_view(reference)
    change = _body(call)
    if reference in call.wiki.locked:
        raise Refused(412, "The page is locked.")
    user = call.require_edit(reference, "edit")
    exists = call.wiki.document(reference, language) is not None
    if exists and not change.saves and not (call.profile.hidden_alone_is_saved and change.hidden is not None):
        if change.hidden is not None and not language:
            call.wiki.hide_unsaved(reference, hidden=change.hidden)
        return _without_body(304)
    page = call.wiki.save(reference, change, user, language=language, minor=call.has("minorRevision"))
    headers = {} if exists else {"Location": call.address}
    return call.represented("page", call.views.page(page), 202 if exists else 201, headers)


def _without_body(status: int) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


def _delete(call: Call, reference: Reference, language: str) -> Response:
    call.require_view(reference)
    _stored(call, reference, language)
    if reference in call.wiki.locked:
        raise Refused(412, "The page is locked.")
    call.require_edit(reference, "delete")
    if language:
        call.wiki.remove_translation(reference, language)
    else:
        call.wiki.remove(reference)
    return _without_body(204)


def _body(call: Call) -> Change:
    """Return the change in the body of a PUT. Raises Refused."""
    content_type, _ = parse_options_header(call.request.headers.get("Content-Type"))
    try:
        if content_type in (XML, "text/xml"):
            return read_page(call.request.get_data())
        if content_type == JSON:
            return _change_from_json(call.request.get_data())
    except BadPage as exc:
        raise Refused(400) from exc
    if content_type == TEXT:
        return Change(content=call.request.get_data(as_text=True))
    if content_type == FORM:
        return change_from(call.request.form)
    raise Refused(415)


def _change_from_json(body: bytes) -> Change:
    fields = _json_object(body)
    if unknown := sorted(fields.keys() - set(PAGE_KEYS)):
        raise BadPage(f'Unrecognized field "{unknown[0]}" (class org.xwiki.rest.model.jaxb.Page)')
    return change_from(fields)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as exc:
        raise BadPage(str(exc)) from exc
    if not isinstance(fields, dict):
        raise BadPage("Cannot deserialize an object from this value.")
    return fields


# --- history and other lists -----------------------------------------------------------------------------------


def _open_list(call: Call, reference: Reference, name: str) -> Response:
    """A list below a page, which some servers show to everybody."""
    if not call.profile.shows_denied_history:
        call.existing(reference)
    if name == "history":
        return call.shown("history", _history(call, reference, ""))
    return call.shown(name, {"links": [], name: []})


def _history(call: Call, reference: Reference, language: str) -> Bean:
    versions = call.window(list(reversed(call.wiki.history.get((reference, language), []))))
    return {"links": [], "historySummaries": [call.views.history_summary(page) for page in versions]}


def _version(call: Call, reference: Reference, wanted: str) -> Response:
    for version in call.wiki.history[reference, ""]:
        if version.version == wanted:
            return call.shown("page", call.views.page(version))
    raise Refused(404)


# --- objects ---------------------------------------------------------------------------------------------------


def _objects(call: Call, page: Page, tail: list[str]) -> Response:
    match tail:
        case [] if call.method == "POST":
            return _add_object(call, page)
        case []:
            return call.shown("objects", xwiki_objects.objects(call.views, page))
        case [class_name, number]:
            found = _object(page, class_name, number)
            return call.shown("object", xwiki_objects.wiki_object(call.views, page, *found))
        case [class_name, number, "properties", name]:
            at, one = _object(page, class_name, number)
            if name in one.values:
                return call.shown("property", xwiki_objects.object_property(call.views, page, at, one, name))
    raise Refused(404)


def _object(page: Page, class_name: str, number: str) -> tuple[int, WikiObject]:
    for at, one in xwiki_objects.numbered(page):
        if (one.class_name, str(at)) == (class_name, number):
            return at, one
    raise Refused(404)


def _add_object(call: Call, page: Page) -> Response:
    reference = page.reference
    user = call.require_edit(reference, "edit")
    class_name, values = _posted_object(call)
    page = call.wiki.add_object(reference, class_name, values, user)
    number, one = xwiki_objects.numbered(page)[-1]
    tail = f"/pages/{reference.name}/objects/{class_name}/{number}"
    location = call.views.addresses.joined_space(reference.spaces) + tail
    bean = xwiki_objects.wiki_object(call.views, page, number, one)
    return call.represented("object", bean, 201, {"Location": location})


def _posted_object(call: Call) -> tuple[str, dict[str, str]]:
    content_type, _ = parse_options_header(call.request.headers.get("Content-Type"))
    try:
        if content_type in (XML, "text/xml"):
            return read_object(call.request.get_data())
        if content_type == JSON:
            return xwiki_objects.posted(_json_object(call.request.get_data()))
    except (BadPage, KeyError, TypeError) as exc:
        raise Refused(400) from exc
    raise Refused(415)
