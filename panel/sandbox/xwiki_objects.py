"""Objects of pages: the beans of an object and of its properties, and the object in a POST."""

from __future__ import annotations

from typing import Any

from panel.sandbox.xwiki_addresses import Bean, link
from panel.sandbox.xwiki_page import REDIRECT_CLASS, Page, WikiObject
from panel.sandbox.xwiki_views import Views

_LOCATION_ATTRIBUTES = {
    "name": "location", "prettyName": "Location", "unmodifiable": "0", "disabled": "0", "relationalStorage": "0",
    "displayType": "input", "multiSelect": "0", "size": "30", "separator": " ", "cache": "0", "classname": "",
    "freeText": "discouraged", "number": "1", "picker": "1", "sql": "",
}  # fmt: skip
"""Attributes of the one property that xWiki's redirects have, as the class of that property defines them."""


def objects(views: Views, page: Page) -> Bean:
    """All objects of a page, numbered within their class."""
    return {"links": [], "objectSummaries": [wiki_object(views, page, *one) for one in numbered(page)]}


def numbered(page: Page) -> list[tuple[int, WikiObject]]:
    counts: dict[str, int] = {}
    found = []
    for one in page.objects:
        number = counts.get(one.class_name, 0)
        counts[one.class_name] = number + 1
        found.append((number, one))
    return found


def wiki_object(views: Views, page: Page, number: int, one: WikiObject) -> Bean:
    reference = page.reference
    tail = f"/objects/{one.class_name}/{number}"
    return {
        "links": [link("self", views.addresses.page(reference, tail))],
        "id": f"{reference.id}:{one.guid}",
        "guid": one.guid,
        "pageId": reference.id,
        "pageVersion": page.version,
        "wiki": reference.id.partition(":")[0],
        "space": reference.space,
        "pageName": reference.name,
        "pageAuthor": page.author,
        "pageAuthorName": views.pretty_name(page.author),
        "className": one.class_name,
        "number": number,
        "headline": next(iter(one.values.values()), ""),
        "properties": [_property(views, page, f"{tail}/properties/{name}", one, name) for name in one.values],
    }


def object_property(views: Views, page: Page, number: int, one: WikiObject, name: str) -> Bean:
    """One property alone, with a link to its object."""
    tail = f"/objects/{one.class_name}/{number}"
    bean = _property(views, page, f"{tail}/properties/{name}", one, name)
    bean["links"].append(link("object", views.addresses.linked_page(page.reference, tail)))
    return bean


def _property(views: Views, page: Page, tail: str, one: WikiObject, name: str) -> Bean:
    is_location = one.class_name == REDIRECT_CLASS and name == "location"
    attributes = _LOCATION_ATTRIBUTES if is_location else {"name": name, "prettyName": name}
    return {
        "links": [link("self", views.addresses.page(page.reference, tail))],
        "attributes": [{"links": [], "name": key, "value": value} for key, value in attributes.items()],
        "value": one.values[name],
        "name": name,
        "type": "Page" if is_location else "String",
    }


def posted(fields: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return class and values of an object in JSON. Raises KeyError and TypeError for other JSON."""
    return fields["className"], {one["name"]: one["value"] for one in fields["properties"]}
