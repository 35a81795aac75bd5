"""xWiki's XML: the same beans as in JSON under their element names, the page in a PUT, and the object in a POST."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from panel.sandbox.xwiki_page import Change

NAMESPACE = "http://www.xwiki.org"
ElementTree.register_namespace("", NAMESPACE)

_ELEMENT = {
    "links": "link",
    "wikis": "wiki",
    "spaces": "space",
    "pageSummaries": "pageSummary",
    "historySummaries": "historySummary",
    "searchResults": "searchResult",
    "translations": "translation",
    "syntaxes": "syntax",
    "items": "item",
    "rights": "right",
    "objectSummaries": "objectSummary",
    "properties": "property",
    "attributes": "attribute",
    "attachments": "attachment",
    "tags": "tag",
}
"""Key in JSON → name of the XML element: list keys are plural only in JSON."""
_CLASS = {"clazz": "class"}

_ATTRIBUTES = {
    "link": {"href", "rel", "type", "hrefLang"},
    "translation": {"language"},
    "property": {"name", "type"},
    "attribute": {"name", "value"},
}
_ROOT_ATTRIBUTES = {"template", "default"}
_DATES = {"created", "modified"}


class BadPage(ValueError):
    """The body is not a page."""


def to_xml(name: str, bean: Mapping[str, Any]) -> bytes:
    """Serialise a bean as an XML document with the root element ``name``."""
    document: bytes = ElementTree.tostring(_element(name, bean), encoding="utf-8", xml_declaration=True)
    return document


def _element(name: str, value: Any) -> ElementTree.Element:
    element = ElementTree.Element(f"{{{NAMESPACE}}}{name}")
    if not isinstance(value, Mapping):
        element.text = _text(name, value)
        return element
    for key, part in value.items():
        if part is None:
            continue
        if key in _ATTRIBUTES.get(name, set()) | _ROOT_ATTRIBUTES:
            element.set(key, _text(key, part))
        elif isinstance(part, list):
            element.extend(_element(_ELEMENT.get(key) or key, one) for one in part)
        else:
            element.append(_element(_CLASS.get(key) or key, part))
    return element


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if key in _DATES:
        return datetime.fromtimestamp(value / 1000, UTC).isoformat()
    return _without_control_characters(str(value))


def _without_control_characters(text: str) -> str:
    return "".join(char for char in text if char >= " " or char in "\t\n\r")


def read_page(body: bytes) -> Change:
    """Parse a ``<page xmlns="http://www.xwiki.org">`` document. Raises BadPage."""
    root = _root(body, "page")
    fields = {child.tag.removeprefix(f"{{{NAMESPACE}}}"): child.text or "" for child in root if "}" in child.tag}
    return change_from(fields)


def read_object(body: bytes) -> tuple[str, dict[str, str]]:
    """Parse an ``<object>`` document: its class, and its values by property. Raises BadPage."""
    root = _root(body, "object")
    class_name = root.findtext(f"{{{NAMESPACE}}}className")
    if not class_name:
        raise BadPage("The object has no class.")
    properties = root.iterfind(f"{{{NAMESPACE}}}property")
    return class_name, {one.get("name", ""): one.findtext(f"{{{NAMESPACE}}}value") or "" for one in properties}


def _root(body: bytes, name: str) -> ElementTree.Element:
    """Return the root element of a document. Raises BadPage."""
    if b"<!DOCTYPE" in body:
        raise BadPage("A document type is not read.")
    try:
        # Entity declarations require a document type, which is rejected above.
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError as exc:
        raise BadPage(str(exc)) from exc
    if root.tag != f"{{{NAMESPACE}}}{name}":
        raise BadPage(f"Unexpected element {root.tag}.")
    return root


def change_from(fields: Mapping[str, Any]) -> Change:
    """Return the change in a page's fields, which have their bean names. Read-only fields are ignored."""
    return Change(
        title=fields.get("title"),
        content=fields.get("content"),
        syntax=fields.get("syntax"),
        parent=fields.get("parent"),
        hidden=None if fields.get("hidden") is None else fields["hidden"] in (True, "true"),
        comment=fields.get("comment") or "",
        objects=fields.get("objects") is not None,
    )
