"""Maps xWiki's JSON of a page or of a search hit to an Item, and an Item to its row.

Every key is optional, because versions of xWiki send different keys. A malformed page does not affect the
rest of a list.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from panel.connector import Answer, origin_of, unexpected
from panel.core.domain import Item
from panel.core.messages import _
from panel.integrations.xwiki.redirect import redirect_in
from panel.integrations.xwiki.reference import BadReference, PageReference, page_url
from panel.integrations.xwiki.text import preview
from panel.integrations.xwiki.titles import label_of, line_of, title_of

_UNSAFE_IN_ADDRESS = re.compile(r"[\s\\<>\"'\x00-\x1f\x7f]")


def reference_of(payload: object, wiki: str) -> PageReference | None:
    """The reference of the page in a payload; None when there is none."""
    identifier = payload.get("id") if isinstance(payload, Mapping) else None
    try:
        return PageReference.parse(identifier, wiki) if isinstance(identifier, str) else None
    except BadReference:
        return None


def to_item(payload: Mapping[str, Any], reference: PageReference, root: str, *, with_excerpt: bool = False) -> Item:
    """Map one page. ``reference`` is the reference in the payload (``reference_of``)."""
    title = title_of(payload) or line_of(reference.label)
    return Item(
        str(reference),
        title,
        _own_address(payload.get("xwikiAbsoluteUrl"), root) or page_url(root, reference),
        updated=_moment(payload.get("modified")),
        facts={
            **_facts(reference, _places(payload, reference), title, line_of(payload.get("version")) or None),
            **_doubts(payload, reference),
        },
        excerpt=preview(payload.get("content"), payload.get("syntax")) if with_excerpt else None,
        origin=_origin(payload),
    )


def read_page(answer: Answer, wiki: str, root: str, *, with_excerpt: bool = False) -> Item:
    """The page in an answer. Raises ProviderUnavailable when there is none."""
    payload = answer.object()
    reference = reference_of(payload, wiki)
    if reference is None:
        raise unexpected(_("{where} answered {status} without a page.", where=answer.where, status=answer.status))
    return to_item(payload, reference, root, with_excerpt=with_excerpt)


def bare_item(reference: PageReference, root: str, *, title: str = "") -> Item:
    """A page that exists and of which only the name, and perhaps its title in plain text, is known."""
    title = line_of(title) or line_of(reference.label)
    facts = _facts(reference, _places({}, reference), title, None)
    return Item(str(reference), title, page_url(root, reference), facts=facts)


def gone(text: str, root: str, wiki: str) -> Item:
    """The item of a page that xWiki does not show to the account."""
    try:
        reference = PageReference.parse(text, wiki)
    except BadReference:
        return Item.gone(text, f"{root}/", facts={"space": None, "page": None, "breadcrumb": [], "version": None})
    facts = _facts(reference, _places({}, reference), line_of(reference.label), None)
    return Item.gone(text, page_url(root, reference), title=line_of(reference.local), facts=facts)


def to_row(item: Item) -> dict[str, Any]:
    """The row, every key always present."""
    own = {name: item.facts.get(name) for name in ("space", "page", "breadcrumb")}
    return {
        "id": item.reference,
        "reference": item.reference,
        "title": item.title,
        **own,
        "url": item.url,
        "version": item.facts.get("version"),
        "modified": item.updated,
        "state": item.state,
    }


def _facts(reference: PageReference, places: list[str], title: str, version: str | None) -> dict[str, Any]:
    breadcrumb = [*places, title]
    return {"space": reference.space, "page": reference.name, "breadcrumb": breadcrumb, "version": version}


def _doubts(payload: Mapping[str, Any], reference: PageReference) -> dict[str, Any]:
    """Facts by which a page that only redirects is recognised: that it is hidden, or its redirect."""
    redirect = redirect_in(payload, reference.wiki)
    facts = {"hidden": True} if payload.get("hidden") is True else {}
    return facts if redirect is None else {**facts, "redirect": redirect}


def _places(payload: Mapping[str, Any], reference: PageReference) -> list[str]:
    """Titles of the spaces above the page, outermost first, without the page itself."""
    labels = _hierarchy(payload.get("hierarchy")) or [line_of(space) for space in reference.spaces]
    if labels and reference.is_home:
        # Readers see the home page of a space as the space itself.
        return labels[:-1]
    return labels


def _hierarchy(hierarchy: object) -> list[str]:
    """Labels of the spaces; empty when the server does not send all of them."""
    items = hierarchy.get("items") if isinstance(hierarchy, Mapping) else None
    spaces = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    labels = [label_of(item) for item in spaces if item.get("type") == "space"]
    return labels if all(labels) else []


def _moment(value: object) -> datetime | None:
    """From milliseconds since 1970, without the fraction of a second."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _origin(payload: Mapping[str, Any]) -> int | None:
    """The second in which the page was made, followed by three digits that are computed from the name of its maker.

    Both survive a rename; a copy has its own. The digits tell apart pages of the same second.
    """
    created, maker = payload.get("created"), payload.get("creator")
    if isinstance(created, bool) or not isinstance(created, int) or not 0 < created < 10**14:
        return None
    if not isinstance(maker, str):
        return None
    name = maker.rpartition(":")[2]
    return created // 1000 * 1000 + zlib.crc32(name.encode("utf-8", "replace")) % 1000


def _own_address(value: object, root: str) -> str | None:
    """The server's own address of the page; None when it leaves the source's origin or is malformed."""
    if not isinstance(value, str) or _UNSAFE_IN_ADDRESS.search(value):
        return None
    try:
        parts = urlsplit(value)
        inside = parts.scheme in ("http", "https") and "@" not in parts.netloc and origin_of(value) == origin_of(root)
    except ValueError:
        return None
    return value if inside else None
