"""Values of a custom field that OpenProject keeps elsewhere: people and versions, searched where there are many.

A form gives the address of such values in place of the values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from panel.connector import Upstream
from panel.core.domain import Choice, Choices
from panel.integrations.openproject.answer import ask, collection
from panel.integrations.openproject.form import inside
from panel.integrations.openproject.item import link, plain
from panel.integrations.openproject.reference import target_of

MOST = 100
"""How many values are shown at once."""
LONGEST_SEARCH = 200

_SEGMENT = re.compile(r"[a-z_]+|[1-9][0-9]*")
_VALUE = re.compile(r"(?:(users|groups|placeholder_users|versions)/)?([1-9][0-9]{0,17})")
_KINDS = {"User": "users", "Version": "versions"}
"""The usual resource of a field's type. Values of others have its name before their number."""
_SEARCHED = frozenset({"principals", "users"})
"""Collections that filter by name."""


def address_of_values(schema: Mapping[str, Any]) -> str:
    """The address of the allowed values; "" when the form has the values themselves."""
    href = inside(schema, "_links", "allowedValues").get("href")
    return href if isinstance(href, str) else ""


def find_values(upstream: Upstream, schema: Mapping[str, Any], search: str) -> Choices:
    """The values whose name has the words. Without words the first ones.

    https://www.openproject.org/docs/api/endpoints/principals/ and
    https://www.openproject.org/docs/api/endpoints/versions/
    """
    whole = urlsplit(address_of_values(schema))
    path = whole.path.partition("/api/v3/")[2].split("/")
    if not all(_SEGMENT.fullmatch(segment) for segment in path):
        return Choices.whole(())
    words = plain(search, limit=LONGEST_SEARCH)
    query = dict(parse_qsl(whole.query)) | {"pageSize": str(MOST)}
    if words and path[-1] in _SEARCHED:
        query["filters"] = _with_name(query.get("filters", ""), words)
    page = collection(ask(upstream, *path, query=query))
    found = [choice for choice in (_choice(element, schema) for element in page.elements) if choice is not None]
    matching = tuple(choice for choice in found if words.casefold() in choice.label.casefold())
    is_all = page.total <= len(page.elements)
    return Choices(matching, len(matching) if is_all else max(page.total, len(matching)))


def href_of(text: str, schema: Mapping[str, Any]) -> str | None:
    """The link of a value as ``find_values`` gives it; None for another text."""
    found = _VALUE.fullmatch(text)
    kind = (found[1] or _usual(schema)) if found else ""
    return f"/api/v3/{kind}/{found[2]}" if found and kind else None


def _usual(schema: Mapping[str, Any]) -> str:
    return _KINDS.get(str(schema.get("type")).removeprefix("[]"), "")


def _with_name(filters: str, words: str) -> str:
    """The filters of an address, and one for the name."""
    try:
        given = json.loads(filters) if filters else []
    except ValueError:
        given = []
    name = {"name": {"operator": "~", "values": [words]}}
    return json.dumps([*(given if isinstance(given, list) else []), name], separators=(",", ":"))


def _choice(element: Any, schema: Mapping[str, Any]) -> Choice | None:
    own = link(element, "self") if isinstance(element, Mapping) else {}
    target = target_of(own.get("href"))
    if target is None or not target[1].isdigit():
        return None
    value = target[1] if target[0] == _usual(schema) else f"{target[0]}/{target[1]}"
    return Choice(value, plain(element.get("name")) or plain(own.get("title")) or f"#{target[1]}")
